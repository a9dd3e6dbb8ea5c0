"""Whether there is anything to train, judge or promote: what a scheduler asks before it starts what is dear."""

from dataclasses import dataclass

import sqlalchemy as sql

from flywheel.decide import AT_WORK
from flywheel.tables import Decision, Run
from labeling.store.database import Database


@dataclass(frozen=True)
class Work:
    """Where the last decision and the last run stand."""

    decided: bool
    """Whether it was decided to train, and no run was begun since."""
    run: str | None
    """The run at work, or else the last one; null before the first."""
    state: str | None
    """The run's: training, trained, failed, refused, canary or promoted."""
    note: str
    """Why it failed or was refused."""

    @property
    def ready(self) -> bool:
        return self.decided or self.state in AT_WORK


def work(database: Database) -> Work:
    """Changes nothing, and decides nothing."""
    with database.read() as session:
        decision = session.scalar(sql.select(Decision).order_by(Decision.id.desc()).limit(1))
        newest = sql.select(Run).order_by(Run.decision.desc()).limit(1)
        run = session.scalar(newest.where(Run.state.in_(AT_WORK))) or session.scalar(newest)
        begun = decision is not None and session.scalar(sql.select(Run.id).where(Run.decision == decision.id).limit(1))
        return Work(
            decided=decision is not None and decision.retrain and not begun,
            run=None if run is None else run.id,
            state=None if run is None else run.state,
            note="" if run is None else run.note,
        )
