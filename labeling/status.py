"""How far each project is: what was stored, sent and labelled."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql

from labeling.store.database import Database
from labeling.store.labels import AnnotationRow, SampleRow, projects


@dataclass(frozen=True)
class Standing:
    name: str
    kind: str
    server: str
    remote_id: int
    samples: int
    sent: int
    labelled: int
    """Samples with at least one label that counts."""
    labels: int
    """Annotations with a verdict."""
    others: int
    """Annotations without one: skipped, deleted, replaced, not fitting."""
    reconciled: datetime | None


def standing(database: Database) -> list[Standing]:
    """All projects, by name."""
    found = []
    with database.read() as session:

        def count(what: sql.ColumnElement[int], *where: sql.ColumnElement[bool]) -> int:
            return session.scalar(sql.select(what).where(*where)) or 0

        for project in projects(database):
            sample = SampleRow.project == project.name
            label = AnnotationRow.project == project.name
            counts = AnnotationRow.reason.is_(None)
            found.append(
                Standing(
                    project.name,
                    project.kind,
                    project.server,
                    project.remote_id,
                    samples=count(sql.func.count(SampleRow.id), sample),
                    sent=count(sql.func.count(SampleRow.task_id), sample),
                    labelled=count(sql.func.count(AnnotationRow.sample.distinct()), label, counts),
                    labels=count(sql.func.count(AnnotationRow.remote_id), label, counts),
                    others=count(sql.func.count(AnnotationRow.remote_id), label, ~counts),
                    reconciled=project.reconciled,
                )
            )
    return found
