"""Pages that people are asked about: those behind a misbehaviour, and documents that the corpus holds."""

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.status.stages import Wait
from labeling.store.labels import AnnotationRow, SampleRow


def reviews(session: Session, project: str) -> Wait | None:
    """What was sent to the project and nobody has said anything of; None where there is none."""
    task, said = SampleRow, AnnotationRow
    looked_at = sql.select(said.sample).where(said.project == project, said.verdict.is_not(None))
    waiting = sql.select(sql.func.count(), sql.func.min(task.sent)).where(
        *(task.project == project, task.sent.is_not(None), task.deleted.is_(None)),
        task.id.not_in(looked_at.where(said.sample.is_not(None))),
    )
    count, oldest = session.execute(waiting).one()
    return Wait(count, "people who review pages", oldest) if count else None
