"""A project's samples with what people said of each, one sample at a time: memory does not grow with the project."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from labeling.project import REVIEW
from labeling.store.database import Database
from labeling.store.labels import (
    Annotation,
    Json,
    Project,
    StoredSample,
    projects,
    read_annotations,
    read_samples,
)

UNREAD = frozenset({"model", "id", "url", "document", "project", "sample", "findings", "role"})
"""Keys of a content whose texts nobody has to read."""

MARKED = 1000
"""Most characters of a document's marked passages that count: a passage of a trigger has a few dozen, one of a rule for
whole pages all of them, and its beginning shows what it is."""


def labelled(session: Session, project: str) -> Iterator[tuple[StoredSample, list[Annotation]]]:
    """Each sample, by id, with all its annotations by time: deleted and invalid ones too, or none."""
    seen = (item for item in read_annotations(session, project) if item.sample is not None)
    groups = groupby(seen, key=lambda item: item.sample or "")
    group = next(groups, None)
    for sample in read_samples(session, project):
        while group is not None and group[0] < sample.id:  # of a sample that is gone
            group = next(groups, None)
        if group is not None and group[0] == sample.id:
            yield sample, list(group[1])
            group = next(groups, None)
        else:
            yield sample, []


def content_of(sample: StoredSample) -> Json:
    """What the verdict is about: of a review, the sample that it reviews."""
    content: Json = sample.content
    while set(content) >= {"project", "sample", "content"}:
        content = content["content"]
    return content


def reviews_of(database: Database, project: str) -> list[Project]:
    """The projects in which this one's disagreements are decided."""
    return [one for one in projects(database) if one.reviews == project and one.kind == REVIEW]


def second_looks(database: Database, project: str) -> list[Project]:
    """The projects in which people are asked the same once more, with a model's opinion in sight."""
    return [one for one in projects(database) if one.reviews == project and one.kind != REVIEW]


def characters(content: Any) -> int:
    """How many characters a person has to read before answering; names of models and the like don't count.

    Of a document that a filter held it is what the filter marked, up to MARKED: where the text around it is harmless is
    seen at a glance.
    """
    if isinstance(content, str):
        return len(content)
    if isinstance(content, Mapping):
        if content.get("findings"):
            return min(_marked(len(content["text"]), content["findings"]), MARKED)
        return sum(characters(value) for name, value in content.items() if name not in UNREAD)
    if isinstance(content, list | tuple):
        return sum(characters(value) for value in content)
    return 0


def _marked(length: int, findings: Sequence[Json]) -> int:
    """How many of a text's characters stand in at least one finding."""
    count, reached = 0, 0
    for start, end in sorted((found["start"], min(found["end"], length)) for found in findings):
        count += max(0, end - max(start, reached))
        reached = max(reached, end)
    return count
