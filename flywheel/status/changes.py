"""What became of each promotion, canary and rollback, and whether `current.json` says the same as their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.canary import canary_tally, takes_over, time_left
from flywheel.checkpoints import noted
from flywheel.config import Config
from flywheel.live import Live, pointer
from flywheel.settle import same
from flywheel.tables import Promotion
from trainer.pointer import read_pointer


@dataclass(frozen=True)
class Change:
    """A promotion, the beginning of a canary, or a rollback."""

    at: datetime
    action: str
    checkpoint_id: str
    path: str
    share: float
    reason: str
    became: str
    """What came of it."""


def changes(session: Session, config: Config, who: Live, now: datetime) -> dict[int, Change]:
    """By number, in the order of time."""
    rows = list(session.scalars(sql.select(Promotion).order_by(Promotion.id)))
    found = {}
    for place, row in enumerate(rows):
        became = _became(row, rows[place + 1 :], who)
        if row is who.canary:
            became = _stands(session, config, who, now)
        path = noted(config, config.folder / row.path)
        found[row.id] = Change(row.made, row.action, row.checkpoint_id, path, row.share, row.reason, became)
    return found


def current(config: Config, who: Live, known: Mapping[int, Change]) -> tuple[Change | None, str]:
    """What people talk to by `current.json`, and what is amiss with that; by the rows where the file can't be read."""
    by_rows = None if who.since is None or who.current is None else known[who.since.id]
    wanted = pointer(who, config.folder)
    try:
        written = read_pointer(config.current)
        at = datetime.fromtimestamp(config.current.stat().st_mtime, UTC)
    except (FileNotFoundError, ValueError) as error:
        return by_rows, "" if by_rows is None else str(error)
    if wanted is not None and same(written, wanted):
        return by_rows, ""
    found = Change(
        at,
        "file",
        written.id,
        noted(config, written.folder),
        1.0,
        "written by nobody that the store knows",
        "",
    )
    says = "nothing" if wanted is None else "another canary" if written.id == wanted.id else wanted.id[:12]
    return found, f"{config.current} says {written.id[:12]}, and the store {says}: the next tick brings them together"


def _became(row: Promotion, later: Sequence[Promotion], who: Live) -> str:
    if row.action == "rollback":
        return ""
    if row is who.current:
        return "answers now"
    if row.id in who.undone:
        return f"taken back on {who.undone[row.id].made:%Y-%m-%d %H:%M}"
    if row is who.before:
        return "what a rollback goes back to"
    if row.action == "promote":
        return "followed by others"
    if later and (later[0].action, later[0].checkpoint_id) == ("canary", row.checkpoint_id):
        return "noted once more, by another clock"
    after = next((one for one in later if one.action == "promote"), None)
    took_over = after is not None and after.checkpoint_id == row.checkpoint_id
    return f"took over on {after.made:%Y-%m-%d %H:%M}" if after is not None and took_over else "ended by another"


def _stands(session: Session, config: Config, who: Live, now: datetime) -> str:
    """What the next look at the canary would do (`flywheel.promote`)."""
    counted, left = canary_tally(session, who, now), time_left(who.tried, config.promote.hours, now)
    ends = counted is not None and counted.too_many
    return f"{counted}; {'it is taken back with the next tick' if ends else takes_over(left)}"
