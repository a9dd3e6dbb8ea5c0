"""Where the pulls of a project stand, and when it was not as it was made: what `label_projects.cursor` holds."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

Span = tuple[datetime, datetime | None]
"""From a moment on until before another; None where it lasts."""

EVER = datetime.min.replace(tzinfo=UTC)

SECOND = timedelta(seconds=1)
"""Label Studio tells its time in whole ones."""


@dataclass(frozen=True)
class Cursor:
    since: datetime | None = None
    """What changed before is in the store; by Label Studio's clock."""
    began: datetime | None = None
    """When the pull that is at work, or was stopped, began; by our clock. None between two pulls."""
    clock: datetime | None = None
    """The same by Label Studio's clock."""
    after: int = 0
    """The last task that it has stored."""
    full: bool = False
    looked: datetime | None = None
    """When a pull last looked whether the project is as it was made; by Label Studio's clock."""
    differed: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    """When which part of it was, or may have been, otherwise; by Label Studio's clock.

    Label Studio notes no time of such a change: so it began when the last look had found nothing, and ended when one
    found nothing again.
    """

    @classmethod
    def load(cls, text: str | None) -> "Cursor":
        if text is None:
            return cls()
        values = json.loads(text)
        times = {name: _time(values.get(name)) for name in ("since", "began", "clock", "looked")}
        spans = {
            part: tuple((_time(start), _time(end)) for start, end in found)
            for part, found in values.get("differed", {}).items()
        }
        return cls(**values | times | {"differed": spans})

    def dump(self) -> str:
        return json.dumps(vars(self), default=datetime.isoformat)

    def noticing(self, differing: Collection[str], now: datetime) -> "Cursor":
        """After a look that found these parts, and no others, otherwise than they were made."""
        differed = {part: list(self.differed.get(part, ())) for part in (*self.differed, *differing)}
        for part, spans in differed.items():
            lasts = bool(spans) and spans[-1][1] is None
            if part in differing and not lasts:
                spans.append((self.looked or self.since or EVER, None))
            elif part not in differing and lasts:
                spans[-1] = (spans[-1][0], now + SECOND)
        return replace(self, differed={part: tuple(spans) for part, spans in differed.items()})

    def otherwise(self, part: str, moment: datetime) -> bool:
        """Whether the part was, or may have been, otherwise at that moment."""
        spans = self.differed.get(part, ())
        return any(start <= moment and (end is None or moment < end) for start, end in spans)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
