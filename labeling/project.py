"""A project's kind, with what it reviews."""

from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import Kind
from labeling.store.database import Database
from labeling.store.labels import Project, get_project

REVIEW = "review"


def kind_of(database: Database, project: Project) -> Kind:
    """By whose rules the project's tasks are made and its results read. Raises KeyError for a reviewed project that
    is gone."""
    if project.kind != REVIEW:
        return KINDS[project.kind]
    reviewed = project
    while reviewed.kind == REVIEW:
        reviewed = get_project(database, reviewed.reviews or "")
    return REVIEWS[reviewed.kind]
