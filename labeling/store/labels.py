"""What people are asked and what they say: projects, samples, annotators and annotations, as the store keeps them.

A sample is stored before it is sent, and an annotation as it came, beside its verdict or the reason why it has none: so
a stop between two steps loses nothing, and a mended validator can judge all annotations anew.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.store.database import Base, Database, UtcTime

Json = dict[str, Any]

BATCH = 1000
"""Rows in memory at once, and in a statement (SQLite takes 32,766 variables)."""


class ProjectRow(Base):
    """A project here, and the one in Label Studio that it stands for."""

    __tablename__ = "label_projects"

    name: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    kind: Mapped[str] = mapped_column(sql.Text)
    reviews: Mapped[str | None] = mapped_column(sql.Text)
    """The project whose disagreements this one decides (kind `review`), or whose choices it asks for once more."""
    server: Mapped[str] = mapped_column(sql.Text)
    remote_id: Mapped[int]
    config: Mapped[str] = mapped_column(sql.Text)
    """The labelling configuration that results are judged by."""
    instructions: Mapped[str] = mapped_column(sql.Text)
    instruction_version: Mapped[int]
    overlap: Mapped[int]
    secret: Mapped[str] = mapped_column(sql.Text)
    """What its tasks' references and the order of their answers are drawn from: it never leaves the store."""
    created: Mapped[datetime] = mapped_column(UtcTime)
    cursor: Mapped[str | None] = mapped_column(sql.Text)
    """Up to where annotations were pulled, as `labeling.cursor` writes it."""
    reconciled: Mapped[datetime | None] = mapped_column(UtcTime)
    """When everything was last compared, deletions too."""


class SampleRow(Base):
    """A sample of a project, and its task once it has one."""

    __tablename__ = "label_samples"
    __table_args__ = (
        sql.Index("ix_label_samples_task", "project", "task_id"),
        sql.Index(
            "ix_label_samples_unsent",
            *("project", "priority", "id"),
            sqlite_where=sql.text("sent IS NULL"),
            postgresql_where=sql.text("sent IS NULL"),
        ),
    )

    project: Mapped[str] = mapped_column(sql.ForeignKey("label_projects.name"), primary_key=True)
    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    content: Mapped[Json] = mapped_column(sql.JSON)
    order: Mapped[list[int]] = mapped_column(sql.JSON)
    """`labeling.kinds.kind.Order` of its task: known here alone."""
    gold: Mapped[Json | None] = mapped_column(sql.JSON(none_as_null=True))
    draft: Mapped[str | None] = mapped_column(sql.Text)
    draft_model: Mapped[str | None] = mapped_column(sql.Text)
    priority: Mapped[float] = mapped_column(sql.Double)
    provenance: Mapped[Json] = mapped_column(sql.JSON)
    added: Mapped[datetime] = mapped_column(UtcTime)
    sent: Mapped[datetime | None] = mapped_column(UtcTime)
    """When a push began to send it. With no task since then, it is not known whether it arrived."""
    task_id: Mapped[int | None]
    """Null until Label Studio is known to have it."""
    deleted: Mapped[datetime | None] = mapped_column(UtcTime)
    """When its task was found to be gone: somebody deleted it in Label Studio, and it is not sent again."""


class AnnotatorRow(Base):
    """A person, by a name that says nothing; who it is, Label Studio knows."""

    __tablename__ = "label_annotators"
    __table_args__ = (sql.UniqueConstraint("server", "remote_id"),)

    pseudonym: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    server: Mapped[str] = mapped_column(sql.Text)
    remote_id: Mapped[int]


class AnnotationRow(Base):
    """One annotation as it last came, with its verdict or the reason why it has none."""

    __tablename__ = "label_annotations"
    __table_args__ = (sql.Index("ix_label_annotations_sample", "project", "sample"),)

    project: Mapped[str] = mapped_column(sql.ForeignKey("label_projects.name"), primary_key=True)
    remote_id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int]
    sample: Mapped[str | None] = mapped_column(sql.Text)
    """Null for an annotation of a task that was not pushed from here."""
    annotator: Mapped[str] = mapped_column(sql.Text)
    result: Mapped[list[Any]] = mapped_column(sql.JSON)
    verdict: Mapped[Json | None] = mapped_column(sql.JSON(none_as_null=True))
    reason: Mapped[str | None] = mapped_column(sql.Text)
    """Why there is no verdict: what the validator says, "skipped", "deleted", "replaced" by the person's newer one."""
    seconds: Mapped[float | None] = mapped_column(sql.Double)
    """Label Studio's lead time: how long the page was open for it."""
    draft_distance: Mapped[float | None] = mapped_column(sql.Double)
    """0 where the draft was kept as it was, 1 where nothing is left of it; null without a draft."""
    instruction_version: Mapped[int]
    created: Mapped[datetime] = mapped_column(UtcTime)
    updated: Mapped[datetime] = mapped_column(UtcTime)
    seen: Mapped[datetime] = mapped_column(UtcTime)
    """When it was pulled."""


@dataclass(frozen=True)
class Project:
    name: str
    kind: str
    reviews: str | None
    server: str
    remote_id: int
    config: str
    instructions: str
    instruction_version: int
    overlap: int
    created: datetime
    secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    cursor: str | None = None
    reconciled: datetime | None = None


@dataclass(frozen=True)
class StoredSample:
    """A sample with what happened to it: shuffled, drafted, sent."""

    id: str
    content: Json
    order: tuple[int, ...]
    gold: Json | None
    draft: str | None
    draft_model: str | None
    priority: float
    provenance: Json
    added: datetime
    sent: datetime | None = None
    task_id: int | None = None
    deleted: datetime | None = None


@dataclass(frozen=True)
class Annotation:
    """`AnnotationRow` as a value."""

    remote_id: int
    task_id: int
    sample: str | None
    annotator: str
    result: list[Any]
    verdict: Json | None
    reason: str | None
    seconds: float | None
    draft_distance: float | None
    instruction_version: int
    created: datetime
    updated: datetime
    seen: datetime


def add_project(database: Database, project: Project) -> None:
    """Raises ValueError where the name is taken."""
    with database.write() as session:
        if session.get(ProjectRow, project.name) is not None:
            raise ValueError(f"there is a project {project.name} already; give this one another name")
        session.add(ProjectRow(**_values(project)))


def get_project(database: Database, name: str) -> Project:
    """Raises KeyError with the names there are."""
    with database.read() as session:
        row = session.get(ProjectRow, name)
        if row is None:
            names = ", ".join(session.scalars(sql.select(ProjectRow.name).order_by(ProjectRow.name)))
            raise KeyError(f"no project {name}; there " + (f"are {names}" if names else "is none yet"))
        return _project(row)


def projects(database: Database) -> list[Project]:
    with database.read() as session:
        return [_project(row) for row in session.scalars(sql.select(ProjectRow).order_by(ProjectRow.name))]


def update_project(database: Database, name: str, **values: Any) -> None:
    """Raises KeyError where there is no such project."""
    with database.write() as session:
        changed = sql.update(ProjectRow).where(ProjectRow.name == name).values(**values).returning(ProjectRow.name)
        if session.scalar(changed) is None:
            raise KeyError(f"no project {name}")


def add_samples(database: Database, project: str, samples: Sequence[StoredSample]) -> int:
    """Stores those that the project has not had, in one transaction; how many those were."""
    insert = postgresql.insert if database.dialect == "postgresql" else sqlite.insert
    added = 0
    with database.write() as session:
        for start in range(0, len(samples), BATCH):
            rows = [_values(sample) | {"project": project} for sample in samples[start : start + BATCH]]
            statement = insert(SampleRow).on_conflict_do_nothing(index_elements=["project", "id"])
            added += len(session.scalars(statement.returning(SampleRow.id), rows).all())
    return added


def read_samples(session: Session, project: str) -> Iterator[StoredSample]:
    """All samples of a project, by id."""
    query = sql.select(*_columns(SampleRow, StoredSample)).where(SampleRow.project == project).order_by(SampleRow.id)
    for id, content, order, *rest in session.execute(query.execution_options(yield_per=BATCH)):
        yield StoredSample(id, content, tuple(order), *rest)


def samples_of_tasks(session: Session, project: str, tasks: Iterable[int]) -> dict[int, StoredSample]:
    """The samples behind these tasks, by task."""
    query = sql.select(SampleRow).where(SampleRow.project == project, SampleRow.task_id.in_(list(tasks)))
    return {row.task_id: sample_of(row) for row in session.scalars(query) if row.task_id is not None}


def read_annotations(session: Session, project: str) -> Iterator[Annotation]:
    """All annotations of a project that have been seen, deleted and invalid ones too, by sample and time."""
    query = (
        sql.select(*_columns(AnnotationRow, Annotation))
        .where(AnnotationRow.project == project)
        .order_by(AnnotationRow.sample, AnnotationRow.updated, AnnotationRow.remote_id)
    )
    for row in session.execute(query.execution_options(yield_per=BATCH)):
        yield Annotation(*row)


def annotations_of_tasks(session: Session, project: str, tasks: Iterable[int]) -> dict[int, Annotation]:
    """The annotations of these tasks that have been seen, by their ids."""
    query = sql.select(AnnotationRow).where(AnnotationRow.project == project, AnnotationRow.task_id.in_(list(tasks)))
    return {row.remote_id: _annotation(row) for row in session.scalars(query)}


def put_annotations(session: Session, project: str, annotations: Sequence[Annotation]) -> None:
    """Stores annotations, each in the place of its earlier state."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for start in range(0, len(annotations), BATCH):
        rows = [_values(item) | {"project": project} for item in annotations[start : start + BATCH]]
        if rows:
            statement = insert(AnnotationRow)
            kept = {name: statement.excluded[name] for name in rows[0] if name not in ("project", "remote_id")}
            session.execute(statement.on_conflict_do_update(index_elements=["project", "remote_id"], set_=kept), rows)


def pseudonym(session: Session, server: str, remote_id: int, new: str) -> str:
    """The name of a person on a server; `new` for one who has none yet."""
    query = sql.select(AnnotatorRow.pseudonym).where(AnnotatorRow.server == server, AnnotatorRow.remote_id == remote_id)
    if known := session.scalar(query):
        return known
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(AnnotatorRow).values(pseudonym=new, server=server, remote_id=remote_id)
    # On PostgreSQL a pull of another project may name the same person meanwhile: then theirs is the name.
    session.execute(row.on_conflict_do_nothing(index_elements=["server", "remote_id"]))
    return session.scalars(query).one()


def _columns(table: type[Base], value: type) -> list[Any]:
    """A table's columns in the order of a dataclass's fields: where a hundred thousand rows are read, they come in half
    the time that objects of the session take."""
    return [getattr(table, one.name) for one in fields(value)]


def _values(item: Project | StoredSample | Annotation) -> Json:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(item).items()}


def _project(row: ProjectRow) -> Project:
    return Project(**{name: getattr(row, name) for name in Project.__dataclass_fields__})


def sample_of(row: SampleRow) -> StoredSample:
    values = {name: getattr(row, name) for name in StoredSample.__dataclass_fields__}
    return StoredSample(**values | {"order": tuple(row.order)})


def _annotation(row: AnnotationRow) -> Annotation:
    return Annotation(**{name: getattr(row, name) for name in Annotation.__dataclass_fields__})
