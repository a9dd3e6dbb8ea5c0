"""What people say of a served model: reports of what it did wrong (or well), and which of two answers is better.

Feedback and correction are kept apart, as TensorZero and MLflow do: a rating or a category says that an answer is bad,
a wished answer says what a good one would be.
"""

import dataclasses
import json
import math
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, get_args

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.masking import mask, mask_json
from labeling.storable import storable_json
from labeling.store.database import Base, Database, UtcTime

Category = Literal["wrong", "harmful", "refusal", "format", "repetition", "injection", "other"]
Source = Literal["page", "terminal", "redteam", "api"]
Status = Literal["new", "labelled", "dismissed"]
Choice = Literal["a", "b", "tie", "both_bad"]
CATEGORIES, SOURCES, STATUSES, CHOICES = map(get_args, (Category, Source, Status, Choice))

BATCH = 200
"""Rows that are in memory at once while many are read."""

DEPTH = 64
"""How deep JSON may be nested: Python's reader gives up at about 1,000, and one such row would shut a whole table."""

Messages = list[dict[str, Any]]
"""A conversation in OpenAI's form: role, content, and an assistant's tool_calls."""


def new_id() -> str:
    return str(uuid.uuid4())


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Report:
    """One report. Raises ValueError where a value is none of those that are expected.

    `messages` is the full conversation, up to and with the answer that the report is about. A report says what kind of
    problem it is (`category`) or at least which way its thumb points (`rating`, -1 or 1), or both.
    """

    checkpoint_id: str
    messages: Messages
    category: Category | None = None
    description: str = ""
    wished_answer: str | None = None
    rating: int | None = None
    consent: bool = False
    """Whether the person lets it be trained on. Without, it is looked at, and never exported."""
    masked: bool = False
    """Whether `mask_report` has gone over it."""
    source: Source = "api"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """temperature, top_p, top_k, seed, max_tokens."""
    status: Status = "new"
    id: str = field(default_factory=new_id)
    """A random UUID, made by the client where it may send a report twice."""
    created: datetime = field(default_factory=now)

    def __post_init__(self) -> None:
        _check_id(self.id)
        _check_time(self.created)
        _check_messages("messages", self.messages)
        _check_depth("sampling", self.sampling)
        _check_text("checkpoint_id", self.checkpoint_id)
        if self.category is None and self.rating is None:
            raise ValueError("a report with neither category nor rating; expected one of them at least")
        if self.category is not None:
            _check_one_of("category", self.category, CATEGORIES)
        if self.rating not in (None, -1, 1):
            raise ValueError(f"rating is {self.rating!r}; expected -1, 1 or null")
        _check_one_of("source", self.source, SOURCES)
        _check_one_of("status", self.status, STATUSES)


@dataclass(frozen=True)
class Answer:
    """What one checkpoint said, and how it was sampled.

    Where it used tools, `text` is what it said last, and `said` is all of it: calls, their results, and that text.
    """

    text: str
    checkpoint_id: str
    sampling: Mapping[str, Any] = field(default_factory=dict)
    said: Messages = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """Two answers to one conversation, and a person's choice. Raises ValueError as `Report` does."""

    prompt: Messages
    a: Answer
    b: Answer
    choice: Choice
    margin: float | None = None
    """By how much the chosen one is better: 1, 2/3, 1/3 or 0 (Llama 2's four grades), where the person said so."""
    arena: bool = False
    """Whether the person did not know whose answers they are."""
    consent: bool = False
    masked: bool = False
    session: str = ""
    """A random id of the browser, which tells that two choices have one author, and not who that is."""
    id: str = field(default_factory=new_id)
    created: datetime = field(default_factory=now)

    def __post_init__(self) -> None:
        _check_id(self.id)
        _check_time(self.created)
        _check_messages("prompt", self.prompt)
        for answer in (self.a, self.b):
            _check_text("an answer's checkpoint_id", answer.checkpoint_id)
            _check_depth("an answer's sampling", answer.sampling)
            if answer.said:
                _check_messages("an answer's messages", answer.said)
        _check_one_of("choice", self.choice, CHOICES)
        if self.margin is not None:
            if self.choice not in ("a", "b"):
                raise ValueError(f"margin {self.margin} with the choice {self.choice}; only a and b have one")
            if not (math.isfinite(self.margin) and 0 <= self.margin <= 1):
                raise ValueError(f"margin is {self.margin}; expected 0 to 1")


class ReportRow(Base):
    __tablename__ = "reports"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    created: Mapped[datetime] = mapped_column(UtcTime, index=True)
    checkpoint_id: Mapped[str] = mapped_column(sql.Text)
    sampling: Mapped[dict[str, Any]] = mapped_column(sql.JSON)
    messages: Mapped[Messages] = mapped_column(sql.JSON)
    category: Mapped[str | None] = mapped_column(sql.Text)
    description: Mapped[str] = mapped_column(sql.Text)
    wished_answer: Mapped[str | None] = mapped_column(sql.Text)
    rating: Mapped[int | None]
    consent: Mapped[bool]
    masked: Mapped[bool]
    source: Mapped[str] = mapped_column(sql.Text)
    status: Mapped[str] = mapped_column(sql.Text)


class ComparisonRow(Base):
    __tablename__ = "comparisons"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    created: Mapped[datetime] = mapped_column(UtcTime, index=True)
    prompt: Mapped[Messages] = mapped_column(sql.JSON)
    answers: Mapped[dict[str, dict[str, Any]]] = mapped_column(sql.JSON)
    choice: Mapped[str] = mapped_column(sql.Text)
    margin: Mapped[float | None] = mapped_column(sql.Double)
    arena: Mapped[bool]
    consent: Mapped[bool]
    masked: Mapped[bool]
    session: Mapped[str] = mapped_column(sql.Text)


Row = TypeVar("Row", ReportRow, ComparisonRow)
Item = TypeVar("Item")


def add_report(database: Database, report: Report) -> bool:
    """Stores a report; when this returns it is on the disk. False if its id is there already, which changes nothing.

    U+0000 and halves of surrogate pairs, which databases and UTF-8 can't hold, are stored as U+FFFD. Raises StoreError.
    """
    return _add(database, ReportRow, _values(report))


def add_comparison(database: Database, comparison: Comparison) -> bool:
    """Stores a comparison, as `add_report` does."""
    values = _values(comparison)
    answers = {side: _values(values.pop(side)) for side in ("a", "b")}
    return _add(database, ComparisonRow, values | {"answers": answers})


def set_status(database: Database, id: str, status: Status) -> None:
    """Raises KeyError where no report has the id."""
    _check_one_of("status", status, STATUSES)
    with database.write() as session:
        row = session.get(ReportRow, id)
        if row is None:
            raise KeyError(f"no report has the id {id}")
        row.status = status


def reports(
    database: Database,
    since: datetime | None = None,
    checkpoint: str | None = None,
    category: Category | None = None,
    limit: int | None = None,
) -> list[Report]:
    """Reports, oldest first; `since` is inclusive.

    `created` is when a report was made, not when it was committed: who comes back for more asks from a little before
    the last time, and knows by their ids those that it has.
    """
    with database.read() as session:
        return list(read_reports(session, since, checkpoint, category, limit))


def comparisons(
    database: Database,
    since: datetime | None = None,
    checkpoint: str | None = None,
    arena: bool | None = None,
    limit: int | None = None,
) -> list[Comparison]:
    """Comparisons, oldest first; of `checkpoint` on either side. Else as `reports`."""
    with database.read() as session:
        return list(read_comparisons(session, since, checkpoint, arena, limit))


def newest_comparison(database: Database) -> tuple[int, datetime | None]:
    """How many comparisons there are, and when the newest was made: whether they have changed since.

    Both are read off an index; of 5,000 with 6 KB each it takes 2 ms, and the arena's alone would take 25.
    """
    query = sql.select(sql.func.count(), sql.func.max(ComparisonRow.created)).select_from(ComparisonRow)
    with database.read() as session:
        number, created = session.execute(query).one()
    return number, created


def read_reports(
    session: Session,
    since: datetime | None = None,
    checkpoint: str | None = None,
    category: Category | None = None,
    limit: int | None = None,
) -> Iterator[Report]:
    """As `reports`, but one at a time, within a transaction."""
    query = _query(ReportRow, since, limit)
    if checkpoint is not None:
        query = query.where(ReportRow.checkpoint_id == checkpoint)
    if category is not None:
        query = query.where(ReportRow.category == category)
    return _stream(session, query, report_of)


def read_comparisons(
    session: Session,
    since: datetime | None = None,
    checkpoint: str | None = None,
    arena: bool | None = None,
    limit: int | None = None,
) -> Iterator[Comparison]:
    """As `comparisons`, but one at a time, within a transaction."""
    query = _query(ComparisonRow, since, limit)
    if checkpoint is not None:
        sides = (ComparisonRow.answers[side]["checkpoint_id"].as_string() for side in "ab")
        query = query.where(sql.or_(*(side == checkpoint for side in sides)))
    if arena is not None:
        query = query.where(ComparisonRow.arena == arena)
    return _stream(session, query, _comparison)


def mask_report(report: Report) -> Report:
    """The report with what identifies a person masked in everything that was written (`labeling.masking`)."""
    return replace(
        report,
        messages=mask_json(report.messages),
        description=mask(report.description),
        wished_answer=None if report.wished_answer is None else mask(report.wished_answer),
        masked=True,
    )


def mask_comparison(comparison: Comparison) -> Comparison:
    a, b = (
        replace(answer, text=mask(answer.text), said=mask_json(answer.said)) for answer in (comparison.a, comparison.b)
    )
    return replace(comparison, prompt=mask_json(comparison.prompt), a=a, b=b, masked=True)


def _values(item: Report | Comparison | Answer) -> dict[str, Any]:
    return {member.name: getattr(item, member.name) for member in dataclasses.fields(item)}


def _add(database: Database, table: type[ReportRow] | type[ComparisonRow], values: dict[str, Any]) -> bool:
    insert = postgresql.insert if database.dialect == "postgresql" else sqlite.insert
    row = {name: _storable(name, value) for name, value in values.items()}
    statement = insert(table).values(row).on_conflict_do_nothing(index_elements=["id"]).returning(table.id)
    with database.write() as session:
        return session.execute(statement).first() is not None


def _query(table: type[Row], since: datetime | None, limit: int | None) -> sql.Select[Row]:
    query = sql.select(table).order_by(table.created, table.id).limit(limit)
    return query if since is None else query.where(table.created >= since)


def _stream(session: Session, query: sql.Select[Row], read: Callable[[Row], Item]) -> Iterator[Item]:
    for row in session.scalars(query.execution_options(yield_per=BATCH)):
        yield read(row)


def report_of(row: ReportRow) -> Report:
    """A row as the report that it holds."""
    return Report(**{item.name: getattr(row, item.name) for item in dataclasses.fields(Report)})


def _comparison(row: ComparisonRow) -> Comparison:
    a, b = (Answer(**row.answers[side]) for side in "ab")
    names = [item.name for item in dataclasses.fields(Comparison) if item.name not in ("a", "b")]
    return Comparison(a=a, b=b, **{name: getattr(row, name) for name in names})


def _storable(name: str, value: Any) -> Any:
    """The value with texts that can be stored. Raises ValueError for what is no JSON."""
    if not isinstance(value, str | Mapping | list):
        return value
    try:
        return storable_json(json.loads(json.dumps(value, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no JSON: {error}") from None


def _check_id(id: str) -> None:
    try:
        good = str(uuid.UUID(id)) == id and uuid.UUID(id).version == 4
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:
        raise ValueError(f"id is {str(id)[:60]!r}; expected a random UUID (version 4) in lower case")


def _check_time(time: datetime) -> None:
    if time.tzinfo is None:
        raise ValueError(f"created is {time}, without a time zone; expected UTC")


def _check_messages(name: str, messages: Messages) -> None:
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"{name} is empty or no list; expected one message at least")
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError(f"{name}: message {number} has no role; expected role and content")
    _check_depth(name, messages)


def _check_depth(name: str, value: Any, left: int = DEPTH) -> None:
    if isinstance(value, Mapping | list):
        if not left:
            raise ValueError(f"{name}: lists or objects in each other, more than {DEPTH} deep")
        for item in value.values() if isinstance(value, Mapping) else value:
            _check_depth(name, item, left - 1)


def _check_text(name: str, text: str) -> None:
    if not isinstance(text, str) or not text:
        raise ValueError(f"{name} is empty; expected the id of the checkpoint that answered")


def _check_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}; expected {', '.join(known)}")
