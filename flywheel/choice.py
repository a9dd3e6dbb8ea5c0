"""Which corrections are trained on now: those of clusters that the gate can judge; the others wait, with the reason.

A run that was to mend what nobody can measure would be refused for it, and with it all that it mends for certain.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.asked import Asked, asked
from flywheel.checkpoints import run_id
from flywheel.config import Config
from flywheel.evidence import INSUFFICIENT, UNSHOWN, WORSE
from flywheel.gate_cases import read_cases
from flywheel.tables import Correction, Dataset, Json, Messages, Misbehaviour, Run, Verdict
from trainer.pointer import read_pointer

AGAINST = {
    UNSHOWN: "did not improve",
    WORSE: "got worse",
    INSUFFICIENT: "had too few cases",
}
"""What the gate may find of a cluster that was trained for, and is no reason to train for it once more the same way."""


@dataclass(frozen=True)
class Taught:
    """A correction that may be trained on, with what it corrects."""

    id: str
    misbehaviour: str
    cluster: str
    prompt: Messages
    bad: str
    """The answer that was reported."""
    answer: str
    """The right one."""
    weight: float
    admitted: datetime


@dataclass(frozen=True)
class Standing:
    """A cluster's corrections that no promoted run has learnt."""

    cluster: str
    new: tuple[Taught, ...]
    cases: int
    """Held-out cases by which the gate could judge it."""
    needed: int
    waits: str
    """Why they are not trained on yet, for people; empty where they are."""


@dataclass(frozen=True)
class Choice:
    """All that counts. A correction is new until a promoted run has learnt it: a refused run uses up nothing."""

    learnt: tuple[Taught, ...]
    """By promoted runs; they are learnt again, or they would be forgotten."""
    clusters: tuple[Standing, ...]
    """Those with new corrections, the most first."""

    @property
    def new(self) -> list[Taught]:
        """New corrections that are trained on."""
        return [one for standing in self.clusters if not standing.waits for one in standing.new]

    @property
    def taught(self) -> list[Taught]:
        """What is trained on, by id."""
        return sorted([*self.learnt, *self.new], key=lambda one: one.id)


def choose(session: Session, config: Config) -> Choice:
    """Which corrections are trained on, from what the store holds now.

    A cluster is trained for where it has `gate.minimum_cases` cases, unless the last run that was for it did not mend
    it: the same corrections wait then for others of their cluster, another checkpoint, or other settings.
    """
    corrections, learnt = counting(session), learnt_ids(session)
    new: defaultdict[str, list[Taught]] = defaultdict(list)
    for one in corrections:
        if one.id not in learnt:
            new[one.cluster].append(one)
    cases, failed = usable_cases(session), _failed(session, config) if new else {}
    needed = config.gate.minimum_cases
    standings = []
    for cluster, several in sorted(new.items(), key=lambda item: (-len(item[1]), item[0])):
        waits = ""
        if not cluster:
            waits = "belong to no cluster yet"
        elif cases[cluster] < needed:
            waits = f"wait for cases: {cases[cluster]} of {needed}"
        elif cluster in failed and {one.id for one in several} <= failed[cluster].learnt:
            run, what = failed[cluster].run[:12], failed[cluster].what
            waits = f"wait for others: run {run} learnt these, and the cluster {what}"
        standings.append(Standing(cluster, tuple(several), cases[cluster], needed, waits))
    return Choice(tuple(one for one in corrections if one.id in learnt), tuple(standings))


def counting(session: Session) -> list[Taught]:
    """The corrections that count, by id: admitted, not refused, consented to, no case of the gate nor like one."""
    query = (
        sql.select(Correction, Misbehaviour)
        .join(Misbehaviour, Misbehaviour.id == Correction.misbehaviour)
        .where(Correction.refused.is_(None), Misbehaviour.consent, sql.not_(Misbehaviour.held_out))
        .order_by(Correction.id)
    )
    cases = Asked(case_prompts(session))
    return [
        Taught(one.id, bad.id, bad.cluster or "", bad.prompt, bad.answer, one.answer, one.weight, one.admitted)
        for one, bad in session.execute(query).tuples()
        if asked(bad.prompt) not in cases
    ]


def case_prompts(session: Session) -> list[str]:
    """What the gate's cases ask, those included that no machine can judge yet."""
    held_out = sql.select(Misbehaviour.prompt).where(Misbehaviour.held_out)
    return [asked(prompt) for prompt in session.scalars(held_out)]


def learnt_ids(session: Session) -> set[str]:
    """The corrections that promoted runs have learnt; of those that were rolled back, none."""
    query = sql.select(Dataset.corrections).join(Run, Run.dataset == Dataset.id).where(Run.state == "promoted")
    return {id for ids in session.scalars(query) for id in ids}


def learnt_prompts(session: Session) -> Asked:
    """What promoted runs have learnt answers to: no case for anybody who comes after them."""
    ids = learnt_ids(session)
    query = sql.select(Correction.id, Misbehaviour.prompt).join(
        Misbehaviour, Misbehaviour.id == Correction.misbehaviour
    )
    return Asked(asked(prompt) for id, prompt in session.execute(query).tuples() if id in ids)


def usable_cases(session: Session) -> Counter[str]:
    """How many cases the gate can judge each cluster by.

    Less those that the gate could not put to a checkpoint when it last tried, for want of room in its context.
    """
    known, usable, unreadable = learnt_prompts(session), Counter[str](), Counter[str]()
    for case in read_cases(session, None).cases:
        if case.turns() is None:
            unreadable[case.group] += 1
        elif asked(case.prompt) not in known:
            usable[case.group] += 1
    for group in _last_groups(session):
        usable[group["id"]] -= max(0, group["unasked"] - unreadable[group["id"]])
    return usable


@dataclass(frozen=True)
class _Failed:
    """The last run that was for a cluster and did not mend it, though it would start from the same again."""

    run: str
    what: str
    learnt: frozenset[str]


def _failed(session: Session, config: Config) -> Mapping[str, _Failed]:
    try:
        base = read_pointer(config.current).id
    except (FileNotFoundError, ValueError):  # nothing can be trained from it
        return {}
    query = (
        sql.select(Verdict, Run, Dataset.corrections)
        .join(Run, Run.id == Verdict.run)
        .join(Dataset, Dataset.id == Run.dataset)
        .order_by(Run.decision, Verdict.made, Verdict.id)  # the number of a decision knows no clock
    )
    found: dict[str, _Failed] = {}
    for verdict, run, corrections in session.execute(query).tuples():
        for group in _groups(verdict.figures):
            if group["target"]:
                found.pop(group["id"], None)  # a later verdict takes the place of an earlier one
            same = run.state == "refused" and run.id == run_id(run.dataset, base, config)
            if same and group["target"] and group["verdict"] in AGAINST:
                found[group["id"]] = _Failed(run.id, AGAINST[group["verdict"]], frozenset(corrections))
    return found


def _last_groups(session: Session) -> Iterable[Json]:
    """What the gate found last of each cluster."""
    last: dict[str, Json] = {}
    query = sql.select(Verdict.figures).join(Run, Run.id == Verdict.run)
    for figures in session.scalars(query.order_by(Run.decision, Verdict.made, Verdict.id)):
        last |= {group["id"]: group for group in _groups(figures)}
    return last.values()


def _groups(figures: Json) -> list[Json]:
    groups: list[Json] = figures.get("groups", [])
    return groups
