"""A cluster's rates over time as a small plot: SVG without script, the same width for the same days on one page."""

from collections.abc import Sequence
from datetime import datetime

from flywheel.status.rates import History, Point
from labeling.quality.elements import text

WIDTH, HEIGHT = 320, 96
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 312, 8, 76
"""Of the plot's own field; beside it stand 0% and 100%, and below it the days."""


def span_of(histories: Sequence[History]) -> tuple[datetime, datetime] | None:
    """The first and the last time of all points."""
    times = [point.at for history in histories for point in history.points]
    return (min(times), max(times)) if times else None


def plot(history: History, span: tuple[datetime, datetime], changes: Sequence[datetime] = ()) -> str:
    """Rates of bad answers.

    What people talked to is a line of dots, what the gate looked at besides is a ring; a change of the checkpoint is an
    upright line.
    """
    first, last = span
    seconds = (last - first).total_seconds()

    def x(at: datetime) -> float:
        return _LEFT + (_RIGHT - _LEFT) * ((at - first).total_seconds() / seconds if seconds else 0.5)

    def y(point: Point) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * point.rate

    served = history.served
    marks = "".join(
        f'<line class="change" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>'
        for at in changes
        if first <= at <= last
    )
    line = " ".join(f"{x(point.at):.1f},{y(point):.1f}" for point in served)
    dots = "".join(_dot(x(point.at), y(point), point) for point in history.points)
    spoken = ", ".join(f"{point.rate:.0%} on {point.at:%Y-%m-%d}" for point in served) or "nothing that was promoted"
    days = f'<text x="{_LEFT}" y="92">{first:%d %b}</text>'
    if last.date() != first.date():
        days += f'<text class="end" x="{_RIGHT}" y="92">{last:%d %b}</text>'
    return (
        f'<svg class="rates" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="bad answers: {spoken}">'
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_TOP}" y2="{_TOP}"/>'
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'
        f'<text class="end" x="{_LEFT - 6}" y="{_TOP + 5}">100%</text>'
        f'<text class="end" x="{_LEFT - 6}" y="{_BOTTOM + 4}">0%</text>{days}{marks}'
        f'<polyline class="served" points="{line}"/>{dots}</svg>'
    )


def _dot(x: float, y: float, point: Point) -> str:
    said = f"{point.bad:,} of {point.cases:,} bad, {point.checkpoint_id[:12]}, {point.at:%Y-%m-%d %H:%M}"
    kind, radius, more = ("dot", 2.5, "") if point.served else ("ring", 4, ", not promoted")
    title = f"<title>{text(said + more)}</title>"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{title}</circle>'
