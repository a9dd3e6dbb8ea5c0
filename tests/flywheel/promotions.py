"""What tests of promotions begin with: runs that passed the gate, and what the store and the pointer say."""

from pathlib import Path

import sqlalchemy as sql

from flywheel.config import Config
from flywheel.tables import Dataset, Decision, Promotion, Verdict
from labeling.store.database import Database
from tests.flywheel.rows import NOW, run_of
from trainer.checkpoint import read_about
from trainer.pointer import read_pointer


def current(config: Config) -> str:
    return read_pointer(config.current).id


def id_of(folder: Path) -> str:
    return read_about(folder).id


def add_passed(database: Database, name: str, trained: Path, base: Path, passed: bool = True) -> str:
    """A run that the gate has judged against `base`."""
    with database.write() as session:
        decision = Decision(made=NOW, retrain=True, reason="enough", counts={})
        session.add_all([decision, Dataset(id=name, made=NOW, path="d.jsonl", corrections=[], replay=0)])
        session.flush()
        kind = "trained" if passed else "refused"
        run = run_of(name, name, decision.id, path=str(trained), ended=NOW, state=kind, checkpoint_id=id_of(trained))
        session.add(run)
        session.flush()
        said = {"passed": passed, "reason": "eggs improve" if passed else "eggs get worse"}
        session.add(
            Verdict(id=f"verdict-{name}", run=name, made=NOW, figures={"base": id_of(base)}, page="p.html", **said)
        )
    return name


def forget(database: Database, since: int) -> None:
    """The store as it was before a promotion, restored from a backup."""
    with database.write() as session:
        session.execute(sql.delete(Promotion).where(Promotion.id >= since))


def history(database: Database) -> list[tuple[str, str, str | None]]:
    with database.read() as session:
        rows = session.scalars(sql.select(Promotion).order_by(Promotion.id))
        return [(row.action, row.checkpoint_id, row.previous) for row in rows]
