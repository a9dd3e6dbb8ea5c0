"""How often each cluster misbehaved over time: what the gate and the nightly evaluation saw, in the order of time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.tables import Measurement, Promotion, Verdict


@dataclass(frozen=True)
class Point:
    """What one checkpoint answered to a group's cases."""

    at: datetime
    checkpoint_id: str
    bad: int
    cases: int
    served: bool
    """Whether people talked to it then or soon after; what the gate refused was a candidate and no more."""

    @property
    def rate(self) -> float:
        return self.bad / self.cases


@dataclass(frozen=True)
class History:
    """A group's points in the order of time, those of the base before the new checkpoint's where a gate saw both."""

    group: str
    name: str
    points: tuple[Point, ...]

    @property
    def served(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point.served)

    def last_of(self, checkpoint_id: str) -> Point | None:
        """The newest point of a checkpoint: after a rollback the newest of all is another's."""
        return next((point for point in reversed(self.points) if point.checkpoint_id == checkpoint_id), None)


@dataclass(frozen=True)
class Turn:
    """A promotion or a rollback: which checkpoint answers from then on."""

    at: datetime
    checkpoint_id: str


def line(history: History, turns: Sequence[Turn], until: datetime) -> list[list[tuple[datetime, float]]]:
    """The rate of what people talked to, at all times up to `until`: stretches of (time, rate), in the order of time.

    From one point to the next, and at a turn upright to the last rate of the checkpoint that answers then; where it was
    never asked, the line stops until it is.
    """
    stretches: list[list[tuple[datetime, float]]] = [[]]
    seen: dict[str, Point] = {}
    last: Point | None = None
    events: list[Point | Turn] = [*history.served, *turns]
    for one in sorted(events, key=lambda one: one.at):
        if isinstance(one, Point):
            seen[one.checkpoint_id] = last = one
            stretches[-1].append((one.at, one.rate))
        elif last is None or one.checkpoint_id != last.checkpoint_id:
            if last is not None:
                stretches[-1].append((one.at, last.rate))
            last = seen.get(one.checkpoint_id)
            if last is None:
                stretches.append([])
            else:
                stretches[-1].append((one.at, last.rate))
    if last is not None:
        stretches[-1].append((until, last.rate))
    return [stretch for stretch in stretches if stretch]


def histories(session: Session) -> dict[str, History]:
    """By group: a cluster's id, `evaluation`, or `attacks`. Groups without cases are none."""
    promoted = set(session.scalars(sql.select(Promotion.verdict).where(Promotion.action == "promote")))
    points: defaultdict[str, list[tuple[datetime, int, Point]]] = defaultdict(list)
    names: dict[str, str] = {}
    for verdict in session.scalars(sql.select(Verdict).order_by(Verdict.made, Verdict.id)):
        for group in verdict.figures.get("groups", ()):
            names[group["id"]] = group["name"]
            for order, point in enumerate(_compared(verdict, group, verdict.id in promoted)):
                points[group["id"]].append((verdict.made, order, point))
    for row in session.scalars(sql.select(Measurement).where(Measurement.cases > 0).order_by(Measurement.made)):
        names[row.group] = row.name
        point = Point(row.made, row.checkpoint_id, row.bad, row.cases, True)
        points[row.group].append((row.made, 2, point))
    ordered = {group: sorted(found, key=lambda one: one[:2]) for group, found in points.items()}
    return {
        group: History(group, names[group], tuple(point for *_, point in found)) for group, found in ordered.items()
    }


def _compared(verdict: Verdict, group: Mapping[str, Any], promoted: bool) -> list[Point]:
    cases = int(group["cases"] or 0)
    if not cases:
        return []
    sides = [("before", verdict.figures["base"], True), ("after", verdict.figures["checkpoint"], promoted)]
    return [
        Point(verdict.made, checkpoint, round(float(group[side]) * cases), cases, served)
        for side, checkpoint, served in sides
    ]
