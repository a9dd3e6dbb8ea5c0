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
from flywheel.decide import AT_WORK
from flywheel.label import Answers, Waits
from flywheel.live import Live
from flywheel.tables import Correction, Dataset, Misbehaviour, Promotion, Release, Run, Verdict


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


def stages(session: Session, answers: Answers, choice: Choice, who: Live, now: datetime) -> tuple[Stage, ...]:
    """collect, label, correct, train, gate, promote."""
    return (*_asked(session, answers), _trained(session, choice), *_decided(session, who, now))


def _asked(session: Session, answers: Answers) -> tuple[Stage, ...]:
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
        Stage("collect", "misbehaviours", total, _some(loose), _notes((silent, "without consent"))),
        Stage(
            "label",
            "sent to people",
            sent,
            _some(_wait(answers.unsent, "sending")),
            _notes((clustered, "in clusters"), (held, "held out")),
        ),
        Stage(
            "correct",
            "corrections",
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
    states = Counter(session.scalars(sql.select(Run.state)))
    return Stage(
        "train",
        "runs",
        states.total(),
        _some(
            Wait(len(new), "a decision", min((one.admitted for one in new), default=None)),
            Wait(len(held), "more of their cluster", min((one.admitted for one in held), default=None)),
        ),
        _notes(*((count, state) for state, count in sorted(states.items()))),
    )


def _decided(session: Session, who: Live, now: datetime) -> tuple[Stage, Stage]:
    passed, refused = _count(session, Verdict.passed.is_(True)), _count(session, Verdict.passed.is_(False))
    unjudged = _waiting(session, "the gate", Run.ended, Run.state == "trained", Run.id.not_in(sql.select(Verdict.run)))
    # A run that passed stays "trained" until it is promoted; one that is judged again has several verdicts.
    trained = sql.select(Run.id).where(Run.state == "trained")
    unpromoted = _waiting(session, "promotion", Verdict.made, Verdict.passed.is_(True), Verdict.run.in_(trained))
    canary = Wait(1, "its time as a canary to end", beginning(who.tried, now)) if who.tried else Wait(0, "", None)
    promotions = _count(session, Promotion.action == "promote")
    return (
        Stage("gate", "verdicts", passed + refused, _some(unjudged), _notes((refused, "refused"))),
        Stage("promote", "promotions", promotions, _some(unpromoted, canary), _notes((len(who.undone), "taken back"))),
    )


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
