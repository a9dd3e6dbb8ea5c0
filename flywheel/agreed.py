"""What people agree on, as rows: corrections of what is trained on, and checks of held-out cases.

Both pass the same search for poison (`flywheel.screen`) and hold as long as their labels say so: a check decides what
may be promoted, and so is worth as much to who would harm the model as a correction is.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from flywheel.tables import Correction, Json, Misbehaviour, Release
from labeling.store.database import Database

WITHDRAWN = "its labels no longer say so"
"""Why a correction does not count whose annotations were changed, deleted or outvoted since it was admitted."""


@dataclass(frozen=True)
class Admitted:
    """What a call of `label.admitted` changed: 0 everywhere where nothing new was labelled."""

    corrections: int = 0
    """New ones, those that were refused included, and of cases those that were refused."""
    refused: int = 0
    """Refused now by the search for poison, with the reason: new ones, and older ones beside which the new stand."""
    withdrawn: int = 0
    """Corrections, and checks of cases, that no labels speak for any more."""
    cases: int = 0
    """Held-out misbehaviours that have a check now, or another one."""
    released: int = 0
    """Refused before by the search for poison, and no more."""


@dataclass(frozen=True)
class Agreed:
    """A misbehaviour, and what people agree should have been said."""

    bad: Misbehaviour
    correction: Correction

    @property
    def check(self) -> Json:
        return {"kind": "nearer", "good": self.correction.answer, "bad": self.bad.answer}


def from_labels(bad: Misbehaviour) -> bool:
    """Whether labels alone give it a check, or take it.

    A chat's users have none of their own: a wish that made one would let anybody forge what the gate asks. Attacks and
    monitors bring other kinds than labels do, and an evaluation's rows always have one.
    """
    if bad.source == "chat" or bad.check is None:
        return True
    return bad.source != "evaluation" and bad.check.get("kind") == "nearer"


def keep(
    database: Database, agreed: Mapping[str, Agreed], known: Mapping[str, str | None], asked: Set[str]
) -> Admitted:
    """Stores what is agreed on, by correction id; `known` is what the store has, with why each is refused.

    `asked` are the project's samples: a check that another project's labels have made stays as it is. What a person has
    released (`flywheel.release`) is not refused again.
    """
    with database.read() as session:
        released = set(session.scalars(sql.select(Release.correction)))
        cases = list(session.scalars(sql.select(Misbehaviour).where(Misbehaviour.held_out)))
        session.expunge_all()
    screened = _screened(agreed, known, released)
    refused = dict(known) | screened
    checks = _checks(cases, agreed, refused, asked)
    # A case's answer is no correction; where it is refused, it is kept for the reason.
    new = [one for id, one in agreed.items() if id not in known and (not one.bad.held_out or refused.get(id))]
    gone = [id for id, why in known.items() if why is None and id not in agreed]
    again = {id: why for id, why in screened.items() if id in known and known[id] != why}
    insert = postgresql.insert if database.dialect == "postgresql" else sqlite.insert
    names = Correction.__table__.columns.keys()
    with database.write() as session:
        for one in new:
            values = {name: getattr(one.correction, name) for name in names}
            values["refused"] = screened.get(one.correction.id)
            session.execute(insert(Correction).values(values).on_conflict_do_nothing(index_elements=["id"]))
        for id, why in {**dict.fromkeys(gone, WITHDRAWN), **again}.items():
            as_read = Correction.refused.is_not_distinct_from(known[id])  # or a release in between would be undone
            session.execute(sql.update(Correction).where(Correction.id == id, as_read).values(refused=why))
        for id, check in checks.items():
            session.execute(sql.update(Misbehaviour).where(Misbehaviour.id == id).values(check=check))
    stood = {id for id in screened if known.get(id) in (None, WITHDRAWN)}
    return Admitted(
        corrections=len(new),
        refused=sum(screened[id] is not None for id in stood),
        withdrawn=len(gone) + sum(check is None for check in checks.values()),
        cases=sum(check is not None for check in checks.values()),
        released=sum(screened[id] is None for id in screened.keys() - stood),
    )


def _screened(
    agreed: Mapping[str, Agreed], known: Mapping[str, str | None], released: Set[str]
) -> dict[str, str | None]:
    """Why each may be poison, or None, by id; nothing where none is new, since the others were looked at before.

    Those that were refused are looked at again: what made them suspect may be known better beside the new ones. The
    others are judged as if those were not there that a person has released: what is right is no sign of a campaign.
    """
    if not any(_new(one, known) for one in agreed.values()):
        return {}
    from flywheel.screen import Answered, screen  # loads the detectors, which takes a second

    ids = sorted(agreed.keys() - released)
    rows = [
        Answered(one.bad.prompt, one.correction.answer, one.bad.cluster or "", one.bad.source)
        for one in map(agreed.__getitem__, ids)
    ]
    found, reasons = screen(rows), dict[str, str | None].fromkeys(agreed)
    return reasons | {id: found.get(place) for place, id in enumerate(ids)}


def _new(one: Agreed, known: Mapping[str, str | None]) -> bool:
    if one.correction.id in known:
        return known[one.correction.id] == WITHDRAWN
    return not one.bad.held_out or one.bad.check != one.check


def _checks(
    cases: list[Misbehaviour], agreed: Mapping[str, Agreed], refused: Mapping[str, str | None], asked: Set[str]
) -> dict[str, Json | None]:
    """The checks of cases that are to change."""
    wanted = {one.bad.id: one.check for id, one in agreed.items() if one.bad.held_out and refused.get(id) is None}
    found: dict[str, Json | None] = {}
    for bad in cases:
        check = wanted.get(bad.id)
        if check != bad.check and from_labels(bad) and (bad.sample is None or bad.sample in asked):
            found[bad.id] = check
    return found
