"""What people said of the misbehaviours that they were sent, cases of the gate too: of those no correction tells."""

from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.explain.graph import Fact, Graph, line
from flywheel.tables import Correction
from labeling.kinds.corrections import NO_PROBLEM
from labeling.store.labels import AnnotationRow, ProjectRow, SampleRow

LONG = 80
"""Characters of an answer that are told."""


def add_labels(session: Session, graph: Graph, project: str) -> None:
    """Tells of each sample that is there where it was sent, and links it to its annotations, reviewers' too.

    `project` is the one that misbehaviours are sent to now; those of earlier corrections are read besides.
    """
    names = {project, *session.scalars(sql.select(Correction.project).distinct())}
    task, one = SampleRow, AnnotationRow
    tasks = sql.select(task.project, task.id, task.sent, task.task_id).where(task.project.in_(names))
    for name, id, sent, number in session.execute(tasks).tuples():
        if ("sample", id) in graph.facts:
            graph.facts["sample", id] = Fact("sample", id, sent, f"task {number} of {name}" if number else f"in {name}")
    reviews = sql.select(ProjectRow.name).where(ProjectRow.reviews.in_(names), ProjectRow.kind == "review")
    reviewing = set(session.scalars(reviews))
    about = sql.select(task.project, task.id, task.content["sample"].as_string()).where(task.project.in_(reviewing))
    reviewed = {(name, id): sample for name, id, sample in session.execute(about).tuples()}
    columns = (one.project, one.remote_id, one.sample, one.annotator, one.created, one.seconds, one.verdict, one.reason)
    query = sql.select(*columns).where(one.project.in_(names | reviewing), one.sample.is_not(None))
    for row in session.execute(query.order_by(one.created, one.project, one.remote_id)):
        sample = ("sample", reviewed.get((row.project, row.sample), row.sample))
        if sample in graph.facts:
            graph.link(
                sample, graph.add("annotation", row.remote_id, row.created, _says(row, row.project in reviewing))
            )


def _says(row: Any, review: bool) -> str:
    took = "" if row.seconds is None else f" in {row.seconds:.0f} s"
    who = f"by {row.annotator}{took}" + (", in review" if review else "")
    if row.verdict is None:
        return f"{who}: does not count, {row.reason}"
    answer = "no problem" if row.verdict.get("category") == NO_PROBLEM else line(str(row.verdict.get("answer"))[:LONG])
    return f"{who}: {answer}"
