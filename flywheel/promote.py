"""Which checkpoint people talk to: promotions and rollbacks as rows, and `models/current.json`, which follows them.

The row comes first and the file second, each at once: whoever is killed between them finds the row, and the file is
written then (`flywheel.settle`). A running server follows the file (`trainer.talk.serve.follow`). With a share in
`promote.canary`, a run that passed the gate answers that share of the conversations first, and takes over after some
hours without many reports.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.canary import Tally, tally
from flywheel.checkpoints import folder_of, run_named
from flywheel.config import Config
from flywheel.live import Live, add, live, mark, pointer
from flywheel.settle import settle
from flywheel.tables import Promotion, Run, Verdict
from labeling.store.database import Database
from trainer import checkpoint
from trainer.pointer import Pointer, write_pointer


@dataclass(frozen=True)
class Promoted:
    """What was done, or how it stands: an action, and whom it is about."""

    number: int
    action: str
    """promote or rollback: `folder` is what people talk to now; canary: it answers `share` of the conversations."""
    folder: Path
    checkpoint_id: str
    previous: str | None
    reason: str
    new: bool
    """Whether it changed just now."""
    share: float = 1.0


def begin(database: Database, config: Config, model: Path, now: datetime, reason: str = "by hand") -> Promoted:
    """Promotes a checkpoint that no verdict stands for: the first one, or what a person takes upon themselves.

    Nothing changes where it is the current one; a canary ends. Raises FileNotFoundError or ValueError where it is none.
    """
    folder = checkpoint.find(model).resolve()
    id = _whole(folder)
    settle(database, config)
    with database.write() as session:
        found = live(session)
        current = found.current
        if current is not None and (current.checkpoint_id, current.path) == (id, str(folder)):
            return _promoted(current, False)
        if found.canary is not None and found.canary.checkpoint_id != id:
            mark(session, found.canary.checkpoint_id, "refused", f"another was promoted on {now:%Y-%m-%d}: {reason}")
        row = add(session, now, "promote", folder, id, current, None, reason)
        mark(session, id, "promoted")
        changed = _changed(session, row)
    return _point(config, *changed)


def promote(
    database: Database, config: Config, now: datetime, run: str | None = None, at_once: bool = False
) -> Promoted | None:
    """Promotes a run that the gate has passed, by default the newest that is not promoted; None where there is none.

    With a canary's share in the settings, it answers that first. Called again, this looks at the canary: it is rolled
    back where people report it too often, promoted after its hours, and else left alone. `at_once` promotes without
    or before all that. A verdict promotes once: after a rollback it takes a new one, or `begin`. Raises ValueError for
    a run that was not passed, or was compared with another checkpoint than people talk to now.
    """
    settle(database, config)
    with database.read() as session:
        found = live(session)
        if found.canary is not None and run is not None:
            _is_canary(session, run, found.canary)
        counted = _tally(session, found)
        session.expunge_all()
    if found.canary is not None and counted is not None:
        return _look(database, config, now, found.canary, counted, at_once)
    return _by_verdict(database, config, now, run, 0.0 if at_once else config.promote.canary)


def rollback(database: Database, config: Config, now: datetime, reason: str = "by hand") -> Promoted:
    """Ends the canary; without one, back to what people talked to before the last promotion; again, to the one before.

    Raises ValueError where there is none, FileNotFoundError where its folder is gone.
    """
    settle(database, config)
    with database.read() as session:
        undone, back = _undo(live(session))
        path, id, canary = Path(back.path), back.checkpoint_id, undone.action == "canary"
    if not canary:  # else it answers already
        id = _whole(checkpoint.find(path))
    with database.write() as session:
        undone, back = _undo(live(session))
        if (back.checkpoint_id, back.path) != (id, str(path)):
            raise ValueError(f"{path} no longer holds checkpoint {back.checkpoint_id[:12]}; nothing was changed.")
        why = f"{reason}; {'ends canary' if undone.action == 'canary' else 'undoes promotion'} {undone.id}"
        row = add(session, now, "rollback", path, id, undone, back.verdict, why)
        mark(session, undone.checkpoint_id, "refused", f"rolled back on {now:%Y-%m-%d}: {reason}")
        mark(session, id, "promoted")
        changed = _changed(session, row)
    return _point(config, *changed)


def _by_verdict(database: Database, config: Config, now: datetime, run: str | None, share: float) -> Promoted | None:
    """Promotes a passed run, or makes it a canary with a share of the conversations."""
    with database.read() as session:
        chosen = _passed(session, run)
        if chosen is None:
            return None
        folder, name, verdict_id = folder_of(config, chosen[0]).resolve(), chosen[0].id, chosen[1].id
    id = _whole(folder)
    with database.write() as session:
        found, verdict = live(session), session.get_one(Verdict, verdict_id)
        current, earlier = found.current, _promotion_by(session, verdict_id)
        if earlier is not None and earlier in (current, found.canary):
            return _promoted(earlier, False)
        if earlier is not None:
            raise ValueError(
                f"run {name} was promoted on {earlier.made:%Y-%m-%d} and something else followed; name its folder to "
                f"take it again: {earlier.path}"
            )
        base = verdict.figures["base"]
        if current is not None and current.checkpoint_id != base:
            raise ValueError(
                f"run {name} was compared with {base[:12]}, but people talk to {current.checkpoint_id[:12]} now; let "
                "the gate judge it again."
            )
        if share and current is not None:
            row = add(session, now, "canary", folder, id, current, verdict_id, verdict.reason, share)
            mark(session, id, "canary")
        else:
            row = add(session, now, "promote", folder, id, current, verdict_id, verdict.reason)
            mark(session, id, "promoted")
        changed = _changed(session, row)
    return _point(config, *changed)


def _look(
    database: Database, config: Config, now: datetime, canary: Promotion, counted: Tally, at_once: bool
) -> Promoted:
    """Ends a canary, one way or the other, or leaves it alone."""
    if counted.too_many and not at_once:
        return rollback(database, config, now, f"people report the canary too often: {counted} (p = {counted.p:.1g})")
    left = timedelta(hours=config.promote.hours) - (now - canary.made)
    if left > timedelta() and not at_once:
        return _promoted(canary, False, f"{counted}; it takes over in {left / timedelta(hours=1):.1f} hours")
    folder = checkpoint.find(Path(canary.path))
    id = _whole(folder)
    with database.write() as session:
        found = live(session)
        if found.canary is None or found.canary.id != canary.id or id != canary.checkpoint_id:
            raise ValueError(f"canary {canary.id} is none any more, or {folder} has changed; nothing was promoted.")
        why = f"a canary since {canary.made:%Y-%m-%d %H:%M}: {counted}"
        row = add(session, now, "promote", folder, id, found.current, canary.verdict, why)
        mark(session, id, "promoted")
        changed = _changed(session, row)
    return _point(config, *changed)


def canary_tally(session: Session) -> Tally | None:
    """How people report the canary, if there is one."""
    return _tally(session, live(session))


def _tally(session: Session, found: Live) -> Tally | None:
    canary = found.canary
    if canary is None:
        return None
    current = "" if found.current is None else found.current.checkpoint_id
    return tally(session, current, canary.checkpoint_id, canary.share, canary.made)


def _is_canary(session: Session, name: str, canary: Promotion) -> None:
    if run_named(session, name).checkpoint_id != canary.checkpoint_id:
        raise ValueError(
            f"{canary.checkpoint_id[:12]} answers {canary.share:.0%} of the conversations; promote it with --now, or "
            f"roll it back, before run {name}."
        )


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


def _promotion_by(session: Session, verdict: str) -> Promotion | None:
    """The last one by a verdict, a canary too."""
    query = sql.select(Promotion).where(Promotion.verdict == verdict, Promotion.action != "rollback")
    return session.scalars(query.order_by(Promotion.id.desc())).first()


def _undo(found: Live) -> tuple[Promotion, Promotion]:
    """What a rollback takes back, and what people talk to then. Raises ValueError."""
    if found.canary is not None and found.current is not None:
        return found.canary, found.current
    if found.current is None or found.before is None:
        raise ValueError("there is no checkpoint before the current one; nothing was changed.")
    return found.current, found.before


def _whole(folder: Path) -> str:
    """The checkpoint's id, its weights read and checked before anyone is to talk to them.

    Before a transaction, not in it: it takes seconds, and the chat waits two for the store.
    """
    return checkpoint.load(folder).about.id


def _promoted(row: Promotion, new: bool, reason: str = "") -> Promoted:
    path, why = Path(row.path), reason or row.reason
    return Promoted(row.id, row.action, path, row.checkpoint_id, row.previous, why, new, row.share)


def _changed(session: Session, row: Promotion) -> tuple[Promoted, Pointer]:
    written = pointer(live(session))
    assert written is not None
    return _promoted(row, True), written


def _point(config: Config, found: Promoted, written: Pointer) -> Promoted:
    write_pointer(config.current, written)
    return found
