"""Who answers people now, by the rows of promotions: the checkpoint, the one before it, and a canary beside it.

A promotion puts a checkpoint on top of the others, and ends a canary. A rollback ends the canary where there is one,
and else takes the topmost checkpoint away.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.tables import Promotion, Run, Verdict
from trainer.pointer import Canary, Pointer


@dataclass(frozen=True)
class Live:
    """The rows that count, and what became of the others."""

    current: Promotion | None = None
    """The promotion of what people talk to; null where nothing was promoted."""
    before: Promotion | None = None
    """What a rollback goes back to."""
    canary: Promotion | None = None
    tried: tuple[Promotion, ...] = ()
    """The canary's rows, `canary` the last: several where the clock was behind its beginning when it was looked at."""
    since: Promotion | None = None
    """The promotion or rollback by which `current` came to answer."""
    last: Promotion | None = None
    """The newest row, whatever it did."""
    undone: dict[int, Promotion] = field(default_factory=dict)
    """By the number of a promotion or canary, the rollback that took it back."""


def live(session: Session) -> Live:
    return fold(session.scalars(sql.select(Promotion).order_by(Promotion.id)))


def fold(rows: Iterable[Promotion]) -> Live:
    """The rows in the order of their numbers -> what they come to."""
    standing: list[Promotion] = []
    undone: dict[int, Promotion] = {}
    tried: list[Promotion] = []
    since: Promotion | None = None
    last: Promotion | None = None
    for last in rows:
        if last.action == "canary":
            tried = [
                *(one for one in tried if (one.checkpoint_id, one.share) == (last.checkpoint_id, last.share)),
                last,
            ]
            continue
        if last.action == "promote":
            standing.append(last)
        elif tried:
            undone[tried[-1].id], tried = last, []
            continue
        elif standing:
            undone[standing.pop().id] = last
        since, tried = last, []
    return Live(
        current=standing[-1] if standing else None,
        before=standing[-2] if len(standing) > 1 else None,
        canary=tried[-1] if tried else None,
        tried=tuple(tried),
        since=since,
        last=last,
        undone=undone,
    )


def pointer(found: Live, folder: Path) -> Pointer | None:
    """What `current.json` should say, of a loop in this folder; None where nothing was promoted."""
    current, canary = found.current, found.canary
    if current is None or found.last is None:
        return None
    tried = None if canary is None else Canary(folder / canary.path, canary.checkpoint_id, canary.share)
    return Pointer(folder / current.path, current.checkpoint_id, found.last.id, tried)


def add(
    session: Session,
    now: datetime,
    action: str,
    path: str,
    id: str,
    before: Promotion | None,
    verdict: str | None,
    reason: str,
    share: float = 1.0,
) -> Promotion:
    """Another row; `path` is as `flywheel.checkpoints.noted` has it, `before` what it follows on, or what a rollback
    takes back."""
    row = Promotion(
        made=now,
        action=action,
        path=path,
        checkpoint_id=id,
        previous=None if before is None else before.checkpoint_id,
        verdict=verdict,
        reason=reason,
        share=share,
    )
    session.add(row)
    session.flush()  # its number is part of the pointer
    return row


def mark(session: Session, checkpoint_id: str, state: str, note: str = "") -> None:
    """Tells the runs that made a checkpoint what became of it."""
    for run in session.scalars(sql.select(Run).where(Run.checkpoint_id == checkpoint_id)):
        run.state, run.note = state, note


def taken_back(session: Session) -> set[str]:
    """The runs whose checkpoint answered people and was rolled back, or ended by another.

    Their state is `refused` as that of those which the gate refused, whose note is the gate's reason.
    """
    answered = sql.select(Promotion.checkpoint_id).where(Promotion.action != "rollback")
    by_gate = sql.exists().where(Verdict.run == Run.id, Verdict.passed.is_(False), Verdict.reason == Run.note)
    ended = sql.select(Run.id).where(Run.state == "refused", Run.checkpoint_id.in_(answered), sql.not_(by_gate))
    return set(session.scalars(ended))
