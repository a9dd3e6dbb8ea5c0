"""Events that come twice, late, or in another order."""

import json
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.agreed import WITHDRAWN
from flywheel.config import Config
from flywheel.explain.explain import explain
from flywheel.tables import Correction, Misbehaviour
from labeling.quality.simulate import annotation
from labeling.store.database import Database
from labeling.store.labels import put_annotations
from labeling.store.reports import add_report, reports
from tests.flywheel.round import GOOD
from tests.flywheel.rows import DAY
from tests.flywheel.survive.conftest import ORDER, TIMES, Undisturbed
from tests.flywheel.survive.harness import came_to, copied, take

pytestmark = pytest.mark.slow

OTHER = "please letter music garden river"


def rest(config: Config, step: str) -> None:
    """A step and what follows it."""
    for later in ORDER[ORDER.index(step) :]:
        assert take(later, config, TIMES[later])


def say(config: Config, sample: str, verdict: dict[str, str] | None, at: datetime, numbers: tuple[int, int]) -> None:
    """What both people say of a sample from then on, in the place of what they said before; None: they deleted it."""
    with Database(config.store) as database, database.write() as session:
        put_annotations(
            session,
            "corrections",
            [
                annotation(
                    number, sample, name, verdict, 20.0, reason=None if verdict else "deleted", created=at, updated=at
                )
                for number, name in zip(numbers, ("amber", "birch"), strict=True)
            ],
        )


def corrected(config: Config) -> tuple[str, str]:
    """The first of what people corrected, and its sample: their annotations have the numbers 0 and 1."""
    with Database(config.store) as database, database.read() as session:
        query = sql.select(Misbehaviour).where(sql.not_(Misbehaviour.held_out)).order_by(Misbehaviour.id)
        bad = session.scalars(query).first()
        assert bad
        assert bad.sample
        return bad.id, bad.sample


def corrections(config: Config, bad: str) -> dict[str, str | None]:
    with Database(config.store) as database, database.read() as session:
        found = session.scalars(sql.select(Correction).where(Correction.misbehaviour == bad))
        return {one.answer: one.refused for one in found}


def test_reports_that_come_again_are_not_counted_again(undisturbed: Undisturbed, tmp_path: Path) -> None:
    config = copied(undisturbed.before["admit"], tmp_path / "loop")
    with Database(config.store) as database:
        assert not any(add_report(database, one) for one in reports(database))
    assert take("collect", config, TIMES["collect"])
    rest(config, "admit")
    assert came_to(config) == came_to(undisturbed.end)


def test_hints_that_come_before_between_and_after_their_cause(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A webhook starts a step: each may come when there is nothing to do yet, and again when it is done."""
    config = copied(undisturbed.before["collect"], tmp_path / "early")
    for step in ("admit", "train", "gate", "promote"):
        assert take(step, config, TIMES["collect"])
    assert take("collect", config, TIMES["collect"])
    assert came_to(config)["misbehaviours"] == came_to(undisturbed.before["admit"])["misbehaviours"]
    config = copied(undisturbed.before["admit"], tmp_path / "again")
    for step in (
        "admit",
        "admit",
        "collect",
        "decide",
        "admit",
        "train",
        "train",
        "gate",
        "gate",
        "promote",
        "promote",
    ):
        assert take(step, config, TIMES[step])
    assert came_to(config) == came_to(undisturbed.end)


def test_labels_that_come_before_their_push_is_noted(undisturbed: Undisturbed, tmp_path: Path) -> None:
    config = copied(undisturbed.before["admit"], tmp_path / "loop")
    with Database(config.store) as database:
        with database.read() as session:
            noted = {row.id: row.sample for row in session.scalars(sql.select(Misbehaviour))}
        with database.write() as session:
            session.execute(sql.update(Misbehaviour).values(sample=None))
        assert take("admit", config, TIMES["admit"])
        assert came_to(config)["corrections"] == []
        with database.write() as session:
            for id, sample in noted.items():
                session.execute(sql.update(Misbehaviour).where(Misbehaviour.id == id).values(sample=sample))
    rest(config, "admit")
    assert came_to(config) == came_to(undisturbed.end)


def test_a_correction_that_is_changed_before_the_training_is_trained_on_as_it_is_now(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    config = copied(undisturbed.before["decide"], tmp_path / "loop")
    bad, sample = corrected(config)
    assert corrections(config, bad) == {GOOD: None}
    say(config, sample, {"category": "wrong", "answer": OTHER, "refusal": "none"}, TIMES["admit"], (0, 1))
    assert take("admit", config, TIMES["admit"])
    assert corrections(config, bad) == {GOOD: WITHDRAWN, OTHER: None}
    rest(config, "decide")
    (dataset,) = config.datasets.glob("*.jsonl")
    rows = [json.loads(line) for line in dataset.read_text().splitlines()]
    (learnt,) = [row for row in rows if row.get("provenance", {}).get("misbehaviour") == bad]
    assert learnt["messages"][-1]["content"] == OTHER


def test_a_correction_that_is_deleted_after_the_training_stops_nothing_and_stays_told(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    config = copied(undisturbed.before["gate"], tmp_path / "loop")
    bad, sample = corrected(config)
    say(config, sample, None, TIMES["gate"], (0, 1))
    assert take("tick", config, TIMES["gate"])
    wanted, found = came_to(undisturbed.end), came_to(config)
    assert corrections(config, bad) == {GOOD: WITHDRAWN}
    assert found["current"] == wanted["current"]
    assert found["verdicts"][0][:2] == wanted["verdicts"][0][:2]
    with Database(config.store) as database:
        told = explain(database, config, found["current"][0], TIMES["gate"])
        assert any(fact.kind == "correction" and WITHDRAWN in fact.says for _, fact in told.came_from)
    # What is left to learn has been learnt: nothing new begins.
    assert take("tick", config, TIMES["gate"] + 9 * DAY)
    assert came_to(config)["runs"] == found["runs"]
