"""The loop's stations, and what waits at each for whom: what is settled, or nobody can help, waits for nobody."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.agreed import WITHDRAWN
from flywheel.canary import beginning
from flywheel.choice import Choice
from flywheel.decide import AT_WORK, CHANGE
from flywheel.label import Answers, Waits
from flywheel.live import Live, taken_back
from flywheel.tables import Correction, Dataset, Decision, Misbehaviour, Promotion, Release, Run, Verdict
from pipeline.report.numbers import plural


@dataclass(frozen=True)
class Wait:
    """What has come to a stage and no further."""

    count: int
    whom: str
    """Whom or what it waits for."""
    oldest: datetime | None
    """Since when the first of them waits."""


@dataclass(frozen=True)
class Stage:
    """A station of the loop."""

    name: str
    what: str
    """What `count` counts."""
    count: int
    waits: tuple[Wait, ...]
    note: str = ""


def stages(
    session: Session, uncollected: Wait, answers: Answers, choice: Choice, who: Live, now: datetime
) -> tuple[Stage, ...]:
    """collect, label, correct, train, gate, promote."""
    return (*_asked(session, uncollected, answers), _trained(session, choice), *_decided(session, who, now))


def _asked(session: Session, uncollected: Wait, answers: Answers) -> tuple[Stage, ...]:
    one = Misbehaviour
    counts = sql.select(sql.func.count(), sql.func.count(one.cluster), sql.func.count(one.sample)).select_from(one)
    total, clustered, sent = session.execute(counts).one()
    silent, held = _count(session, one.consent.is_(False)), _count(session, one.held_out.is_(True))
    loose = _waiting(session, "a cluster", one.found, one.cluster.is_(None))
    own = Correction.misbehaviour.in_(sql.select(one.id).where(one.held_out.is_(False)))  # the others are checks
    corrections = _count(session, Correction.refused.is_(None) & own)
    refused, withdrawn = (
        _count(session, Correction.refused != WITHDRAWN),
        _count(session, Correction.refused == WITHDRAWN),
    )
    released = _count(session, Release.correction.is_not(None))
    people = _some(_wait(answers.unanswered, "people"), _wait(answers.disagreed, "a reviewer, as people disagree"))
    return (
        Stage(
            "collect",
            _noun(total, "misbehaviour"),
            total,
            _some(uncollected, loose),
            _notes((silent, "without consent")),
        ),
        Stage(
            "label",
            "sent to people",
            sent,
            _some(_wait(answers.unsent, "sending")),
            _notes((clustered, "in clusters"), (held, "held out")),
        ),
        Stage(
            "correct",
            _noun(corrections, "correction"),
            corrections,
            people,
            _notes(
                (refused, "refused as poison"),
                (released, "released by a person"),
                (withdrawn, "withdrawn"),
                (answers.settled.count, "found to be no problem"),
            ),
        ),
    )


def _trained(session: Session, choice: Choice) -> Stage:
    at_work = sql.select(Dataset.corrections).join(Run, Run.dataset == Dataset.id).where(Run.state.in_(AT_WORK))
    taken = {id for ids in session.scalars(at_work) for id in ids}
    new = [one for one in choice.new if one.id not in taken]
    held = [one for standing in choice.clusters if standing.waits for one in standing.new if one.id not in taken]
    back = taken_back(session)
    runs = session.execute(sql.select(Run.id, Run.state)).tuples()
    states = Counter("taken back" if id in back else state for id, state in runs)
    times = [one.admitted for one in new]
    return Stage(
        "train",
        _noun(states.total(), "run"),
        states.total(),
        _some(
            Wait(len(new), _awaited(session, max(times)) if times else "", min(times, default=None)),
            Wait(len(held), "more of their cluster", min((one.admitted for one in held), default=None)),
        ),
        _notes(*((count, state) for state, count in sorted(states.items()))),
    )


def _awaited(session: Session, newest: datetime) -> str:
    """What new corrections wait for, the newest of this time: a decision, or what the last one said that it takes."""
    last = session.scalar(sql.select(Decision).order_by(Decision.id.desc()).limit(1))
    stands = last is not None and not last.retrain and newest <= last.made and CHANGE in last.reason
    return CHANGE if stands else "a decision"


def _decided(session: Session, who: Live, now: datetime) -> tuple[Stage, Stage]:
    passed, refused = _count(session, Verdict.passed.is_(True)), _count(session, Verdict.passed.is_(False))
    unjudged = _waiting(session, "the gate", Run.ended, Run.state == "trained", Run.id.not_in(sql.select(Verdict.run)))
    # A run that passed stays "trained" until it is promoted; one that is judged again has several verdicts.
    trained = sql.select(Run.id).where(Run.state == "trained")
    unpromoted = _waiting(session, "promotion", Verdict.made, Verdict.passed.is_(True), Verdict.run.in_(trained))
    canary = Wait(1, "its time as a canary to end", beginning(who.tried, now)) if who.tried else Wait(0, "", None)
    promotions = _count(session, Promotion.action == "promote")
    undone = Counter(session.scalars(sql.select(Promotion.action).where(Promotion.id.in_(who.undone))))
    canaries = _noun(undone["canary"], "canary", "canaries")
    back = _notes((undone["promote"], "taken back"), (undone["canary"], f"{canaries} taken back"))
    return (
        Stage(
            "gate", _noun(passed + refused, "verdict"), passed + refused, _some(unjudged), _notes((refused, "refused"))
        ),
        Stage("promote", _noun(promotions, "promotion"), promotions, _some(unpromoted, canary), back),
    )


def _noun(count: int, one: str, many: str | None = None) -> str:
    return plural(count, one, many).partition(" ")[2]


def _count(session: Session, condition: sql.ColumnElement[bool]) -> int:
    return session.scalar(sql.select(sql.func.count()).where(condition)) or 0


def _waiting(
    session: Session, whom: str, since: sql.ColumnExpressionArgument[Any], *conditions: sql.ColumnElement[bool]
) -> Wait:
    count, oldest = session.execute(sql.select(sql.func.count(), sql.func.min(since)).where(*conditions)).one()
    return Wait(count, whom, oldest)


def _wait(found: Waits, whom: str) -> Wait:
    return Wait(found.count, whom, found.oldest)


def _some(*waits: Wait) -> tuple[Wait, ...]:
    return tuple(wait for wait in waits if wait.count)


def _notes(*counted: tuple[int, str]) -> str:
    return ", ".join(f"{count:,} {what}" for count, what in counted if count)
