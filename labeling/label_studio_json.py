"""A project from the store in the form of Label Studio's own JSON export, for tools that read that.

Annotators go by their pseudonyms, and what each annotation says, or why it says nothing, stands beside its result.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from labeling.files import text_file, together
from labeling.kinds.kind import Json, Kind
from labeling.project import kind_of
from labeling.quality.walk import labelled
from labeling.store.database import Database
from labeling.store.labels import Annotation, Project, StoredSample, get_project
from labeling.tasks import make_task


def export_json(database: Database, name: str, path: Path) -> int:
    """Writes a JSON array of all tasks there are, by sample; how many.

    The file appears whole or not at all. Raises KeyError for an unknown project, StoreError, OSError.
    """
    project = get_project(database, name)
    count = 0
    with together(path.parent, [path.name]) as parts, text_file(parts[path.name]) as file:
        file.write("[")
        for task in _tasks(database, project):
            file.write(",\n" if count else "\n")
            json.dump(task, file, ensure_ascii=False)
            count += 1
        file.write("\n]\n")
    return count


def _tasks(database: Database, project: Project) -> Iterator[Json]:
    kind = kind_of(database, project)
    with database.read() as session:
        for sample, annotations in labelled(session, project.name):
            if sample.task_id is not None or annotations:
                yield _task(project, kind, sample, annotations)


def _task(project: Project, kind: Kind, sample: StoredSample, annotations: list[Annotation]) -> Json:
    return {
        "id": sample.task_id,
        **make_task(project, kind, sample),
        "meta": {"sample": sample.id, "order": list(sample.order)},
        "annotations": [_annotation(one) for one in annotations],
    }


def _annotation(one: Annotation) -> Json:
    return {
        "id": one.remote_id,
        "completed_by": one.annotator,
        "result": one.result,
        "was_cancelled": one.reason == "skipped",
        "lead_time": one.seconds,
        "draft_distance": one.draft_distance,
        "instruction_version": one.instruction_version,
        "created_at": one.created.isoformat(),
        "updated_at": one.updated.isoformat(),
        "verdict": one.verdict,
        "reason": one.reason,
    }
