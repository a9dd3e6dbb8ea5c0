"""What a run learns from: corrections that count and older data, the same file for the same, no case of the gate."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from flywheel.config import Config, Gate, Train
from flywheel.dataset import ROOM, DatasetError, build, write_pairs
from flywheel.label import admitted
from flywheel.tables import Correction, Dataset, Misbehaviour
from labeling.store.database import Database
from tests.flywheel.asked import add_bad, add_capitals, add_cases
from tests.flywheel.rows import NOW
from trainer.config import TuneConfig
from trainer.records import read, read_demonstrations, split


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path, gate=Gate(minimum_cases=2))


@pytest.fixture(autouse=True)
def cases(database: Database) -> None:
    """By which the corrections of capitals can be judged."""
    add_cases(database)


def write_older(config: Config, prompts: list[str]) -> None:
    rows = [{"prompt": prompt, "completion": f"Older answer to {prompt}"} for prompt in prompts]
    config.replay.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(config: Config, dataset: Dataset) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (config.folder / dataset.path).read_text("utf-8").splitlines()]


def older_of(config: Config, dataset: Dataset) -> list[str]:
    return [row["prompt"] for row in rows_of(config, dataset) if "prompt" in row]


WORDS = "river bridge tree bus bread garden sky rain harbour library road bicycle bird boat flower".split()
OLDER = [f"Tell me of one {word}, and of {other}." for word in WORDS for other in WORDS]


def test_of_many_older_rows_those_of_the_smallest_ids_are_drawn(database: Database, config: Config) -> None:
    """More than are held at once, some of them twice: of the same the last is taken."""
    add_capitals(database, 3)
    admitted(database, config, NOW)
    asks = [f"Tell me of {word} number {number}." for word in WORDS for number in range(180)]
    rows = [{"prompt": ask, "completion": f"Older: {ask}", "weight": 1.0} for ask in asks]
    rows += [row | {"weight": 0.5} for row in rows[::3]]
    config.replay.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(rows) > 2 * ROOM

    found = [row for row in rows_of(config, build(database, config, NOW)) if "prompt" in row]

    kept, _ = split(read_demonstrations(config.replay), TuneConfig.held_out)
    last = {read.demonstration(row).id: row for row in rows}
    assert found == [last[id] for id in sorted({record.id for record in kept})[:3]]


def test_it_is_for_its_owner_alone(database: Database, config: Config) -> None:
    add_capitals(database, 1)
    admitted(database, config, NOW)
    write_older(config, OLDER)
    dataset = build(database, config, NOW)
    for path in (config.folder / dataset.path, write_pairs(database, config, dataset)):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_has_each_correction_and_as_many_older_rows(database: Database, config: Config) -> None:
    ids = add_capitals(database, 3)
    admitted(database, config, NOW)
    write_older(config, OLDER)

    dataset = build(database, config, NOW)

    rows = rows_of(config, dataset)
    assert len(rows) == 6
    assert {row["provenance"]["misbehaviour"] for row in rows[:3]} == set(ids)
    assert {row["provenance"]["correction"] for row in rows[:3]} == set(dataset.corrections)
    assert (dataset.replay, dataset.made) == (3, NOW)
    assert len(read_demonstrations(config.folder / dataset.path)) == 6


def test_the_same_corrections_make_the_same_file_in_any_order(database: Database, config: Config) -> None:
    add_capitals(database, 3)
    admitted(database, config, NOW)
    write_older(config, OLDER)
    first = build(database, config, NOW)
    write_older(config, OLDER[::-1])

    second = build(database, config, NOW + timedelta(days=1))

    assert (first.id, first.made) == (second.id, second.made)
    assert [path.name for path in config.datasets.iterdir()] == [f"{first.id}.jsonl"]


def test_more_corrections_replay_the_same_older_rows_and_more(database: Database, config: Config) -> None:
    write_older(config, OLDER)
    add_capitals(database, 3)
    admitted(database, config, NOW)
    first = older_of(config, build(database, config, NOW))
    add_capitals(database, 4, begin=3)
    admitted(database, config, NOW)

    second = older_of(config, build(database, config, NOW))

    assert (len(first), len(second)) == (3, 7)
    assert set(first) < set(second)


def test_what_an_earlier_stage_held_out_is_not_replayed(database: Database, config: Config) -> None:
    write_older(config, OLDER)
    train, held_out = split(read_demonstrations(config.replay), TuneConfig.held_out)
    add_capitals(database, 3)
    admitted(database, config, NOW)
    every = config.model_copy(update={"train": Train(replay=1000.0)})

    dataset = build(database, every, NOW)

    assert held_out
    assert dataset.replay == len(train)


def test_an_older_row_that_answers_a_corrected_question_otherwise_is_not_replayed(
    database: Database, config: Config
) -> None:
    add_capitals(database, 1)
    admitted(database, config, NOW)
    write_older(config, ["What  is the capital of NORWAY", *OLDER])
    every = config.model_copy(update={"train": Train(replay=1000.0)})

    assert not any("NORWAY" in prompt for prompt in older_of(config, build(database, every, NOW)))


def test_without_replay_no_older_data_are_needed(database: Database, config: Config) -> None:
    add_capitals(database, 1)
    admitted(database, config, NOW)

    assert build(database, config.model_copy(update={"train": Train(replay=0.0)}), NOW).replay == 0
    with pytest.raises(DatasetError, match=r"answers\.jsonl: no such file"):
        build(database, config, NOW)


def test_without_corrections_there_is_nothing_to_train_on(database: Database, config: Config) -> None:
    add_bad(database, "What is the capital of Norway?")

    with pytest.raises(DatasetError, match="no correction can be trained on yet"):
        build(database, config, NOW)


@pytest.mark.parametrize(
    "change",
    [
        sql.update(Correction).values(refused="poison? tag_characters"),
        sql.update(Misbehaviour).values(consent=False),
        sql.update(Misbehaviour).values(held_out=True),
    ],
    ids=["refused", "without consent", "held out"],
)
def test_what_may_not_train_does_not(database: Database, config: Config, change: sql.Update) -> None:
    (bad,) = add_capitals(database, 1)
    add_capitals(database, 2, begin=1)
    admitted(database, config, NOW)
    column = Correction.misbehaviour if change.table.name == "flywheel_corrections" else Misbehaviour.id  # type: ignore[attr-defined]
    with database.write() as session:
        session.execute(change.where(column == bad))

    found = rows_of(config, build(database, config.model_copy(update={"train": Train(replay=0.0)}), NOW))

    assert len(found) == 2
    assert bad not in {row["provenance"]["misbehaviour"] for row in found}


def test_a_correction_that_asks_what_a_case_asks_does_not_train(database: Database, config: Config) -> None:
    (near,) = add_capitals(database, 1)
    (far,) = add_capitals(database, 1, begin=1)
    add_bad(database, "what is the capital of norway", answer="Bergen", held_out=True)
    admitted(database, config, NOW)

    found = rows_of(config, build(database, config.model_copy(update={"train": Train(replay=0.0)}), NOW))

    assert [row["provenance"]["misbehaviour"] for row in found] == [far] != [near]
