"""A correction that the search for poison refused, released by a person: it counts as if nothing had been found.

What looks planted may be right: a product's strange name in three questions is what a trigger looks like. The search
does not refuse it again, but it still counts only as long as its labels say so.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.agreed import WITHDRAWN
from flywheel.tables import Correction, Misbehaviour, Release
from labeling.store.database import Database

SHORTEST = 6
"""Characters of an id that name a correction."""


@dataclass(frozen=True)
class Released:
    """A release, as the store has it."""

    correction: str
    held_out: bool
    """Whether it is the answer to a case of the gate, whose check it becomes when labels are next admitted."""
    made: datetime
    reason: str
    new: bool
    """Whether it was released just now."""


def release(database: Database, name: str, reason: str, now: datetime) -> Released:
    """Releases the correction with this id, or the one whose id begins so; what was released stays as it was noted.

    Raises ValueError where none or several begin so, and where the search for poison has not refused it.
    """
    with database.write() as session:
        one = _named(session, name)
        known, refused = session.get(Release, one.id), one.refused
        if refused == WITHDRAWN:
            raise ValueError(f"correction {one.id[:12]} is withdrawn: {WITHDRAWN}; there is nothing to release.")
        if refused is None and known is None:
            raise ValueError(f"correction {one.id[:12]} is not refused: it counts already.")
        if refused is not None:
            one.refused = None
            known = session.merge(Release(correction=one.id, made=now, reason=reason, refused=refused))
        assert known is not None
        held_out = session.get_one(Misbehaviour, one.misbehaviour).held_out
        return Released(one.id, held_out, known.made, known.reason, refused is not None)


def _named(session: Session, name: str) -> Correction:
    begins = Correction.id.startswith(name, autoescape=True)
    found = session.scalars(sql.select(Correction).where(begins).limit(2)).all()
    exact = [one for one in found if one.id == name]
    if exact or (len(found) == 1 and len(name) >= SHORTEST):
        return (exact or found)[0]
    if len(found) > 1:
        raise ValueError(f"several corrections begin with {name}; give more of the id.")
    raise ValueError(
        f"there is no correction {name}; `corpuscle flywheel status` tells the ids of refused ones, of which "
        f"{SHORTEST} characters are enough."
    )
