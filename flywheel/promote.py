"""Which checkpoint people talk to: promotions and rollbacks as rows, and `models/current.json`, which follows them.

The row comes first and the file second, each at once: whoever is killed between them finds the row, and `settle` writes
the file. A running server follows the file (`trainer.talk.serve.follow`).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.checkpoints import folder_of, run_named
from flywheel.config import Config
from flywheel.tables import Promotion, Run, Verdict
from labeling.store.database import Database
from trainer import checkpoint
from trainer.pointer import Pointer, read_pointer, write_pointer


@dataclass(frozen=True)
class Promoted:
    """What people talk to now, and what they talked to before."""

    number: int
    action: str
    folder: Path
    checkpoint_id: str
    previous: str | None
    reason: str
    new: bool
    """Whether it changed just now."""


def begin(database: Database, config: Config, model: Path, now: datetime, reason: str = "by hand") -> Promoted:
    """Promotes a checkpoint that no verdict stands for: the first one, or what a person takes upon themselves.

    Nothing changes where it is the current one. Raises FileNotFoundError or ValueError where it is none.
    """
    folder = checkpoint.find(model).resolve()
    id = _whole(folder)
    with database.write() as session:
        last = _last(session)
        if last is None or (last.checkpoint_id, last.path) != (id, str(folder)):
            last = _add(session, now, "promote", folder, id, last, None, reason)
            found = _promoted(last, True)
        else:
            found = _promoted(last, False)
    _point(config, found)
    return found


def promote(database: Database, config: Config, now: datetime, run: str | None = None) -> Promoted | None:
    """Promotes a run that the gate has passed, by default the newest that is not promoted; None where there is none.

    A verdict promotes once: after a rollback it takes a new one, or `begin`. Raises ValueError for a run that was not
    passed, or was compared with another checkpoint than people talk to now.
    """
    with database.read() as session:
        chosen = _passed(session, run)
        if chosen is None:
            return None
        folder, name, verdict_id = folder_of(config, chosen[0]).resolve(), chosen[0].id, chosen[1].id
    id = _whole(folder)
    with database.write() as session:
        last, judged, verdict = _last(session), session.get_one(Run, name), session.get_one(Verdict, verdict_id)
        earlier = session.scalars(sql.select(Promotion).where(Promotion.verdict == verdict_id)).first()
        if earlier is not None and earlier is not last:
            raise ValueError(
                f"run {name} was promoted on {earlier.made:%Y-%m-%d} and something else followed; name its folder to "
                f"take it again: {earlier.path}"
            )
        base = verdict.figures["base"]
        if earlier is not None:
            found = _promoted(earlier, False)
        elif last is not None and last.checkpoint_id != base:
            raise ValueError(
                f"run {name} was compared with {base[:12]}, but people talk to {last.checkpoint_id[:12]} now; let the "
                "gate judge it again."
            )
        else:
            judged.state = "promoted"
            found = _promoted(_add(session, now, "promote", folder, id, last, verdict_id, verdict.reason), True)
    _point(config, found)
    return found


def rollback(database: Database, config: Config, now: datetime, reason: str = "by hand") -> Promoted:
    """Back to what people talked to before the last promotion; again, to the one before that.

    Raises ValueError where there is none, FileNotFoundError where its folder is gone.
    """
    with database.read() as session:
        path = Path(_undo(session)[1].path)
    folder = checkpoint.find(path)
    id = _whole(folder)
    with database.write() as session:
        undone, before = _undo(session)
        if (before.checkpoint_id, before.path) != (id, str(path)):
            raise ValueError(f"{path} no longer holds checkpoint {before.checkpoint_id[:12]}; nothing was changed.")
        if undone.verdict is not None:
            run = session.get_one(Run, session.get_one(Verdict, undone.verdict).run)
            run.state, run.note = "refused", f"rolled back on {now:%Y-%m-%d}: {reason}"
        why = f"{reason}; undoes promotion {undone.id}"
        found = _promoted(_add(session, now, "rollback", folder, id, undone, before.verdict, why), True)
    _point(config, found)
    return found


def settle(database: Database, config: Config) -> bool:
    """Writes `current.json` if a killed promotion has not. True if it did.

    A file whose promotion the store does not know was written after the store's last backup: it stays.
    """
    with database.read() as session:
        last = _last(session)
        if last is None:
            return False
        found = _promoted(last, False)
    try:
        written = read_pointer(config.current).promotion
    except (FileNotFoundError, ValueError):
        written = 0
    if written >= found.number:
        return False
    _point(config, found)
    return True


def _passed(session: Session, name: str | None) -> tuple[Run, Verdict] | None:
    newest = sql.select(Verdict).order_by(Verdict.made.desc(), Verdict.id).limit(1)
    if name is None:
        query = sql.select(Run).where(Run.state == "trained").order_by(Run.ended.desc(), Run.id).limit(1)
        run = session.scalars(query).first()
        verdict = None if run is None else session.scalars(newest.where(Verdict.run == run.id)).first()
        return (run, verdict) if run is not None and verdict is not None and verdict.passed else None
    run = run_named(session, name)
    verdict = session.scalars(newest.where(Verdict.run == run.id)).first()
    if verdict is None:
        raise ValueError(f"the gate has not judged run {name}; run `corpuscle flywheel gate` first.")
    if not verdict.passed:
        raise ValueError(f"the gate did not pass run {name}: {verdict.reason}")
    return run, verdict


def _undo(session: Session) -> tuple[Promotion, Promotion]:
    """The promotion that a rollback takes back, and the one that it goes back to. Raises ValueError."""
    standing: list[Promotion] = []
    for row in session.scalars(sql.select(Promotion).order_by(Promotion.id)):
        if row.action == "promote":
            standing.append(row)
        else:
            standing.pop()
    if len(standing) < 2:
        raise ValueError("there is no checkpoint before the current one; nothing was changed.")
    return standing[-1], standing[-2]


def _whole(folder: Path) -> str:
    """The checkpoint's id, its weights read and checked before anyone is to talk to them.

    Before a transaction, not in it: it takes seconds, and the chat waits two for the store.
    """
    return checkpoint.load(folder).about.id


def _last(session: Session) -> Promotion | None:
    return session.scalars(sql.select(Promotion).order_by(Promotion.id.desc()).limit(1)).first()


def _add(
    session: Session,
    now: datetime,
    action: str,
    folder: Path,
    id: str,
    last: Promotion | None,
    verdict: str | None,
    reason: str,
) -> Promotion:
    row = Promotion(
        made=now,
        action=action,
        path=str(folder),
        checkpoint_id=id,
        previous=None if last is None else last.checkpoint_id,
        verdict=verdict,
        reason=reason,
    )
    session.add(row)
    session.flush()  # its number is part of the pointer
    return row


def _promoted(row: Promotion, new: bool) -> Promoted:
    return Promoted(row.id, row.action, Path(row.path), row.checkpoint_id, row.previous, row.reason, new)


def _point(config: Config, found: Promoted) -> None:
    write_pointer(config.current, Pointer(found.folder, found.checkpoint_id, found.number))
