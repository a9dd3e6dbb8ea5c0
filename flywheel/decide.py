"""Whether to train, and why: from what the store holds, and never from how often or in what order it was asked.

An event says "look now" and no more (counts in events get lost); the cursor is the corrections that no training has
seen. Every new answer is noted, so a run always has a reason.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.config import Config
from flywheel.dataset import Taught, taught
from flywheel.tables import Cluster, Dataset, Decision, Json, Misbehaviour, Run
from labeling.store.database import Database

FEWEST = 5
"""New corrections that a cluster must have to be trained for by itself. Chosen, not measured: one report is all of the
first day's misbehaviours, and no reason to train."""

AT_WORK = {"training": "is being trained", "trained": "waits for the gate"}


@dataclass(frozen=True)
class _State:
    """What a decision is made from."""

    new: Sequence[Taught]
    """Corrections that no training has learnt from."""
    total: int
    last: Run | None
    found: Counter[str]
    """Misbehaviours since the last training began, by cluster."""
    names: dict[str, str]


def decide(database: Database, config: Config, now: datetime) -> Decision:
    """The decision that holds now; noted where it is another than the last one, and else the last one itself.

    A decision to train holds until a run was begun for it, or its corrections are withdrawn. Not to train: one run at
    a time, nothing new to learn, or the time to cool down after the last run. To train: enough new corrections, a
    cluster with too great a share of the new misbehaviours (and FEWEST new corrections), or too long since the last
    run.
    """
    with database.write() as session:
        previous = session.scalar(sql.select(Decision).order_by(Decision.id.desc()).limit(1))
        state = _state(session)
        decision = previous if previous is not None and state.new and _open(session, previous) else None
        if decision is None:
            retrain, reason = _judge(state, config, now)
            # A decision to train is a new one each time: a failed run is tried again for the same reason.
            if previous is not None and not retrain and not previous.retrain and previous.reason == reason:
                decision = previous
            else:
                decision = Decision(made=now, retrain=retrain, reason=reason, counts=_counts(state))
                session.add(decision)
                session.flush()
        session.expunge(decision)
    return decision


def _open(session: Session, decision: Decision) -> bool:
    """Whether it was decided to train, and no run was begun since."""
    begun = session.scalar(sql.select(sql.func.count()).select_from(Run).where(Run.decision == decision.id))
    return decision.retrain and not begun


def _state(session: Session) -> _State:
    corrections = taught(session)
    last = session.scalar(sql.select(Run).order_by(Run.decision.desc()).limit(1))
    learnt = sql.select(Dataset.corrections).join(Run, Run.dataset == Dataset.id).where(Run.state != "failed")
    seen = {id for ids in session.scalars(learnt) for id in ids}
    found = sql.select(Misbehaviour.cluster, sql.func.count()).where(Misbehaviour.cluster.is_not(None))
    if last is not None:
        found = found.where(Misbehaviour.found > last.began)
    counts = {cluster: count for cluster, count in session.execute(found.group_by(Misbehaviour.cluster)) if cluster}
    names = {row.id: row.name for row in session.scalars(sql.select(Cluster))}
    return _State([one for one in corrections if one.id not in seen], len(corrections), last, Counter(counts), names)


def _judge(state: _State, config: Config, now: datetime) -> tuple[bool, str]:
    """(whether to train, why). No reason tells the time of day, or each time that it is asked would be another."""
    rule, last, new = config.decide, state.last, len(state.new)
    if last is not None and last.state in AT_WORK:
        return False, f"run {last.id[:12]} {AT_WORK[last.state]}: one at a time"
    if not new:
        return False, "no new corrections: there is nothing to learn"
    cooldown = timedelta(hours=rule.cooldown_hours)
    ended = None if last is None else last.ended or last.began
    # A run that ended in the future was timed by a clock that has been set back: it holds up nothing.
    if ended is not None and timedelta() <= now - ended < cooldown:
        return False, f"the last run ended less than {rule.cooldown_hours:g} hours ago; new corrections: {new}"
    if new >= rule.corrections:
        return True, f"new corrections: {new}; {rule.corrections} are enough"
    if cluster := _too_frequent(state, rule.cluster_rate):
        share = state.found[cluster] / state.found.total()
        name = state.names.get(cluster, cluster)
        return True, f'"{name}" is {share:.1%} of the new misbehaviours, more than {rule.cluster_rate:.1%}'
    since = ended or min(one.admitted for one in state.new)
    if now - since >= timedelta(days=rule.days):
        what = "the last run" if ended else "the first correction"
        return True, f"{what} was {rule.days:g} days ago or more; new corrections: {new}"
    return False, f"new corrections: {new}; {rule.corrections} are enough"


def _too_frequent(state: _State, rate: float) -> str | None:
    """The cluster with the greatest share of the new misbehaviours, of those that are over the rate and corrected."""
    corrected, total = Counter(one.cluster for one in state.new), state.found.total()
    frequent = [
        (-count, cluster)
        for cluster, count in state.found.items()
        if count > rate * total and corrected[cluster] >= FEWEST
    ]
    return min(frequent)[1] if frequent else None


def _counts(state: _State) -> Json:
    return {
        "new_corrections": len(state.new),
        "corrections": state.total,
        "new_by_cluster": dict(sorted(Counter(one.cluster for one in state.new).items())),
        "misbehaviours_since_the_last_run": dict(sorted(state.found.items())),
    }
