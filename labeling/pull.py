"""Annotations out of Label Studio and into the store: what is new by a cursor, what is gone by comparing everything.

A pull asks for the tasks that changed since the last one began, page by page in the order of their numbers, and commits
each page together with the place that it has reached. So a pull that was stopped goes on there, and a task that changes
behind its back is found by the next one. Deleting leaves no trace in Label Studio: a full pull looks at every task.

What was labelled while somebody had changed the project's page may mean something else than it says, and is set aside;
what was labelled under changed instructions says so.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from labeling.client import Client
from labeling.cursor import Cursor
from labeling.drift import INSTRUCTIONS, INTERFACE, UNKNOWN_VERSION, look
from labeling.kinds.kind import Json, Kind
from labeling.project import kind_of
from labeling.store.database import Database
from labeling.store.labels import (
    Annotation,
    AnnotationRow,
    Project,
    ProjectRow,
    SampleRow,
    StoredSample,
    annotations_of_tasks,
    get_project,
    pseudonym,
    put_annotations,
    sample_of,
    samples_of_tasks,
)
from labeling.store.sending import noted_tasks
from labeling.tasks import reference, references
from labeling.validate import Raw, judge, read

PAGE = 500
"""Tasks that are committed together."""

MARGIN = timedelta(seconds=60)
"""How far before a pull's beginning its successor looks back: a change may be committed later than its time says."""

RECONCILE = timedelta(hours=6)
"""How long after the last full pull the next one is made by itself."""

DELETED, REPLACED = "deleted", "replaced by the same person's newer annotation"

OTHER_PAGE = "made while the project's page was changed in Label Studio"
"""Nobody knows what the person saw. It counts when it is submitted again on the page as it was made."""

Say = Callable[[str], None]


class PullError(Exception):
    """A pull that can't go on, and what to do."""


@dataclass(frozen=True)
class Pulled:
    """What a pull saw: tasks, and annotations that are new, changed, or gone; and all that count now, by reason."""

    tasks: int
    new: int
    changed: int
    deleted: int
    full: bool
    reasons: dict[str, int]
    """Of the annotations seen now that have no verdict: why."""
    doubled: int = 0
    """Tasks seen now whose sample has another task: a push was cut off, and sent it twice. Labels of either count."""
    differs: tuple[str, ...] = ()
    """What somebody changed about the project in Label Studio, each in a sentence."""


def pull(database: Database, client: Client, name: str, full: bool = False, say: Say | None = None) -> Pulled:
    """Brings the store up to date with the project `name`.

    A full pull is made by itself where none was for RECONCILE; it also judges all annotations anew. Raises KeyError for
    an unknown project, PullError where another pull of the project is at work, LabelStudioError, StoreError: the same
    call goes on from where this one was.
    """
    found = look(database, client, name)
    project = get_project(database, name)
    kind = kind_of(database, project)
    held, cursor = project.cursor, Cursor.load(project.cursor)
    if cursor.began is None:
        began = datetime.now(UTC)
        full = full or project.reconciled is None or began - project.reconciled >= RECONCILE
        cursor = replace(cursor, began=began, clock=found.now, after=0, full=full)
    elif full and not cursor.full:
        cursor = replace(cursor, full=True, began=datetime.now(UTC), clock=found.now, after=0)
    cursor = replace(cursor, looked=found.now)
    counts, reasons, samples = Counter[str](), Counter[str](), _Samples(project)
    since = None if cursor.full else cursor.since
    seen: set[int] | None = set() if cursor.full and not cursor.after else None
    noted = noted_tasks(database, name) if seen is not None else set()  # before asking: what a push notes now is there
    tasks = client.tasks(project.remote_id, page_size=PAGE, updated_since=since, after_id=cursor.after)
    for page in _batches(tasks):
        cursor = replace(cursor, after=int(page[-1]["id"]))
        if seen is not None:
            seen.update(int(task["id"]) for task in page)
        with database.write() as session:
            held = _move(session, project, held, cursor)
            counts += _store(session, project, kind, samples, page, cursor, reasons)
        if say:
            say(f"{counts['tasks']:,} tasks, {counts['new'] + counts['changed']:,} annotations new or changed")
    with database.write() as session:
        since = cursor.clock and cursor.clock - MARGIN
        _move(session, project, held, Cursor(since, looked=cursor.looked, differed=cursor.differed))
        if cursor.full and cursor.began:
            counts["deleted"] += _forget(session, project, cursor.began)
            session.get_one(ProjectRow, project.name).reconciled = cursor.began
            if seen is not None:  # a pull that was stopped has not seen all: the next one notes what is gone
                _forget_tasks(session, project, cursor.began, noted - seen)
    return Pulled(
        tasks=counts["tasks"],
        new=counts["new"],
        changed=counts["changed"],
        deleted=counts["deleted"],
        full=cursor.full,
        reasons=dict(reasons),
        doubled=counts["doubled"],
        differs=tuple(found.differs.values()),
    )


def _move(session: Session, project: Project, held: str | None, cursor: Cursor) -> str:
    """Writes the cursor, as text. Raises PullError where it is not as this pull left it."""
    row = session.get_one(ProjectRow, project.name)
    if row.cursor != held:
        raise PullError(f"another pull of {project.name} is at work; this one has stopped, let the other finish")
    row.cursor = cursor.dump()
    return row.cursor


def _batches(tasks: Iterable[Json]) -> Iterator[list[Json]]:
    rest = iter(tasks)
    while page := list(islice(rest, PAGE)):
        yield page


class _Samples:
    """The samples behind tasks, found by their references where the tasks' numbers do not tell."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.ids: dict[str, str] | None = None

    def of(self, session: Session, tasks: Sequence[Json]) -> dict[int, StoredSample]:
        """By task; none for a task that was not pushed from here."""
        found = samples_of_tasks(session, self.project.name, [int(task["id"]) for task in tasks])
        for task in tasks:
            number, ref = int(task["id"]), (task.get("data") or {}).get("ref")
            sample = found.pop(number, None)
            if sample is None or ref != reference(self.project, sample.id):
                # Twice in Label Studio; or SQLite gave the number of a deleted last task to the next.
                sample = self._named(session, ref)
            if sample is not None:
                found[number] = sample
        return found

    def _named(self, session: Session, ref: object) -> StoredSample | None:
        if self.ids is None:
            self.ids = references(session, self.project)
        id = self.ids.get(ref) if isinstance(ref, str) else None
        row = None if id is None else session.get(SampleRow, (self.project.name, id))
        return None if row is None else sample_of(row)


def _store(
    session: Session,
    project: Project,
    kind: Kind,
    samples: _Samples,
    page: Sequence[Json],
    cursor: Cursor,
    reasons: Counter[str],
) -> Counter[str]:
    """Stores a page of tasks as they are now; what the store knows of them and Label Studio does not is gone."""
    ids = [int(task["id"]) for task in page]
    asked = samples.of(session, page)
    known = annotations_of_tasks(session, project.name, ids)
    counts = Counter(tasks=len(page))
    changed: list[Annotation] = []
    for task in page:
        sample = asked.get(int(task["id"]))
        counts["doubled"] += sample is not None and sample.task_id not in (None, int(task["id"]))
        now = _annotations(session, project, kind, task, sample, known, cursor, reasons)
        for annotation in now:
            old = known.pop(annotation.remote_id, None)
            if old is None:
                counts["new"] += 1
            elif replace(old, seen=annotation.seen) != annotation:
                counts["changed"] += 1
            elif not cursor.full:
                continue  # a full pull notes each that it sees, and so which are gone
            changed.append(annotation)
    gone = [replace(old, verdict=None, reason=DELETED) for old in known.values() if old.reason != DELETED]
    counts["deleted"] += len(gone)
    put_annotations(session, project.name, changed + gone)
    return counts


def _annotations(
    session: Session,
    project: Project,
    kind: Kind,
    task: Json,
    sample: StoredSample | None,
    known: dict[int, Annotation],
    cursor: Cursor,
    reasons: Counter[str],
) -> list[Annotation]:
    raws: list[Raw] = []
    found: list[Annotation] = []
    for given in task.get("annotations") or []:
        try:
            raws.append(read(given))
        except ValueError as error:
            reasons[str(error)] += 1
            if old := known.get(given.get("id")):  # its author's account was removed, and what was said stays said
                found.append(replace(old, seen=cursor.began or old.seen))
    newest = {raw.annotator: raw.id for raw in sorted(raws, key=lambda raw: (raw.updated, raw.id))}
    for raw in raws:
        judged = judge(kind, sample, raw, task.get("data") or {})
        verdict, reason = judged.verdict, judged.reason
        if newest[raw.annotator] != raw.id:
            verdict, reason = None, REPLACED
        elif verdict is not None and cursor.otherwise(INTERFACE, raw.updated):
            verdict, reason = None, OTHER_PAGE
        if reason is not None:
            reasons[reason] += 1
        version = known[raw.id].instruction_version if raw.id in known else UNKNOWN_VERSION
        if cursor.otherwise(INSTRUCTIONS, raw.updated):
            version = UNKNOWN_VERSION
        elif version == UNKNOWN_VERSION:
            version = project.instruction_version
        found.append(
            Annotation(
                remote_id=raw.id,
                task_id=int(task["id"]),
                sample=sample.id if sample else None,
                annotator=pseudonym(session, project.server, raw.annotator, f"annotator-{secrets.token_hex(3)}"),
                result=judged.result,
                verdict=verdict,
                reason=reason,
                seconds=raw.seconds,
                draft_distance=judged.draft_distance,
                instruction_version=version,
                created=raw.created,
                updated=raw.updated,
                seen=cursor.began or raw.updated,
            )
        )
    return found


def _forget(session: Session, project: Project, began: datetime) -> int:
    """Marks what a full pull has not seen: its task is gone, and so are its annotations."""
    gone = (
        sql.update(AnnotationRow)
        .where(AnnotationRow.project == project.name, AnnotationRow.seen < began)
        .where(sql.func.coalesce(AnnotationRow.reason, "") != DELETED)
        .values(verdict=sql.null(), reason=DELETED)
    )
    done: Any = session.execute(gone)
    return int(done.rowcount)


def _forget_tasks(session: Session, project: Project, began: datetime, lost: set[int]) -> None:
    """Notes that these tasks are gone."""
    query = sql.select(SampleRow.id, SampleRow.task_id).where(
        SampleRow.project == project.name, SampleRow.task_id.is_not(None)
    )
    gone = [id for id, task in session.execute(query) if task in lost]
    rows = [{"project": project.name, "id": id, "task_id": None, "deleted": began} for id in gone]
    if rows:
        session.execute(sql.update(SampleRow), rows)
