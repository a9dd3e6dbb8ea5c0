"""Where the loop stands: what each stage has, what waits there for whom and how long, and each cluster over the weeks.

One transaction reads almost all of it, so the figures are of one moment; what people still have to say is asked of the
labels' rule before.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.asked import asked
from flywheel.canary import beginning
from flywheel.choice import Choice, choose, learnt_prompts
from flywheel.config import Config
from flywheel.gate_cases import EVALUATION, read_cases, unusable
from flywheel.label import waiting
from flywheel.live import live
from flywheel.status.alerts import Alert, last_alerts
from flywheel.status.changes import Change, changes, current
from flywheel.status.rates import History, Turn, histories
from flywheel.status.refusals import Refusal, refusals
from flywheel.status.reviews import reviews
from flywheel.status.stages import Stage, Wait, stages
from flywheel.status.uncollected import uncollected
from flywheel.tables import AGAIN, ATTACKS, Cluster, Correction, Decision, Misbehaviour, Run, Verdict
from labeling.store.database import Database
from labeling.store.labels import AnnotationRow

WEEKS = 8
"""Weeks that are told of each cluster."""

CHANGES = 6
"""Promotions, canaries and rollbacks that are told."""


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
    waits: str
    """Why its new corrections are not trained on yet; empty where they are, or there are none."""
    history: History | None
    """How often checkpoints misbehaved on its held-out cases."""


@dataclass(frozen=True)
class Costs:
    training: timedelta
    """How long all runs took together."""
    gates: timedelta
    labelling: timedelta
    """How long people's pages were open for the answers that they corrected."""


@dataclass(frozen=True)
class Standing:
    now: datetime
    stages: tuple[Stage, ...]
    clusters: tuple[ClusterStanding, ...]
    """The most frequent in the last WEEKS weeks first."""
    others: tuple[History, ...]
    """Of the general questions, and of the attacks."""
    left_out: int
    """General questions that count no more, as promoted runs have learnt their answers."""
    current: Change | None
    """What people talk to, as `current.json` says."""
    before: Change | None
    """What a rollback would go back to."""
    canary: Change | None
    changes: tuple[Change, ...]
    """The last CHANGES, the newest first."""
    turns: tuple[Turn, ...]
    """All promotions and rollbacks, in the order of time."""
    refused: tuple[Refusal, ...]
    """The newest corrections that the search for poison refused."""
    pages: Wait | None
    """Pages and held documents that people have not looked at."""
    amiss: str
    """Where `current.json` and the store don't agree."""
    decision: Decision | None
    """The last one."""
    verdict: Verdict | None
    after_verdict: str
    """What became of a run that passed, where it answers no longer."""
    costs: Costs
    alerts: tuple[Alert, ...]


def standing(database: Database, config: Config, now: datetime) -> Standing:
    """Reads the store, `current.json` and the alerts; `now` is in UTC."""
    answers = waiting(database, config)
    with database.read() as session:
        who, choice = live(session), choose(session, config)
        rates, told = histories(session), changes(session, config, who, now)
        answering, amiss = current(config, who, told)
        verdict = session.scalar(sql.select(Verdict).order_by(Verdict.made.desc(), Verdict.id).limit(1))
        found = Standing(
            now=now,
            stages=stages(session, uncollected(session), answers, choice, who, now),
            clusters=_clusters(session, now, rates, choice),
            others=tuple(rates[group] for group in (EVALUATION, ATTACKS, AGAIN) if group in rates),
            left_out=_left_out(session, config),
            current=answering,
            before=None if who.before is None else told[who.before.id],
            canary=replace(told[who.tried[-1].id], at=beginning(who.tried, now)) if who.tried else None,
            changes=tuple(list(told.values())[: -CHANGES - 1 : -1]),
            turns=tuple(Turn(one.at, one.checkpoint_id) for one in told.values() if one.action != "canary"),
            refused=refusals(session),
            pages=reviews(session, config.trace.project),
            amiss=amiss,
            decision=session.scalar(sql.select(Decision).order_by(Decision.id.desc()).limit(1)),
            verdict=verdict,
            after_verdict=_after(session, verdict),
            costs=_costs(session),
            alerts=last_alerts(config.folder),
        )
        session.expunge_all()  # they outlive the transaction
        return found


def _left_out(session: Session, config: Config) -> int:
    path = config.gate.evaluation
    if path is None or unusable(path) is not None:  # that stops all training, and is told there
        return 0
    learnt, found = learnt_prompts(session), read_cases(session, path)
    return sum(case.group == EVALUATION and asked(case.prompt) in learnt for case in found.cases)


def _after(session: Session, verdict: Verdict | None) -> str:
    if verdict is None or not verdict.passed:
        return ""
    run = session.get(Run, verdict.run)
    return run.note or run.state if run is not None and run.state == "refused" else ""


def _clusters(
    session: Session, now: datetime, rates: Mapping[str, History], choice: Choice
) -> tuple[ClusterStanding, ...]:
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
    fixed = sql.select(one.cluster).join(Correction, Correction.misbehaviour == one.id).where(one.held_out.is_(False))
    corrected = Counter(session.scalars(fixed.where(Correction.refused.is_(None))))
    waits = {standing.cluster: standing.waits for standing in choice.clusters}
    standings = [
        ClusterStanding(
            id=cluster.id,
            name=cluster.name,
            found=found[cluster.id],
            weeks=tuple(weeks.get(cluster.id, [0] * WEEKS)),
            held_out=held[cluster.id],
            corrected=corrected[cluster.id],
            waits=waits.get(cluster.id, ""),
            history=rates.get(cluster.id),
        )
        for cluster in session.scalars(sql.select(Cluster))
    ]
    return tuple(sorted(standings, key=lambda one: (-sum(one.weeks), -one.found, one.id)))


def _costs(session: Session) -> Costs:
    runs = session.execute(sql.select(Run.began, Run.ended).where(Run.ended.is_not(None))).all()
    figures = session.scalars(sql.select(Verdict.figures))
    projects = sql.select(Correction.project).distinct()
    people = sql.select(sql.func.sum(AnnotationRow.seconds)).where(AnnotationRow.project.in_(projects))
    return Costs(
        training=sum((max(ended - began, timedelta()) for began, ended in runs if ended), timedelta()),
        gates=timedelta(seconds=sum(one.get("seconds") or 0.0 for one in figures)),
        labelling=timedelta(seconds=session.scalar(people) or 0.0),
    )
