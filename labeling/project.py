"""A project's kind, with what it reviews."""

from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import Kind
from labeling.store.database import Database
from labeling.store.labels import Project, get_project

REVIEW = "review"


def inner_kind(database: Database, project: Project) -> str:
    """The kind by whose rules the project's verdicts are read: a review's is that of the project it reviews.

    Raises KeyError for a reviewed project that is gone.
    """
    while project.kind == REVIEW:
        project = get_project(database, project.reviews or "")
    return project.kind


def kind_of(database: Database, project: Project) -> Kind:
    """By whose rules the project's tasks are made and its results read. Raises KeyError as `inner_kind` does."""
    inner = inner_kind(database, project)
    return REVIEWS[inner] if project.kind == REVIEW else KINDS[inner]
