"""Which run is meant by an id, or by the beginning of one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flywheel.checkpoints import run_named
from flywheel.tables import Dataset, Decision, Run
from labeling.store.database import Database

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:
        with database.write() as session:
            session.add(Decision(id=1, made=NOW, retrain=True, reason="r", counts={}))
            session.add(Dataset(id="d", made=NOW, path="d.jsonl", corrections=[], replay=0))
            session.flush()
            for id in ("18eaa7116277", "18eaa7999999", "0_%000000000"):
                given = {"decision": 1, "dataset": "d", "base": "b", "path": "p", "state": "trained", "note": ""}
                session.add(Run(id=id, began=NOW, **given))
        yield database


@pytest.mark.parametrize("name", ["18eaa7116277", "18eaa71", "0_%000"])
def test_an_id_or_the_only_one_that_begins_so(store: Database, name: str) -> None:
    with store.read() as session:
        assert run_named(session, name).id.startswith(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("18eaa7", "several runs begin with 18eaa7"), ("0_%00", "there is no run"), ("______", "there is no run")],
)
def test_less_than_six_characters_several_or_none(store: Database, name: str, reason: str) -> None:
    with store.read() as session, pytest.raises(ValueError, match=reason):
        run_named(session, name)
