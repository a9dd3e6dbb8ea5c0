"""Whether there is anything to train, judge or promote: what a scheduler asks before it starts what is dear."""

from dataclasses import dataclass

import sqlalchemy as sql

from flywheel.decide import AT_WORK
from flywheel.live import taken_back
from flywheel.tables import Decision, Run, Verdict
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


def told(database: Database, found: Work) -> str:
    """Where it stands, in a line for people."""
    begins = "it is decided to train" if found.decided else "nothing is to be begun"
    if found.run is None:
        return f"{begins}; no run was begun yet"
    name = f"run {found.run[:12]}"
    with database.read() as session:
        judged = sql.select(Verdict.passed).where(Verdict.run == found.run).order_by(Verdict.made.desc(), Verdict.id)
        passed, back = session.scalar(judged.limit(1)), found.run in taken_back(session)
    if found.state == "trained":
        return f"{name} {'has passed the gate and waits for promotion' if passed else 'waits for the gate'}"
    if found.state == "training":
        return f"{name} is being trained, or was stopped: `train` goes on with it"
    if found.state == "canary":
        return f"{name} is a canary, which `promote` looks at"
    ended = {"failed": "has failed", "refused": "was taken back" if back else "was refused by the gate"}
    return f"{begins}; {name} {ended.get(found.state or '', f'is {found.state}')}"
