"""Whether there is anything to train, judge or promote."""

import pytest

from flywheel.tables import Dataset, Decision, Run, Verdict
from flywheel.work import Work, told, work
from labeling.store.database import Database
from tests.flywheel.rows import HOUR, NOW, promotion, run_of


def decided(database: Database, retrain: bool = True) -> int:
    with database.write() as session:
        decision = Decision(made=NOW, retrain=retrain, reason="20 new corrections", counts={})
        session.add(decision)
        session.flush()
        return decision.id


def began(database: Database, id: str, decision: int, state: str, note: str = "") -> None:
    with database.write() as session:
        session.add(Dataset(id=id, made=NOW, path=f"{id}.jsonl", corrections=[], replay=0))
        session.flush()
        session.add(run_of(id, id, decision, state=state, note=note, ended=NOW + HOUR))


def test_an_empty_loop_has_no_work(database: Database) -> None:
    assert work(database) == Work(decided=False, run=None, state=None, note="")
    assert not work(database).ready


def test_a_decision_to_train_is_work_until_a_run_was_begun_for_it(database: Database) -> None:
    decision = decided(database)
    assert work(database).decided
    assert work(database).ready
    began(database, "r", decision, "promoted")
    assert work(database) == Work(decided=False, run="r", state="promoted", note="")
    assert not work(database).ready


def test_a_decision_to_wait_is_none(database: Database) -> None:
    decided(database, retrain=False)
    assert not work(database).ready


@pytest.mark.parametrize(
    ("state", "ready"),
    [("training", True), ("trained", True), ("failed", False), ("refused", False), ("promoted", False)],
)
def test_a_run_is_work_until_it_is_judged(database: Database, state: str, ready: bool) -> None:
    began(database, "r", decided(database), state, "why")
    decided(database, retrain=False)  # "one at a time": the last decision tells nothing of the run
    assert work(database) == Work(decided=False, run="r", state=state, note="why")
    assert work(database).ready is ready


def test_a_run_at_work_comes_before_a_later_one_that_has_ended(database: Database) -> None:
    began(database, "early", decided(database), "trained")
    began(database, "late", decided(database), "failed")
    assert work(database).run == "early"


@pytest.mark.parametrize(
    ("state", "verdict", "said"),
    [
        ("training", None, "run r is being trained, or was stopped: `train` goes on with it"),
        ("trained", None, "run r waits for the gate"),
        ("trained", True, "run r has passed the gate and waits for promotion"),
        ("canary", True, "run r is a canary, which `promote` looks at"),
        ("failed", None, "nothing is to be begun; run r has failed"),
        ("refused", False, "nothing is to be begun; run r was refused by the gate"),
        ("promoted", True, "nothing is to be begun; run r is promoted"),
    ],
)
def test_people_are_told_what_waits(database: Database, state: str, verdict: bool | None, said: str) -> None:
    began(database, "r", decided(database), state)
    if verdict is not None:
        with database.write() as session:
            session.add(Verdict(id="v", run="r", made=NOW, passed=verdict, reason="", figures={}, page="p.html"))
    assert told(database, work(database)) == said


def test_people_are_told_of_a_decision_to_train_and_of_a_run_that_was_rolled_back(database: Database) -> None:
    decision = decided(database)
    assert told(database, work(database)) == "it is decided to train; no run was begun yet"
    began(database, "r", decision, "refused", "rolled back on 2026-03-02: by hand")
    with database.write() as session:
        session.get_one(Run, "r").checkpoint_id = "f0" * 32
        session.add(promotion(1, "f0" * 32, None))
    assert told(database, work(database)) == "nothing is to be begun; run r was taken back"
