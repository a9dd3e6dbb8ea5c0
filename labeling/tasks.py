"""A sample as Label Studio gets it: nothing that tells a gold question from another, or one model from another."""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence

import sqlalchemy as sql
from sqlalchemy.orm import Session

from labeling.kinds.kind import Draft, Json, Kind, Order
from labeling.store.labels import Project, SampleRow, StoredSample

TASKS = 500
"""Tasks in one import. From 500 on a task costs the server 0.2 ms of processor time, or 1.1 with a draft; in batches of
100 it is 0.5, of 10 it is 3. More would only be longer in doubt."""

BYTES = 8_000_000
"""Most JSON in one import: the server reads 10 MB of long texts in a second, and holds it several times over."""

Pair = tuple[StoredSample, Json]


def reference(project: Project, sample: str) -> str:
    """What stands in a task instead of the sample's id, which could be guessed from the text: 64 bits, hexadecimal."""
    return hashlib.sha256(f"{project.secret} ref {sample}".encode()).hexdigest()[:16]


def references(session: Session, project: Project) -> dict[str, str]:
    """The ids of all samples of the project, by reference: 2 µs each."""
    ids = session.scalars(sql.select(SampleRow.id).where(SampleRow.project == project.name))
    return {reference(project, id): id for id in ids}


def shuffle(project: Project, sample: str, count: int) -> Order:
    """The order of this sample's answers on the page; the same each time it is asked for."""
    order = list(range(count))
    random.Random(f"{project.secret} order {sample}").shuffle(order)
    return tuple(order)


def make_task(project: Project, kind: Kind, sample: StoredSample) -> Json:
    """What a labeller may see, with the reference; and the draft, if there is one, without its model's name."""
    task: Json = {"data": kind.task(sample.content, sample.order) | {"ref": reference(project, sample.id)}}
    if sample.draft is not None:
        result = kind.prediction(sample.content, Draft(sample.draft, ""))
        task["predictions"] = [{"model_version": "draft", "result": result}]
    return task


def chunks(pairs: Sequence[Pair], most: int = TASKS, most_bytes: int = BYTES) -> Iterator[list[Pair]]:
    """Samples with their tasks in order, at most so many, and (but for a single one) so many bytes, at a time."""
    chunk: list[Pair] = []
    size = 0
    for pair in pairs:
        length = len(json.dumps(pair[1]))
        if chunk and (len(chunk) == most or size + length > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(pair)
        size += length
    if chunk:
        yield chunk
