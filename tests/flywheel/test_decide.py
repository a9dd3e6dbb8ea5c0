"""When to train, on either side of each threshold; asked as often as one likes, at whatever time a clock shows."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.config import Config, Decide
from flywheel.decide import decide
from flywheel.label import admitted
from flywheel.tables import Correction, Dataset, Decision, Run
from labeling.store.database import Database
from tests.flywheel.asked import add_bad, add_capitals, add_said
from tests.flywheel.rows import DAY, HOUR, NOW, run_of


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Five corrections are enough; no cluster is too frequent."""
    return Config(folder=tmp_path, decide=Decide(corrections=5, cluster_rate=1.0))


def decisions(database: Database) -> int:
    with database.read() as session:
        return session.scalar(sql.select(sql.func.count()).select_from(Decision)) or 0


def begin_run(database: Database, decision: Decision, state: str = "training", **more: object) -> None:
    """As `train` does it, with all corrections that there are."""
    with database.write() as session:
        ids = list(session.scalars(sql.select(Correction.id)))
        dataset = f"d{decision.id}"
        session.add(Dataset(id=dataset, made=NOW, path="d.jsonl", corrections=ids, replay=0))
        session.flush()
        ended = None if state == "training" else NOW
        session.add(run_of(f"run-{decision.id}", dataset, decision.id, began=NOW, ended=ended, state=state, **more))


def set_state(database: Database, state: str) -> None:
    with database.write() as session:
        session.execute(sql.update(Run).values(state=state, ended=NOW))


def test_enough_new_corrections_are_a_reason(database: Database, config: Config) -> None:
    add_capitals(database, 4)
    admitted(database, config, NOW)
    few = decide(database, config, NOW)
    add_capitals(database, 1, begin=4)
    admitted(database, config, NOW)

    enough = decide(database, config, NOW)

    assert (few.retrain, few.reason) == (False, "new corrections: 4; 5 are enough")
    assert (enough.retrain, enough.reason) == (True, "new corrections: 5; 5 are enough")
    assert enough.counts["new_by_cluster"] == {"capitals": 5}


def test_without_corrections_there_is_never_one(database: Database, config: Config) -> None:
    add_bad(database, "What is the capital of Norway?")

    found = decide(database, config, NOW + 100 * DAY)

    assert (found.retrain, found.reason) == (False, "no new corrections: there is nothing to learn")


def test_the_same_answer_is_noted_once(database: Database, config: Config) -> None:
    first = decide(database, config, NOW)

    assert decide(database, config, NOW + HOUR).id == first.id
    assert decisions(database) == 1


def test_a_decision_to_train_holds_until_a_run_begins(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    first = decide(database, config, NOW)
    add_capitals(database, 3, begin=5)
    admitted(database, config, NOW)

    assert decide(database, config, NOW + 2 * DAY).id == first.id
    begin_run(database, first)
    assert decide(database, config, NOW + 2 * DAY).id != first.id


def test_a_decision_whose_corrections_are_withdrawn_does_not_hold(database: Database, config: Config) -> None:
    ids = add_capitals(database, 5)
    admitted(database, config, NOW)
    assert decide(database, config, NOW).retrain
    for bad in ids:
        add_said(database, bad, None, None)
    admitted(database, config, NOW)

    assert not decide(database, config, NOW).retrain


@pytest.mark.parametrize(("state", "told"), [("training", "is being trained"), ("trained", "waits for the gate")])
def test_one_run_at_a_time(database: Database, config: Config, state: str, told: str) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, decide(database, config, NOW), state)
    add_capitals(database, 9, begin=5)
    admitted(database, config, NOW)

    found = decide(database, config, NOW + 30 * DAY)

    assert not found.retrain
    assert told in found.reason


@pytest.mark.parametrize("state", ["refused", "promoted"])
def test_what_a_run_has_learnt_is_no_reason_for_another(database: Database, config: Config, state: str) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, decide(database, config, NOW), state)

    assert "nothing to learn" in decide(database, config, NOW + 30 * DAY).reason


def test_what_a_failed_run_has_not_is_one_after_the_cool_down(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, decide(database, config, NOW), "failed")

    soon = decide(database, config, NOW + timedelta(hours=5, minutes=59))
    later = decide(database, config, NOW + timedelta(hours=6))

    assert (soon.retrain, later.retrain) == (False, True)
    assert soon.reason == "the last run ended less than 6 hours ago; new corrections: 5"


def test_a_run_that_ended_in_the_future_holds_up_nothing(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, decide(database, config, NOW), "failed")

    assert decide(database, config, NOW - 365 * DAY).retrain


def test_few_corrections_are_enough_after_a_week(database: Database, config: Config) -> None:
    add_capitals(database, 1)
    admitted(database, config, NOW)

    assert not decide(database, config, NOW + 7 * DAY - HOUR).retrain
    found = decide(database, config, NOW + 7 * DAY)
    assert found.retrain
    assert found.reason == "the first correction was 7 days ago or more; new corrections: 1"


@pytest.mark.parametrize(("rate", "corrected", "retrain"), [(0.49, 5, True), (0.5, 5, False), (0.49, 4, False)])
def test_a_cluster_that_is_too_frequent_is_a_reason_where_it_is_corrected(
    database: Database, config: Config, rate: float, corrected: int, retrain: bool
) -> None:
    add_capitals(database, corrected)
    for number in range(5 - corrected):
        add_bad(database, f"What is the capital of country {number}?")
    for number in range(5):
        add_bad(database, f"Why is the sky blue on day {number}?", cluster="sky")
    rule = Decide(corrections=20, cluster_rate=rate)
    admitted(database, config, NOW)

    found = decide(database, config.model_copy(update={"decide": rule}), NOW)

    assert found.retrain == retrain
    if retrain:
        assert found.reason == '"about capitals" is 50.0% of the new misbehaviours, more than 49.0%'
