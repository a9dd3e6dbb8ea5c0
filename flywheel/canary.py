"""Whether people report a canary more often than its share of the conversations explains.

What is counted is how conversations begin, for by that they are drawn (`trainer.talk.serve.share`): under a canary no
worse than the other, each that is reported was the canary's with the probability of its share, however often people
ask the same. A one-sided binomial test, looked at again and again: of canaries no worse than the other, 3 in 100 are
taken back within 50 reported conversations, and 5 in 100 within 200; of those that are reported three times as often,
79 within 50, and all within 200 (2,000 simulated, with a share of 0.1).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

import sqlalchemy as sql
from scipy.special import bdtrc
from sqlalchemy.orm import Session

from flywheel.live import Live
from flywheel.tables import Promotion
from labeling.store.reports import ReportRow
from trainer.talk.serve.share import opening

LEAST = 5
"""Reported conversations of its own below which a canary is not taken back. Chosen: less is one angry afternoon."""

CHANCE = 0.01

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Tally:
    """Conversations that people have reported since a canary began."""

    own: int
    """The canary's."""
    total: int
    share: float
    """Of all conversations, the canary's."""

    @property
    def p(self) -> float:
        """How likely as many or more of them would be the canary's if it were no worse."""
        return float(bdtrc(self.own - 1, self.total, self.share))

    @property
    def too_many(self) -> bool:
        return self.own >= LEAST and self.p < CHANCE

    def __str__(self) -> str:
        return f"{self.own:,} of {self.total:,} reported conversations are its own, and {self.share:.0%} its share"


def began(noted: Iterable[datetime], now: datetime) -> datetime | None:
    """When a canary began, of the times that were noted of it: the last that is not ahead of the clock.

    None where all are: the clock was ahead then, or is behind now, and nobody can tell which. The time of that look is
    noted too, so a canary that began under a clock that was a year ahead ends its hours after the first look under one
    that is right; and one that was looked at under a clock that was behind, its hours after its true beginning.
    """
    return max((one for one in noted if one <= now), default=None)


def beginning(tried: Sequence[Promotion], now: datetime) -> datetime:
    """Since when a canary answers, by its rows; of one that began ahead of the clock, what was noted last."""
    return began((row.made for row in tried), now) or tried[-1].made


def time_left(tried: Iterable[Promotion], hours: float, now: datetime) -> timedelta:
    """How long a canary still answers its share, by its rows; not above 0 where it may take over.

    Where its beginning is ahead of the clock, all of its hours: the next look notes it once more.
    """
    since = began((row.made for row in tried), now)
    return timedelta(hours=hours) - (now - (since or now))


def takes_over(left: timedelta) -> str:
    """When a canary takes over, in words."""
    if left <= timedelta():
        return "it takes over with the next tick"
    minutes = ceil(left / timedelta(minutes=1))
    return f"it takes over in {left / HOUR:.1f} hours" if left >= HOUR else f"it takes over in {minutes} min"


def canary_tally(session: Session, found: Live, now: datetime) -> Tally | None:
    """How people report the canary, if there is one; since their first complaint where its beginning is in doubt."""
    canary = found.canary
    if canary is None:
        return None
    current, since = "" if found.current is None else found.current.checkpoint_id, canary.made
    if len(found.tried) > 1 or since > now:  # by a clock that was wrong
        first = sql.select(sql.func.min(ReportRow.created)).where(*_complaints(canary.checkpoint_id))
        since = session.scalar(first) or now
    return tally(session, current, canary.checkpoint_id, canary.share, since)


def tally(session: Session, current: str, canary: str, share: float, since: datetime) -> Tally:
    """Counts people's complaints of either checkpoint; no praise, no red team, and nothing that was dismissed."""
    row = ReportRow
    query = sql.select(row.checkpoint_id, row.messages).where(row.created >= since, *_complaints(current, canary))
    reported: dict[str, set[str]] = {current: set(), canary: set()}
    for checkpoint, messages in session.execute(query).yield_per(200):
        reported[checkpoint].add(opening((str(one.get("role")), str(one.get("content"))) for one in messages))
    own = len(reported[canary])
    return Tally(own, own + len(reported[current]), share)


def _complaints(*checkpoints: str) -> tuple[sql.ColumnElement[bool], ...]:
    row = ReportRow
    return (
        row.checkpoint_id.in_(checkpoints),
        sql.or_(row.category.is_not(None), row.rating == -1),
        row.source != "redteam",
        row.status != "dismissed",
    )
