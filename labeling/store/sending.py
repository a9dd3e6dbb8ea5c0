"""Samples on their way into Label Studio: waiting, being sent, arrived, deleted there.

A sample is marked before it is sent and noted when it has arrived, so that of any stop in between a trace is left.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import sqlalchemy as sql

from labeling.store.database import Database
from labeling.store.labels import BATCH, SampleRow, StoredSample, sample_of


def known_samples(database: Database, project: str, samples: Collection[str]) -> set[str]:
    """Those of the ids that the project has."""
    query = sql.select(SampleRow.id).where(SampleRow.project == project, SampleRow.id.in_(list(samples)))
    with database.read() as session:
        return set(session.scalars(query))


def asked_before(database: Database, project: str) -> set[str]:
    """The `asked` of all samples' provenances: what each was made from, where making it anew would give another."""
    return _provenances(database, project, "asked")


def reported_before(database: Database, project: str) -> set[str]:
    """The ids of the reports that samples were made from: masked, a report would be another sample."""
    return _provenances(database, project, "report")


def _provenances(database: Database, project: str, name: str) -> set[str]:
    told = SampleRow.provenance[name].as_string()
    with database.read() as session:
        return set(session.scalars(sql.select(told).where(SampleRow.project == project, told.is_not(None))))


def unsent(database: Database, project: str, limit: int = BATCH) -> list[StoredSample]:
    """Samples that were never sent, the greatest priority first, gold left out.

    Those of equal priority come in the order of their hashes: what is labelled first is a sample of all that there is.
    """
    query = (
        sql.select(SampleRow)
        .where(SampleRow.project == project, SampleRow.sent.is_(None), SampleRow.gold.is_(None))
        .order_by(SampleRow.priority.desc(), SampleRow.id.desc())
        .limit(limit)
    )
    with database.read() as session:
        return [sample_of(row) for row in session.scalars(query)]


def unsent_gold(database: Database, project: str) -> list[StoredSample]:
    """The gold questions that were never sent, in the order of their hashes."""
    query = (
        sql.select(SampleRow)
        .where(SampleRow.project == project, SampleRow.sent.is_(None), SampleRow.gold.is_not(None))
        .order_by(SampleRow.id)
    )
    with database.read() as session:
        return [sample_of(row) for row in session.scalars(query)]


def count_unsent(database: Database, project: str) -> int:
    """How many samples were never sent, gold left out."""
    return _count(database, SampleRow.project == project, SampleRow.sent.is_(None), SampleRow.gold.is_(None))


def anything_unsent(database: Database, project: str) -> bool:
    """Whether there is a sample that was never sent, gold or not."""
    query = sql.select(SampleRow.id).where(SampleRow.project == project, SampleRow.sent.is_(None)).limit(1)
    with database.read() as session:
        return session.scalar(query) is not None


def set_drafts(database: Database, project: str, drafts: Mapping[str, tuple[str, str]]) -> None:
    """Notes each sample's draft: its text and the model that wrote it."""
    rows = [
        {"project": project, "id": sample, "draft": text, "draft_model": model}
        for sample, (text, model) in drafts.items()
    ]
    if rows:
        with database.write() as session:
            session.execute(sql.update(SampleRow), rows)


def claim(database: Database, project: str, samples: Collection[str]) -> set[str]:
    """Marks samples as being sent from now on; those that no other push had marked before."""
    query = (
        sql.update(SampleRow)
        .where(SampleRow.project == project, SampleRow.sent.is_(None), SampleRow.id.in_(list(samples)))
        .values(sent=datetime.now(UTC))
        .returning(SampleRow.id)
    )
    with database.write() as session:
        return set(session.scalars(query))


def renew(database: Database, project: str, samples: Collection[str]) -> None:
    """Marks samples of which it is not known whether they arrived as being sent until now."""
    query = (
        sql.update(SampleRow)
        .where(SampleRow.project == project, SampleRow.id.in_(list(samples)))
        .where(SampleRow.task_id.is_(None), SampleRow.sent.is_not(None), SampleRow.deleted.is_(None))
        .values(sent=datetime.now(UTC))
    )
    with database.write() as session:
        session.execute(query)


def release(database: Database, project: str, samples: Collection[str]) -> None:
    """Marks samples that are known not to have arrived as unsent."""
    query = (
        sql.update(SampleRow)
        .where(SampleRow.project == project, SampleRow.id.in_(list(samples)))
        .where(SampleRow.task_id.is_(None), SampleRow.deleted.is_(None))
        .values(sent=None)
    )
    with database.write() as session:
        session.execute(query)


def in_doubt(database: Database, project: str) -> dict[str, datetime]:
    """Samples that were sent, and of which nobody has noted whether they arrived, with the time: a push was cut off."""
    query = sql.select(SampleRow.id, SampleRow.sent).where(
        SampleRow.project == project,
        SampleRow.task_id.is_(None),
        SampleRow.sent.is_not(None),
        SampleRow.deleted.is_(None),
    )
    with database.read() as session:
        return {id: sent for id, sent in session.execute(query) if sent is not None}


def set_tasks(database: Database, project: str, tasks: Mapping[str, int]) -> None:
    """Notes which task each sample (by id) has become.

    On SQLite Label Studio gives the number of its last task anew when that was deleted: whichever other sample had the
    number has lost its task.
    """
    with database.write() as session:
        session.execute(
            sql.update(SampleRow)
            .where(SampleRow.project == project, SampleRow.task_id.in_(list(tasks.values())))
            .where(SampleRow.id.not_in(list(tasks)))
            .values(task_id=None, deleted=datetime.now(UTC))
        )
        session.execute(
            sql.update(SampleRow),
            [{"project": project, "id": sample, "task_id": task} for sample, task in tasks.items()],
        )


def known_tasks(database: Database, project: str, samples: Collection[str]) -> dict[str, int]:
    """The tasks of those of the samples that have one."""
    query = sql.select(SampleRow.id, SampleRow.task_id).where(
        SampleRow.project == project, SampleRow.id.in_(list(samples)), SampleRow.task_id.is_not(None)
    )
    with database.read() as session:
        return {id: task for id, task in session.execute(query) if task is not None}


def noted_tasks(database: Database, project: str) -> set[int]:
    """The tasks of all samples that have one."""
    query = sql.select(SampleRow.task_id).where(SampleRow.project == project, SampleRow.task_id.is_not(None))
    with database.read() as session:
        return {task for task in session.scalars(query) if task is not None}


def last_task(database: Database, project: str) -> tuple[int, str] | None:
    """The greatest number of a task that is noted, and its sample; None where none is."""
    query = sql.select(SampleRow.task_id, SampleRow.id).where(
        SampleRow.project == project, SampleRow.task_id.is_not(None)
    )
    with database.read() as session:
        found = session.execute(query.order_by(SampleRow.task_id.desc()).limit(1)).tuples().first()
    return None if found is None or found[0] is None else (found[0], found[1])


def set_deleted(database: Database, project: str, tasks: Collection[int]) -> int:
    """Notes that these tasks are gone; how many that had not been noted before."""
    lost = set(tasks)
    query = sql.select(SampleRow.id, SampleRow.task_id).where(
        SampleRow.project == project, SampleRow.task_id.is_not(None)
    )
    now = datetime.now(UTC)
    with database.write() as session:
        gone = [id for id, task in session.execute(query) if task in lost]
        if gone:
            rows = [{"project": project, "id": id, "task_id": None, "deleted": now} for id in gone]
            session.execute(sql.update(SampleRow), rows)
    return len(gone)


def _count(database: Database, *conditions: sql.ColumnElement[bool]) -> int:
    with database.read() as session:
        return session.scalar(sql.select(sql.func.count()).select_from(SampleRow).where(*conditions)) or 0
