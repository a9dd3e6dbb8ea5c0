"""Where the loop stands: what each stage has, what waits there for whom and how long, and each cluster over the weeks.

One transaction reads it all, so the figures are of one moment.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.tables import Cluster, Correction, Dataset, Decision, Json, Misbehaviour, Promotion, Run, Verdict
from labeling.store.database import Database
from labeling.store.labels import AnnotationRow

WEEKS = 8
"""Weeks that are told of each cluster."""


@dataclass(frozen=True)
class Stage:
    """A station of the loop."""

    name: str
    what: str
    """What `count` counts."""
    count: int
    waiting: int
    """What has come this far and no further."""
    oldest: datetime | None
    """Since when the first of those waits."""
    waits_for: str
    note: str = ""


@dataclass(frozen=True)
class ClusterStanding:
    id: str
    name: str
    found: int
    weeks: tuple[int, ...]
    """Found in each of the last WEEKS weeks, the last one now."""
    held_out: int
    corrected: int
    """Corrections that may train."""
    before: float | None
    """The share of bad answers to its cases, when the gate last looked at it: of the checkpoint before, and the new."""
    after: float | None


@dataclass(frozen=True)
class Checkpoint:
    """What people talk to, or did before."""

    id: str
    path: str
    since: datetime
    why: str


@dataclass(frozen=True)
class Standing:
    now: datetime
    stages: tuple[Stage, ...]
    clusters: tuple[ClusterStanding, ...]
    """The most frequent in the last WEEKS weeks first."""
    current: Checkpoint | None
    previous: Checkpoint | None
    decision: Decision | None
    """The last one."""
    verdict: Verdict | None
    training: timedelta
    """How long all runs took together."""
    labelling: timedelta
    """How long people's pages were open for the answers that they corrected."""


def standing(database: Database, now: datetime) -> Standing:
    """Reads the store; `now` is in UTC."""
    with database.read() as session:
        promotions = list(session.scalars(sql.select(Promotion).order_by(Promotion.id.desc()).limit(2)))
        checkpoints = [
            Checkpoint(one.checkpoint_id, one.path, one.made, f"{one.action}: {one.reason}") for one in promotions
        ]
        runs = session.execute(sql.select(Run.began, Run.ended).where(Run.ended.is_not(None))).all()
        found = Standing(
            now=now,
            stages=_stages(session),
            clusters=_clusters(session, now),
            current=checkpoints[0] if checkpoints else None,
            previous=checkpoints[1] if len(checkpoints) > 1 else None,
            decision=session.scalar(sql.select(Decision).order_by(Decision.id.desc()).limit(1)),
            verdict=session.scalar(sql.select(Verdict).order_by(Verdict.made.desc(), Verdict.id).limit(1)),
            training=sum((max(ended - began, timedelta()) for began, ended in runs if ended), timedelta()),
            labelling=_labelling(session),
        )
        session.expunge_all()  # they outlive the transaction
        return found


def _stages(session: Session) -> tuple[Stage, ...]:
    return (*_asked(session), _trained(session), *_decided(session))


def _asked(session: Session) -> tuple[Stage, ...]:
    one = Misbehaviour
    counts = sql.select(sql.func.count(), sql.func.count(one.cluster), sql.func.count(one.sample)).select_from(one)
    total, clustered, sent = session.execute(counts).one()
    silent = _count(session, one.consent.is_(False))
    # A held-out case is sent where no machine can check it yet, and answered when one can.
    to_send = (one.consent.is_(True), one.cluster.is_not(None), one.held_out.is_(False) | one.check.is_(None))
    checked = one.held_out.is_(True) & one.check.is_not(None)
    answered = checked | one.id.in_(sql.select(Correction.misbehaviour))
    refused = _count(session, Correction.refused.is_not(None))
    loose = _waiting(session, one.found, one.cluster.is_(None))
    unsent = _waiting(session, one.found, *to_send, one.sample.is_(None))
    unanswered = _waiting(session, one.found, one.sample.is_not(None), sql.not_(answered))
    corrections = _count(session, Correction.refused.is_(None))
    return (
        Stage("collect", "misbehaviours", total, *loose, "a cluster", _note(silent, "without consent")),
        Stage("label", "sent to people", sent, *unsent, "sending", _note(clustered, "in clusters")),
        Stage("correct", "corrections", corrections, *unanswered, "people", _note(refused, "refused as poison")),
    )


def _trained(session: Session) -> Stage:
    # A dataset whose run failed has taught nobody; one whose run the gate refused has had its turn.
    used = sql.select(Dataset.corrections).join(Run, Run.dataset == Dataset.id).where(Run.state != "failed")
    learnt = {id for ids in session.scalars(used) for id in ids}
    admitted = session.execute(sql.select(Correction.id, Correction.admitted).where(Correction.refused.is_(None)))
    fresh = [at for id, at in admitted if id not in learnt]
    states = Counter(session.scalars(sql.select(Run.state)))
    note = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    return Stage("train", "runs", states.total(), len(fresh), min(fresh, default=None), "a decision", note)


def _decided(session: Session) -> tuple[Stage, Stage]:
    passed, refused = _count(session, Verdict.passed.is_(True)), _count(session, Verdict.passed.is_(False))
    unjudged = _waiting(session, Run.ended, Run.state == "trained", Run.id.not_in(sql.select(Verdict.run)))
    # A run that passed stays "trained" until it is promoted; one that is judged again has several verdicts.
    trained = sql.select(Run.id).where(Run.state == "trained")
    unpromoted = _waiting(session, Verdict.made, Verdict.passed.is_(True), Verdict.run.in_(trained))
    promotions, back = (_count(session, Promotion.action == action) for action in ("promote", "rollback"))
    return (
        Stage("gate", "verdicts", passed + refused, *unjudged, "the gate", _note(refused, "refused")),
        Stage("promote", "promotions", promotions, *unpromoted, "promotion", _note(back, "taken back")),
    )


def _count(session: Session, condition: sql.ColumnElement[bool]) -> int:
    return session.scalar(sql.select(sql.func.count()).where(condition)) or 0


def _waiting(
    session: Session, since: sql.ColumnExpressionArgument[Any], *conditions: sql.ColumnElement[bool]
) -> tuple[int, datetime | None]:
    count, oldest = session.execute(sql.select(sql.func.count(), sql.func.min(since)).where(*conditions)).one()
    return count, oldest


def _note(count: int, what: str) -> str:
    return f"{count:,} {what}" if count else ""


def _clusters(session: Session, now: datetime) -> tuple[ClusterStanding, ...]:
    one = Misbehaviour
    weeks: dict[str | None, list[int]] = {}
    found: Counter[str | None] = Counter()
    held: Counter[str | None] = Counter()
    query = sql.select(one.cluster, one.found, one.held_out).where(one.cluster.is_not(None))
    for cluster, at, held_out in session.execute(query):
        found[cluster] += 1
        held[cluster] += held_out
        age = max(0, (now - at) // timedelta(weeks=1))  # a clock that was ahead is no reason to forget
        if age < WEEKS:
            weeks.setdefault(cluster, [0] * WEEKS)[WEEKS - 1 - age] += 1
    fixed = sql.select(one.cluster).join(Correction, Correction.misbehaviour == one.id)
    corrected = Counter(session.scalars(fixed.where(Correction.refused.is_(None))))
    judged: dict[str, Json] = {}
    for figures in session.scalars(sql.select(Verdict.figures).order_by(Verdict.made, Verdict.id)):
        judged |= {group["id"]: group for group in figures.get("groups", ())}
    standings = [
        ClusterStanding(
            id=cluster.id,
            name=cluster.name,
            found=found[cluster.id],
            weeks=tuple(weeks.get(cluster.id, [0] * WEEKS)),
            held_out=held[cluster.id],
            corrected=corrected[cluster.id],
            before=judged.get(cluster.id, {}).get("before"),
            after=judged.get(cluster.id, {}).get("after"),
        )
        for cluster in session.scalars(sql.select(Cluster))
    ]
    return tuple(sorted(standings, key=lambda one: (-sum(one.weeks), -one.found, one.id)))


def _labelling(session: Session) -> timedelta:
    projects = sql.select(Correction.project).distinct()
    seconds = sql.select(sql.func.sum(AnnotationRow.seconds)).where(AnnotationRow.project.in_(projects))
    return timedelta(seconds=session.scalar(seconds) or 0.0)


def ago(now: datetime, then: datetime) -> str:
    """An age in one unit: 50 s, 12 min, 7 h, 3 days."""
    return span(max(now - then, timedelta()))


def span(time: timedelta) -> str:
    seconds = round(time.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86400:,} days"


BARS = " ▁▂▃▄▅▆▇█"


def bars(counts: Sequence[int]) -> str:
    """Counts as a line of bars, the highest as high as the line; what is not zero can be seen."""
    top = max(counts, default=0)
    return "".join(BARS[0] if not count else BARS[max(1, round(8 * count / top))] for count in counts)


def told(found: Standing) -> list[str]:
    """The standing as lines for a terminal."""
    lines = []
    for stage in found.stages:
        line = f"{stage.name:<8} {stage.count:>7,} {stage.what:<15}"
        if stage.waiting:
            age = "" if stage.oldest is None else f" for {ago(found.now, stage.oldest)}"
            line += f" {stage.waiting:,} wait for {stage.waits_for}{age}"
        lines.append(f"{line} ({stage.note})" if stage.note else line.rstrip())
    for name, one in (("now", found.current), ("before", found.previous)):
        if one is not None:
            lines.append(f"{name:<8} {one.id[:12]} {one.path}, for {ago(found.now, one.since)} ({one.why})")
    if found.current is None:
        lines.append("now      nothing was promoted yet")
    if found.decision is not None:
        wants = "train" if found.decision.retrain else "wait"
        lines.append(f"decided  {wants}, {ago(found.now, found.decision.made)} ago: {found.decision.reason}")
    if found.verdict is not None:
        said = "passed" if found.verdict.passed else "refused"
        lines.append(f"gate     {said}, {ago(found.now, found.verdict.made)} ago: {found.verdict.reason}")
    lines.append(f"cost     {span(found.training)} of training, {span(found.labelling)} of people's time")
    for cluster in found.clusters:
        lines.append(
            f"{bars(cluster.weeks)} {sum(cluster.weeks):>6,} in {WEEKS} weeks, {cluster.found:,} in all, "
            f"{cluster.held_out:,} held out, {cluster.corrected:,} corrected{_mended(cluster)}: {cluster.name}"
        )
    return lines


def _mended(cluster: ClusterStanding) -> str:
    if cluster.before is None or cluster.after is None:
        return ""
    return f", {cluster.before:.0%} bad before and {cluster.after:.0%} after the last run"
