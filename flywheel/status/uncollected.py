"""Reports that the next collection will take: what `flywheel.collect` takes, and has not been seen yet."""

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.cases import misbehaviour_id
from flywheel.collect import Found, from_report
from flywheel.status.stages import Wait
from flywheel.tables import Misbehaviour
from labeling.store.reports import ReportRow, report_of

MOST = 1000
"""Reports that are looked at, the newest: such as say what another said stay uncollected for ever."""


def uncollected(session: Session) -> Wait:
    """Complaints that no misbehaviour came from; not those that can't be used, or say what another said."""
    row, one = ReportRow, Misbehaviour
    complaint = sql.or_(row.category.is_not(None), row.rating == -1)  # so that MOST counts no others
    taken = sql.select(one.source_ref).where(one.source.in_(("chat", "redteam")))
    query = sql.select(row).where(complaint, row.status != "dismissed", row.id.not_in(taken))
    found = {}
    for report in session.scalars(query.order_by(row.created.desc()).limit(MOST)):
        bad = from_report(report_of(report))
        if isinstance(bad, Found):
            found[misbehaviour_id(bad.prompt, bad.answer)] = report.created
    known = set(session.scalars(sql.select(one.id).where(one.id.in_(found))))
    waiting = [created for id, created in found.items() if id not in known]
    return Wait(len(waiting), "collecting", min(waiting, default=None))
