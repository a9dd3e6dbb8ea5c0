"""Which checkpoint people talk to: promotions and rollbacks as rows, and `models/current.json`, which follows them.

The row comes first and the file second, each at once: whoever is killed between them finds the row, and the file is
written then (`flywheel.settle`). A running server follows the file (`trainer.talk.serve.follow`). With a share in
`promote.canary`, a run that passed the gate answers that share of the conversations first, and takes over after some
hours without many reports.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.canary import Tally, began, beginning, canary_tally, takes_over, time_left
from flywheel.checkpoints import folder_of, noted, run_named
from flywheel.config import Config
from flywheel.live import Live, add, live, mark
from flywheel.lost import failing, reading
from flywheel.settle import follow, settle
from flywheel.tables import Promotion, Run, Verdict
from labeling.store.database import Database
from trainer import checkpoint


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
        if current is not None and (current.checkpoint_id, _folder(config, current)) == (id, folder):
            return _promoted(config, current, False)
        if found.canary is not None and found.canary.checkpoint_id != id:
            mark(session, found.canary.checkpoint_id, "refused", f"another was promoted on {now:%Y-%m-%d}: {reason}")
        row = add(session, now, "promote", noted(config, folder), id, current, None, reason)
        mark(session, id, "promoted")
        changed = _promoted(config, row, True)
    follow(database, config)
    return changed


def promote(
    database: Database, config: Config, now: datetime, run: str | None = None, at_once: bool = False
) -> Promoted | None:
    """Promotes a run that the gate has passed, by default the newest that is not promoted; None where there is none.

    With a canary's share in the settings, it answers that first. Called again, this looks at the canary: it is rolled
    back where people report it too often, promoted after its hours, and else left alone. `at_once` promotes without
    or before all that. A verdict promotes once: after a rollback it takes a new one, or `begin`. Raises ValueError for
    a run that was not passed, or was compared with another checkpoint than people talk to now; LostError where the
    run's checkpoint can't be read, and it becomes `failed` where it was not named.
    """
    settle(database, config)
    with database.read() as session:
        found = live(session)
        if found.canary is not None and run is not None:
            _is_canary(session, run, found.canary)
        counted = canary_tally(session, found, now)
        session.expunge_all()
    if counted is not None:
        return _look(database, config, now, found, counted, at_once)
    with failing(database, run):
        return _by_verdict(database, config, now, run, 0.0 if at_once else config.promote.canary)


def rollback(database: Database, config: Config, now: datetime, reason: str = "by hand") -> Promoted:
    """Ends the canary; without one, back to what people talked to before the last promotion; again, to the one before.

    Raises ValueError where there is none, FileNotFoundError where its folder is gone.
    """
    return _back(database, config, now, reason)


def _back(database: Database, config: Config, now: datetime, reason: str, only: int | None = None) -> Promoted:
    """Takes the topmost back; or, where a canary's number is given, that one, and nothing where it has ended."""
    settle(database, config)
    with database.read() as session:
        found = live(session)
        if only is not None and not _is_out(found, only):
            return _stands(config, found)
        undone, back = _undo(found)
        path, id, canary = back.path, back.checkpoint_id, undone.action == "canary"
    if not canary:  # else it answers already
        id = _whole(checkpoint.find(config.folder / path))
    with database.write() as session:
        found = live(session)
        if only is not None and not _is_out(found, only):
            return _stands(config, found)
        undone, back = _undo(found)
        if (back.checkpoint_id, back.path) != (id, path):
            raise ValueError(
                f"{config.folder / path} no longer holds checkpoint {back.checkpoint_id[:12]}; nothing was changed."
            )
        why = f"{reason}; {'ends canary' if undone.action == 'canary' else 'undoes promotion'} {undone.id}"
        row = add(session, now, "rollback", path, id, undone, back.verdict, why)
        mark(session, undone.checkpoint_id, "refused", f"rolled back on {now:%Y-%m-%d}: {reason}")
        mark(session, id, "promoted")
        changed = _promoted(config, row, True)
    follow(database, config)
    return changed


def _by_verdict(database: Database, config: Config, now: datetime, run: str | None, share: float) -> Promoted | None:
    """Promotes a passed run, or makes it a canary with a share of the conversations."""
    with database.read() as session:
        chosen = _passed(session, run)
        if chosen is None:
            return None
        name, verdict_id = chosen[0].id, chosen[1].id
        with reading(name):
            folder = folder_of(config, chosen[0])
    with reading(name):
        id, path = _whole(folder), noted(config, folder)
    with database.write() as session:
        found, verdict = live(session), session.get_one(Verdict, verdict_id)
        current, earlier = found.current, _promotion_by(session, verdict_id)
        if earlier is not None and earlier in (current, found.canary):
            return _promoted(config, earlier, False)
        if earlier is not None:
            raise ValueError(
                f"run {name} was promoted on {earlier.made:%Y-%m-%d} and something else followed; name its folder to "
                f"take it again: {_folder(config, earlier)}"
            )
        base = verdict.figures["base"]
        if current is not None and current.checkpoint_id != base:
            raise ValueError(
                f"run {name} was compared with {base[:12]}, but people talk to {current.checkpoint_id[:12]} now; let "
                "the gate judge it again."
            )
        if share and current is not None:
            row = add(session, now, "canary", path, id, current, verdict_id, verdict.reason, share)
            mark(session, id, "canary")
        else:
            row = add(session, now, "promote", path, id, current, verdict_id, verdict.reason)
            mark(session, id, "promoted")
        changed = _promoted(config, row, True)
    follow(database, config)
    return changed


def _look(database: Database, config: Config, now: datetime, seen: Live, counted: Tally, at_once: bool) -> Promoted:
    """Ends a canary, one way or the other, or leaves it alone; nothing is done to what another look has ended since."""
    canary, since = seen.tried[-1], began((row.made for row in seen.tried), now)
    if counted.too_many and not at_once:
        why = f"people report the canary too often: {counted} (p = {counted.p:.1g})"
        return _back(database, config, now, why, canary.id)
    if since is None and not at_once:
        return _begun_anew(database, config, now, canary, counted)
    left = time_left(seen.tried, config.promote.hours, now)
    if left > timedelta() and not at_once:
        return _promoted(config, canary, False, f"{counted}; {takes_over(left)}")
    try:
        folder = checkpoint.find(config.folder / canary.path)
        id = _whole(folder)
        if id != canary.checkpoint_id:
            raise ValueError(f"{folder} holds {id[:12]}, and the canary was {canary.checkpoint_id[:12]}.")
    except (FileNotFoundError, ValueError) as error:
        if at_once:  # a person reads it, and may mend it
            raise
        return _back(database, config, now, f"the canary can't be read: {error}", canary.id)
    with database.write() as session:
        found = live(session)
        if not _is_out(found, canary.id):
            return _stands(config, found)
        why = f"a canary since {beginning(seen.tried, now):%Y-%m-%d %H:%M}: {counted}"
        row = add(session, now, "promote", noted(config, folder), id, found.current, canary.verdict, why)
        mark(session, id, "promoted")
        changed = _promoted(config, row, True)
    follow(database, config)
    return changed


def _begun_anew(database: Database, config: Config, now: datetime, canary: Promotion, counted: Tally) -> Promoted:
    """Notes a canary once more whose beginning is ahead of the clock: its hours count from now."""
    with database.write() as session:
        found = live(session)
        if not _is_out(found, canary.id):
            return _stands(config, found)
        left = timedelta(hours=config.promote.hours)
        why = f"its beginning, {canary.made:%Y-%m-%d %H:%M}, is ahead of the clock: {takes_over(left)}; {counted}"
        path, id = canary.path, canary.checkpoint_id
        row = add(session, now, "canary", path, id, found.current, canary.verdict, why, canary.share)
        changed = _promoted(config, row, True)
    follow(database, config)
    return replace(changed, new=False)  # whom people talk to is the same


def _is_out(found: Live, canary: int) -> bool:
    return found.canary is not None and found.canary.id == canary


def _stands(config: Config, found: Live) -> Promoted:
    """How it stands where another process has been faster."""
    assert found.last is not None
    return _promoted(config, found.last, False)


def _is_canary(session: Session, name: str, canary: Promotion) -> None:
    if run_named(session, name).checkpoint_id != canary.checkpoint_id:
        raise ValueError(
            f"{canary.checkpoint_id[:12]} answers {canary.share:.0%} of the conversations; promote it with --now, or "
            f"roll it back, before run {name}."
        )


def _passed(session: Session, name: str | None) -> tuple[Run, Verdict] | None:
    """A run and the verdict that holds, if it passed. Raises ValueError where a run was named that did not."""
    if name is None:
        query = sql.select(Run).where(Run.state == "trained").order_by(Run.ended.desc(), Run.id).limit(1)
        run = session.scalars(query).first()
        verdict = None if run is None else _verdict(session, run)
        return (run, verdict) if run is not None and verdict is not None and verdict.passed else None
    run = run_named(session, name)
    verdict = _verdict(session, run)
    if verdict is None:
        raise ValueError(f"the gate has not judged run {name}; run `corpuscle flywheel gate` first.")
    if not verdict.passed:
        raise ValueError(f"the gate did not pass run {name}: {verdict.reason}")
    return run, verdict


def _verdict(session: Session, run: Run) -> Verdict | None:
    """The newest over what people talk to now; without one, the newest. By time alone, one that was given before the
    clock was set back would be the newest for ever."""
    newest = sql.select(Verdict).where(Verdict.run == run.id).order_by(Verdict.made.desc(), Verdict.id)
    current, found = live(session).current, session.scalars(newest).all()
    over = [one for one in found if current is not None and one.figures.get("base") == current.checkpoint_id]
    return next(iter(over or found), None)


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


def _folder(config: Config, row: Promotion) -> Path:
    return (config.folder / row.path).resolve()


def _promoted(config: Config, row: Promotion, new: bool, reason: str = "") -> Promoted:
    folder, why = _folder(config, row), reason or row.reason
    return Promoted(row.id, row.action, folder, row.checkpoint_id, row.previous, why, new, row.share)
