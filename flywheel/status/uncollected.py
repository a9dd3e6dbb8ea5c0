"""Reports that the next collection will take: what `flywheel.collect` takes, and has not been seen yet."""

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.cases import misbehaviour_id
from flywheel.status.stages import Wait
from flywheel.tables import Misbehaviour
from labeling.kinds.kind import InvalidSampleError
from labeling.kinds.texts import conversation, prompt
from labeling.masking import mask_json
from labeling.store.reports import ReportRow

MOST = 1000
"""Reports that are looked at, the newest: such as say what another said stay uncollected for ever."""


def uncollected(session: Session) -> Wait:
    """Complaints that no misbehaviour came from; not those that can't be used, or say what another said."""
    row, one = ReportRow, Misbehaviour
    complaint = sql.or_(row.category.is_not(None), row.rating == -1)
    taken = sql.select(one.source_ref).where(one.source.in_(("chat", "redteam")))
    query = sql.select(row).where(complaint, row.status != "dismissed", row.id.not_in(taken))
    found = {}
    for report in session.scalars(query.order_by(row.created.desc()).limit(MOST)):
        # As it is collected: masked where a person wrote it.
        told = report.messages if report.masked or report.source == "redteam" else mask_json(report.messages)
        try:
            messages = conversation(told, "messages")
            id = misbehaviour_id(prompt(messages[:-1], "messages"), messages[-1]["content"])
        except InvalidSampleError:
            continue  # it is told with those that can't be used
        if messages[-1]["role"] == "assistant":
            found[id] = report.created
    known = set(session.scalars(sql.select(one.id).where(one.id.in_(found))))
    waiting = [created for id, created in found.items() if id not in known]
    return Wait(len(waiting), "collecting", min(waiting, default=None))
