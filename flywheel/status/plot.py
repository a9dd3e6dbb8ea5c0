"""A cluster's rates over time as a small plot: SVG without script, the same width for the same days on one page."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby

from flywheel.status.rates import History, Point, Turn, line
from labeling.quality.elements import text

WIDTH, HEIGHT = 320, 96
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 312, 8, 76
"""Of the plot's own field; beside it stand 0% and 100%, and below it the days."""


def span_of(histories: Sequence[History], now: datetime) -> tuple[datetime, datetime] | None:
    """From the first of all points to now, or to the last one where the clock was ahead."""
    times = [point.at for history in histories for point in history.points]
    return (min(times), max(*times, now)) if times else None


def plot(history: History, span: tuple[datetime, datetime], turns: Sequence[Turn] = ()) -> str:
    """Rates of bad answers.

    What people talked to is a line with dots, up to the end of the span; what the gate looked at besides is a ring; a
    turn is an upright line.
    """
    first, last = span
    seconds = (last - first).total_seconds()

    def x(at: datetime) -> float:
        return _LEFT + (_RIGHT - _LEFT) * ((min(at, last) - first).total_seconds() / seconds if seconds else 0.5)

    def y(rate: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * rate

    stretches = line(history, turns, last)
    marks = "".join(
        f'<line class="change" x1="{x(turn.at):.1f}" x2="{x(turn.at):.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>'
        for turn in turns
        if first <= turn.at <= last
    )
    lines = "".join(f'<polyline class="served" points="{_points(one, x, y)}"/>' for one in stretches)
    dots = "".join(_dot(x(point.at), y(point.rate), point) for point in history.points)
    told = [f"{rate:.0%} on {at:%Y-%m-%d}" for stretch in stretches for at, rate in stretch]
    spoken = ", ".join(one for one, _ in groupby(told)) or "nothing that was promoted"
    days = f'<text x="{_LEFT}" y="92">{first:%d %b}</text>'
    if last.date() != first.date():
        days += f'<text class="end" x="{_RIGHT}" y="92">{last:%d %b}</text>'
    return (
        f'<svg class="rates" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="bad answers: {spoken}">'
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_TOP}" y2="{_TOP}"/>'
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'
        f'<text class="end" x="{_LEFT - 6}" y="{_TOP + 5}">100%</text>'
        f'<text class="end" x="{_LEFT - 6}" y="{_BOTTOM + 4}">0%</text>{days}{marks}'
        f"{lines}{dots}</svg>"
    )


def _points(
    stretch: Iterable[tuple[datetime, float]], x: Callable[[datetime], float], y: Callable[[float], float]
) -> str:
    return " ".join(f"{x(at):.1f},{y(rate):.1f}" for at, rate in stretch)


def _dot(x: float, y: float, point: Point) -> str:
    said = f"{point.bad:,} of {point.cases:,} bad, {point.checkpoint_id[:12]}, {point.at:%Y-%m-%d %H:%M}"
    kind, radius, more = ("dot", 2.5, "") if point.served else ("ring", 4, ", not promoted")
    title = f"<title>{text(said + more)}</title>"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{title}</circle>'
