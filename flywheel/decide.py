"""Whether to train, and why: from what the store holds, and never from how often or in what order it was asked.

An event says "look now" and no more (counts in events get lost); the cursor is the corrections that no promoted run
has learnt. Every new answer is noted, so a run always has a reason.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.checkpoints import run_id
from flywheel.choice import Choice, Standing, Taught, choose
from flywheel.config import Config
from flywheel.dataset import plan
from flywheel.gate_cases import stray_tolerance
from flywheel.tables import Cluster, Dataset, Decision, Json, Misbehaviour, Run, Verdict
from flywheel.train import obstacle
from labeling.store.database import Database
from trainer.pointer import read_pointer

FEWEST = 5
"""New corrections that a cluster must have to be trained for by itself. Chosen, not measured: one report is all of the
first day's misbehaviours, and no reason to train."""

ATTEMPTS = 3
"""How often a training that fails is begun before something must change: a full disk may be emptied by itself, a wrong
setting stays."""

TOLD = 3
"""Clusters that a reason names."""

CHANGE = "a new correction, other settings, or another checkpoint to begin with"
"""What it takes to train where the same was learnt from the same before; reasons say it, and the status repeats it."""

AT_WORK = {
    "training": "is being trained",
    "trained": "waits for the gate or to be promoted",
    "canary": "answers a share of the conversations",
}


@dataclass(frozen=True)
class _State:
    """What a decision is made from."""

    choice: Choice
    new: Sequence[Taught]
    """Corrections that would be trained on, and that no promoted run has learnt."""
    last: Run | None
    found: Counter[str]
    """Misbehaviours since the last training began, by cluster."""
    names: dict[str, str]


def decide(database: Database, config: Config, now: datetime, order: str | None = None) -> Decision:
    """The decision that holds now; noted where it is another than the last one, and else the last one itself.

    A decision to train holds until a run was begun for it, or there is nothing left to train on. Not to train: one run
    at a time, no model or older data to train with, nothing new to learn that the gate could judge, the time to cool
    down after the last run, or a run that learnt the same from the same before (ATTEMPTS, where it failed). To train:
    enough new corrections, a cluster with too great a share of the new misbehaviours (and FEWEST new corrections), or
    too long since the last run; or that a person orders it and says why, for which no time to cool down is waited.
    """
    while True:
        with database.read() as session:
            previous = _last(session)
            state = _state(session, config, now)
            held = previous is not None and _open(session, previous)
            session.expunge_all()
        # Read outside of a transaction, which others would wait for: the older data may be long.
        against = _against(database, config, state)
        retrain, reason = (False, against) if against else (True, "") if held else _judge(state, config, now, order)
        with database.write() as session:
            last = _last(session)
            if (last and last.id) != (previous and previous.id):
                continue  # another has decided meanwhile
            # A decision to train is a new one each time: a failed run is tried again for the same reason.
            same = last is not None and (held if retrain else not last.retrain and last.reason == reason)
            decision = last if same and last is not None else None
            if decision is None:
                decision = Decision(made=now, retrain=retrain, reason=reason, counts=_counts(state))
                session.add(decision)
                session.flush()
            session.expunge(decision)
            return decision


def _last(session: Session) -> Decision | None:
    return session.scalar(sql.select(Decision).order_by(Decision.id.desc()).limit(1))


def _open(session: Session, decision: Decision) -> bool:
    """Whether it was decided to train, and no run was begun since."""
    begun = session.scalar(sql.select(sql.func.count()).select_from(Run).where(Run.decision == decision.id))
    return decision.retrain and not begun


def _state(session: Session, config: Config, now: datetime) -> _State:
    choice = choose(session, config)
    last = session.scalar(sql.select(Run).order_by(Run.decision.desc()).limit(1))
    found = sql.select(Misbehaviour.cluster, sql.func.count()).where(Misbehaviour.cluster.is_not(None))
    if last is not None and last.began <= now:
        found = found.where(Misbehaviour.found > last.began)
    counts = {cluster: count for cluster, count in session.execute(found.group_by(Misbehaviour.cluster)) if cluster}
    names = {row.id: row.name for row in session.scalars(sql.select(Cluster))}
    return _State(choice, choice.new, last, Counter(counts), names)


def _against(database: Database, config: Config, state: _State) -> str:
    """Why nothing can be trained whatever the rules say, or nothing.

    No reason tells the time of day, or each time that it is asked would be another.
    """
    last = state.last
    if last is not None and last.state in AT_WORK:
        return f"run {last.id[:12]} {AT_WORK[last.state]}: one at a time"
    with database.read() as session:
        stray = stray_tolerance(session, config.gate.tolerances)
    if fault := obstacle(config) or stray:
        return f"can't train: {fault}"
    if not state.choice.clusters:
        return "no new corrections: there is nothing to learn"
    if not state.new:
        return f"no new correction can be trained on yet: {_waiting(state)}"
    return _done(database, config, state)


def _done(database: Database, config: Config, state: _State) -> str:
    """Why the run that would be begun need not be: the same was learnt from the same before."""
    base, ids = read_pointer(config.current).id, {one.id for one in state.choice.taught}
    with database.read() as session:
        before = sql.select(Run, Dataset.corrections).join(Dataset, Dataset.id == Run.dataset)
        runs = [run for run, learnt in session.execute(before).tuples() if set(learnt) == ids]
        if not any(run.id == run_id(run.dataset, base, config) for run in runs):
            return ""
        session.expunge_all()
    planned = run_id(plan(database, config).id, base, config)  # the older data may be others
    run = next((one for one in runs if one.id == planned), None)
    if run is None:
        return ""
    with database.read() as session:
        begun = sum(one.get("run") == run.id for one in session.scalars(sql.select(Decision.counts)))
        newest = sql.select(Verdict.passed).where(Verdict.run == run.id).order_by(Verdict.made.desc(), Verdict.id)
        passed = session.scalar(newest.limit(1))
    if run.state == "failed":
        if begun < ATTEMPTS:
            return ""
        said = run.note.strip().splitlines()[-1:] or ["it did not say why"]
        return f"run {run.id[:12]} failed {begun} times ({said[0]}); mend it; to begin again takes {CHANGE}"
    what = "was taken back" if passed else "the gate refused" if run.state == "refused" else f"was {run.state}"
    return f"the {len(state.new)} new corrections were learnt by run {run.id[:12]}, which {what}; it takes {CHANGE}"


def _judge(state: _State, config: Config, now: datetime, order: str | None) -> tuple[bool, str]:
    """(whether to train, why), where there is something to train on."""
    rule, last, new = config.decide, state.last, len(state.new)
    waiting = f"; others wait: {_waiting(state)}" if any(one.waits for one in state.choice.clusters) else ""
    if order is not None:
        return True, f"by hand: {order}; new corrections: {new}{waiting}"
    cooldown = timedelta(hours=rule.cooldown_hours)
    ended = None if last is None else last.ended or last.began
    if ended is not None and ended > now:  # timed by a clock that has been set back since: it holds up nothing
        ended = None
    if ended is not None and now - ended < cooldown:
        return False, f"the last run ended less than {rule.cooldown_hours:g} hours ago; new corrections: {new}{waiting}"
    if new >= rule.corrections:
        return True, f"new corrections: {new}; {rule.corrections} are enough{waiting}"
    if cluster := _too_frequent(state, rule.cluster_rate):
        share = state.found[cluster] / state.found.total()
        return (
            True,
            f"{_name(state, cluster)} is {share:.1%} of the new misbehaviours, more than {rule.cluster_rate:.1%}",
        )
    since = ended or min(one.admitted for one in state.new)
    if now - since >= timedelta(days=rule.days):
        what = "the last run" if ended else "the first correction"
        return True, f"{what} was {rule.days:g} days ago or more; new corrections: {new}{waiting}"
    return False, f"new corrections: {new}; {rule.corrections} are enough{waiting}"


def _too_frequent(state: _State, rate: float) -> str | None:
    """The cluster with the greatest share of the new misbehaviours, of those that are over the rate and corrected."""
    corrected, total = Counter(one.cluster for one in state.new), state.found.total()
    frequent = [
        (-count, cluster)
        for cluster, count in state.found.items()
        if count > rate * total and corrected[cluster] >= FEWEST
    ]
    return min(frequent)[1] if frequent else None


def _waiting(state: _State) -> str:
    """The corrections that are not trained on yet: the clusters that have most of them, and why."""
    waiting = [one for one in state.choice.clusters if one.waits]
    told = [f"{len(one.new)} of {_name(state, one.cluster)} {one.waits}" for one in waiting[:TOLD]]
    if rest := waiting[TOLD:]:
        told.append(f"{sum(len(one.new) for one in rest)} of {len(rest)} other clusters")
    return ", ".join(told)


def _name(state: _State, cluster: str) -> str:
    return f'"{state.names.get(cluster, cluster)}"'


def _counts(state: _State) -> Json:
    def new(standings: Sequence[Standing]) -> dict[str, int]:
        return {one.cluster: len(one.new) for one in sorted(standings, key=lambda one: one.cluster)}

    clusters = state.choice.clusters
    return {
        "new_corrections": len(state.new),
        "corrections": len(state.choice.learnt) + sum(len(one.new) for one in clusters),
        "new_by_cluster": new([one for one in clusters if not one.waits]),
        "waiting": {one.cluster: f"{len(one.new)} {one.waits}" for one in clusters if one.waits},
        "misbehaviours_since_the_last_run": dict(sorted(state.found.items())),
    }
