"""A decision becomes a checkpoint, once, whatever is killed in between; what fails says why."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

import flywheel.train
from flywheel.config import Config, Decide, Gate, Train
from flywheel.dataset import build
from flywheel.decide import decide
from flywheel.label import admitted
from flywheel.tables import Dataset, Decision, Run
from flywheel.train import TrainError, run_id, train
from labeling.store.database import Database
from tests.flywheel.asked import add_capitals, add_cases
from tests.flywheel.rows import DAY, NOW, run_of
from trainer import checkpoint
from trainer.pointer import Pointer, write_pointer


@pytest.fixture
def config(tmp_path: Path, tiny: Path) -> Config:
    settings = Train(steps=20, replay=0.0, device="cpu", learning_rate=3e-3, batch_tokens=64)
    found = Config(folder=tmp_path, decide=Decide(corrections=5), train=settings, gate=Gate(minimum_cases=2))
    write_pointer(found.current, Pointer(tiny, checkpoint.read_about(tiny).id))
    return found


def decided(database: Database, config: Config, begin: int = 0) -> None:
    add_cases(database)
    add_capitals(database, 5, begin)
    admitted(database, config, NOW)
    assert decide(database, config, NOW).retrain


def runs(database: Database) -> list[Run]:
    with database.read() as session:
        found = list(session.scalars(sql.select(Run)))
        session.expunge_all()
    return found


def test_without_a_decision_nothing_is_trained(database: Database, config: Config) -> None:
    assert train(database, config, NOW) is None
    decide(database, config, NOW)
    assert train(database, config, NOW) is None
    assert runs(database) == []


def test_without_a_model_to_start_from_none_is(database: Database, config: Config) -> None:
    decided(database, config)
    config.current.unlink()

    with pytest.raises(TrainError, match=r"current\.json: no such file; promote a checkpoint first"):
        train(database, config, NOW)
    assert runs(database) == []


@pytest.mark.slow
def test_a_decision_becomes_a_checkpoint_and_only_one(database: Database, config: Config, tiny: Path) -> None:
    decided(database, config)

    run = train(database, config, NOW)

    assert run is not None
    assert (run.state, run.decision, run.note, run.began) == ("trained", 1, "", NOW)
    made = checkpoint.read_about(checkpoint.find(config.folder / run.path))
    assert (run.checkpoint_id, made.parent) == (made.id, checkpoint.read_about(tiny).id)
    assert (made.step, made.stage) == (20, "sft")
    with database.read() as session:
        dataset = session.get_one(Dataset, run.dataset)
        assert len(dataset.corrections) == 5
        assert run.id == run_id(dataset.id, made.parent, config)
    assert train(database, config, NOW + DAY) is None


@pytest.mark.parametrize("whole", [False, True])
def test_a_run_begins_from_a_checkpoint_in_the_folder_or_elsewhere(
    database: Database, config: Config, whole: bool
) -> None:
    base = str(config.folder / "models/first") if whole else "models/first"
    with database.write() as session:
        session.add_all([Decision(id=1, made=NOW, retrain=True, reason="", counts={}), dataset_of("d")])
        session.flush()
        session.add(run_of("r", "d", 1, base=base, path="runs/r"))
    run = train(database, config, NOW)
    assert run is not None
    assert run.state == "failed"
    assert str(config.folder / "models/first") in run.note


def dataset_of(id: str) -> Dataset:
    return Dataset(id=id, made=NOW, path=f"datasets/{id}.jsonl", corrections=[], replay=0)


@pytest.mark.slow
def test_the_checkpoint_that_a_run_begins_from_is_noted_as_seen_from_the_folder(
    database: Database, config: Config, tiny: Path
) -> None:
    inside = shutil.copytree(tiny, config.folder / "models/first")
    write_pointer(config.current, Pointer(inside, checkpoint.read_about(tiny).id))
    decided(database, config)
    run = train(database, config, NOW)
    assert run is not None
    assert (run.state, run.base) == ("trained", "models/first")


PROGRAM = (
    "import sys, datetime; from flywheel.config import Config; from flywheel.train import train;"
    "from labeling.store.database import Database;"
    "config = Config.model_validate_json(sys.stdin.read());"
    "train(Database(config.store), config, datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC))"
)


def begin_elsewhere(config: Config, until: str) -> subprocess.Popen[bytes]:
    """Another process trains, and has come to where there is such a file."""
    at_it = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, start_new_session=True)
    assert at_it.stdin
    at_it.stdin.write(config.model_dump_json().encode())
    at_it.stdin.close()
    while not list(config.runs.glob(until)):
        assert at_it.poll() is None, "it ended by itself"
        time.sleep(0.02)
    return at_it


def go_on(database: Database, config: Config) -> Run:
    ended = train(database, config, NOW)
    while ended is not None and ended.state == "training":  # the killed one may hold its lock for a moment
        ended = train(database, config, NOW)
    assert ended is not None
    return ended


@pytest.mark.slow
def test_a_run_whose_processes_were_killed_goes_on_and_ends_as_another(database: Database, config: Config) -> None:
    long = config.model_copy(update={"train": config.train.model_copy(update={"steps": 400})})
    decided(database, long)
    at_it = begin_elsewhere(long, "*/checkpoints.json")

    at_it.kill()  # the training itself lives on, and nobody else begins it
    at_it.wait()
    (run,) = runs(database)
    again = train(database, long, NOW)
    assert again is not None
    assert (again.id, again.state) == (run.id, "training")
    os.killpg(at_it.pid, signal.SIGKILL)

    ended = go_on(database, long)
    assert (ended.id, ended.state) == (run.id, "trained")
    assert checkpoint.read_about(checkpoint.find(long.folder / ended.path)).step == 400


@pytest.mark.slow
def test_a_correction_that_comes_while_the_data_is_read_begins_no_second_run(
    database: Database, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided(database, config)
    others: list[Run | None] = []

    def and_then_another_is_faster(*given: Any) -> Dataset:
        found = build(*given)
        monkeypatch.undo()
        add_capitals(database, 1, 5)
        admitted(database, config, NOW)
        others.append(train(database, config, NOW))
        return found

    monkeypatch.setattr(flywheel.train, "build", and_then_another_is_faster)
    ended = train(database, config, NOW)

    (run,) = runs(database)
    assert [one and one.id for one in (ended, *others)] == [run.id, run.id]
    with database.read() as session:
        assert len(session.get_one(Dataset, run.dataset).corrections) == 6


@pytest.mark.slow
def test_preferences_are_learnt_after_demonstrations_and_whatever_is_killed_the_same_comes_out(
    database: Database, config: Config, tmp_path: Path, tiny: Path
) -> None:
    preferring = config.model_copy(update={"train": config.train.model_copy(update={"preferences": 30})})
    decided(database, preferring)
    for until in ("*/sft/checkpoints.json", "*/dpo/log.jsonl", "*/dpo/checkpoints.json"):
        at_it = begin_elsewhere(preferring, until)
        os.killpg(at_it.pid, signal.SIGKILL)
        at_it.wait()
    killed = go_on(database, preferring)

    made = checkpoint.read_about(checkpoint.find(config.folder / killed.path))
    first = checkpoint.read_about(checkpoint.find((config.folder / killed.path).with_name("sft")))
    assert (killed.state, killed.checkpoint_id) == ("trained", made.id)
    assert (made.stage, made.step, made.parent) == ("dpo", 30, first.id)
    assert (first.stage, first.step, first.parent) == ("sft", 20, checkpoint.read_about(tiny).id)
    (pairs,) = config.datasets.glob("*.pairs.jsonl")
    (pair, *others) = [json.loads(line) for line in pairs.read_text().splitlines()]
    assert len(others) == 4
    assert pair["rejected"] == [{"role": "assistant", "content": "No idea."}]
    assert pair["chosen"][0]["content"].startswith("Its capital is ")
    assert killed.id != run_id(killed.dataset, first.parent or "", config)

    elsewhere = preferring.model_copy(update={"folder": tmp_path / "elsewhere"})
    with database.write() as session:
        session.execute(sql.delete(Run))
    whole = train(database, elsewhere, NOW)
    assert whole is not None
    assert (whole.id, whole.checkpoint_id) == (killed.id, killed.checkpoint_id)


@pytest.mark.slow
def test_a_run_at_work_is_not_gone_on_with_by_other_settings(database: Database, config: Config) -> None:
    decided(database, config)
    at_it = begin_elsewhere(config, "*/log.jsonl")
    os.killpg(at_it.pid, signal.SIGKILL)
    at_it.wait()

    other = config.model_copy(update={"train": config.train.model_copy(update={"steps": 30})})
    ended = go_on(database, other)

    assert (ended.state, ended.note[:25]) == ("failed", "the settings were changed")
    assert decide(database, other, NOW + DAY).retrain


@pytest.mark.slow
def test_a_training_that_fails_says_why_and_is_tried_again(database: Database, config: Config) -> None:
    broken = config.model_copy(update={"train": config.train.model_copy(update={"device": "abacus"})})
    decided(database, broken)

    failed = train(database, broken, NOW)

    assert failed is not None
    assert failed.state == "failed"
    assert "abacus" in failed.note
    assert failed.checkpoint_id is None
    assert train(database, broken, NOW) is None  # not before it is decided anew
    assert decide(database, broken, NOW + DAY).retrain
    again = train(database, broken, NOW + DAY)
    assert again is not None
    assert (again.id, again.decision) == (failed.id, failed.decision + 1)
