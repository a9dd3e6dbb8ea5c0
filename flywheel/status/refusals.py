"""The corrections that the search for poison has refused: a person may look at them, and release one."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.agreed import WITHDRAWN
from flywheel.tables import Correction

LAST = 20
"""Those that are told, the newest first."""


@dataclass(frozen=True)
class Refusal:
    correction: str
    admitted: datetime
    reason: str
    answer: str


def refusals(session: Session) -> tuple[Refusal, ...]:
    one = Correction
    query = sql.select(one.id, one.admitted, one.refused, one.answer).where(one.refused != WITHDRAWN)
    rows = session.execute(query.order_by(one.admitted.desc(), one.id).limit(LAST)).tuples()
    return tuple(Refusal(id, admitted, reason or "", answer) for id, admitted, reason, answer in rows)
