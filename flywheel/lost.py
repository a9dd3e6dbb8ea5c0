"""A trained run whose checkpoint or data can't be read any more: it has failed, and is tried again as others that have.

Without it the run would stay `trained` for ever, and nothing else would be trained beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flywheel.tables import Run
from labeling.store.database import Database


class LostError(ValueError):
    """What a run has left is gone, changed or damaged."""

    def __init__(self, run: str, why: str) -> None:
        super().__init__(f"run {run[:12]}: {why}")
        self.run, self.why = run, why


@contextmanager
def reading(run: str, what: str = "checkpoint") -> Iterator[None]:
    """Around what reads a run's checkpoint or data, and nothing else. Raises LostError."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        raise LostError(run, f"its {what} can't be read: {error}") from error


@contextmanager
def failing(database: Database, named: str | None) -> Iterator[None]:
    """Notes that a run has failed of which something is lost, where nobody has named it. Raises what it is around."""
    try:
        yield
    except LostError as error:
        if named is None:
            with database.write() as session:
                run = session.get_one(Run, error.run)
                if run.state == "trained":
                    run.state, run.note = "failed", error.why
        raise
