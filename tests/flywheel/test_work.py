"""Whether there is anything to train, judge or promote."""

import pytest

from flywheel.tables import Dataset, Decision
from flywheel.work import Work, work
from labeling.store.database import Database
from tests.flywheel.rows import HOUR, NOW, run_of


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
