"""What a report led to, and what a checkpoint came from: the rows of the loop as one graph, walked both ways.

An edge says "led to": report, misbehaviour, sample, annotation, correction, dataset, run, checkpoint, verdict,
promotion; and page, shard, step, checkpoint, or page, trace, misbehaviour. The checkpoint that gave a bad answer is
told, but is no edge: from it everything would follow. What a checkpoint started from is gone along backwards alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.config import Config
from flywheel.explain.checkpoints import add_checkpoints
from flywheel.explain.graph import Branch, Fact, Graph, Key, line, walk
from flywheel.explain.pages import Passage, add_pages, tell_steps
from flywheel.live import live
from flywheel.status.changes import changes
from flywheel.tables import Cluster, Correction, Dataset, Decision, Misbehaviour, Promotion, Release, Run, Verdict
from labeling.store.database import Database
from labeling.store.labels import AnnotationRow, ProjectRow, SampleRow
from labeling.store.reports import ReportRow

SHORTEST = 6
"""Characters of an id that name it, where no other id begins so."""

LONG = 80
"""Characters of an answer that are told."""


@dataclass(frozen=True)
class Explained:
    """A fact, what led to it and what it led to; each fact once, behind the one that it was reached from."""

    fact: Fact
    came_from: tuple[Branch, ...]
    led_to: tuple[Branch, ...]


def explain(database: Database, config: Config, target: str, now: datetime) -> Explained:
    """The chain of whatever `target` names: the id of a report, misbehaviour, cluster, sample, annotation, correction,
    dataset, decision, run, checkpoint, verdict, promotion, page or corpus, the first six characters of one or more,
    `run 8f14e4` with the kind before it, a run's folder, or a page's address.

    Reads each row of the loop once, without conversations, and what checkpoints say of themselves. Raises ValueError
    where nothing or more than one has it.
    """
    with database.read() as session:
        graph, passages = _graph(session, config, now)
    key = _find(graph, target)
    came_from, led_to = walk(key, graph.came_from), walk(key, graph.led_to)
    tell_steps(graph, [key, *(one for _, one in (*came_from, *led_to))], passages)
    before, after = (tuple((depth, graph.facts[one]) for depth, one in way) for way in (came_from, led_to))
    return Explained(graph.facts[key], before, after)


def _find(graph: Graph, target: str) -> Key:
    kinds = {kind for kind, _ in graph.facts}
    first, _, rest = target.strip().partition(" ")
    kind, name = (first, rest.strip()) if first in kinds and rest else (None, target.strip())
    if name in graph.names and kind in (None, graph.names[name][0]):
        return graph.names[name]
    among = [key for key in graph.facts if kind in (None, key[0])]
    found = [key for key in among if key[1] == name]
    if not found and len(name) >= SHORTEST:
        found = [key for key in among if key[1].startswith(name)]
    # A cluster has the id of its first misbehaviour, which is told with it.
    if kind is None and {key[0] for key in found} == {"cluster", "misbehaviour"} and len({i for _, i in found}) == 1:
        found = [key for key in found if key[0] == "misbehaviour"]
    if not found:
        raise ValueError(
            f"{target}: nothing of the loop has this id; expected that of a report, misbehaviour, cluster, sample, "
            "annotation, correction, dataset, decision, run, checkpoint, verdict, promotion, traced page or corpus, "
            "or a run's folder, or a page's address. Pages that no trace has found are told by `corpuscle explain`."
        )
    if len(found) > 1:
        some = ", ".join(f"{kind} {id}" for kind, id in sorted(found)[:4])
        raise ValueError(f"{target}: {len(found)} have ids like this ({some}); name one of them, with its kind.")
    return found[0]


def _graph(session: Session, config: Config, now: datetime) -> tuple[Graph, dict[Key, Passage]]:
    graph = Graph()
    _add_misbehaviours(session, graph)
    _add_corrections(session, graph)
    _add_runs(session, graph)
    _add_promotions(session, config, graph, now)
    folders = add_checkpoints(session, config, graph)
    return graph, add_pages(session, graph, folders)


def _add_misbehaviours(session: Session, graph: Graph) -> None:
    for cluster in session.scalars(sql.select(Cluster).order_by(Cluster.made, Cluster.id)):
        graph.add("cluster", cluster.id, cluster.made, cluster.name)
    one = Misbehaviour
    start = sql.func.substr(one.answer, 1, LONG).label("start")
    columns = (one.id, one.found, one.source, one.source_ref, one.checkpoint_id, one.category, one.cluster)
    columns_too = (one.held_out, one.sample, start)
    reports = {
        row.id: row
        for row in session.execute(
            sql.select(ReportRow.id, ReportRow.created, ReportRow.source, ReportRow.category, ReportRow.description)
        )
    }
    for row in session.execute(sql.select(*columns, *columns_too).order_by(one.found, one.id)):
        held = "; held out for the gate" if row.held_out else ""
        says = f"{row.category}, said by {row.checkpoint_id[:12]}: {line(row.start)}{held}"
        key = graph.add("misbehaviour", row.id, row.found, says)
        report = reports.get(row.source_ref)
        if report is not None:
            said = f"{report.source}: {report.category or 'rated'}. {line(report.description)}".rstrip()
            before = graph.add("report", report.id, report.created, said)
        else:
            before = graph.add(row.source, row.source_ref, None, "found by a machine")
        graph.link(before, key)
        if row.cluster is not None:
            graph.link(("cluster", row.cluster), key)
        if row.sample is not None:
            graph.link(key, graph.add("sample", row.sample, None, "sent to be corrected"))


def _add_corrections(session: Session, graph: Graph) -> None:
    projects = list(session.scalars(sql.select(Correction.project).distinct()))
    reviews = sql.select(ProjectRow).where(ProjectRow.reviews.in_(projects), ProjectRow.kind == "review")
    reviewed = {name: name for name in projects} | {row.name: str(row.reviews) for row in session.scalars(reviews)}
    task = SampleRow
    tasks = sql.select(task.project, task.id, task.sent, task.task_id).where(task.project.in_(projects))
    sent = {(row.project, row.id): row for row in session.execute(tasks)}
    one = AnnotationRow
    query = sql.select(one.project, one.remote_id, one.annotator, one.created, one.seconds)
    rows = session.execute(query.where(one.project.in_(list(reviewed))))
    annotations = {(reviewed[row.project], row.remote_id): row for row in rows}
    samples = dict(session.execute(sql.select(Misbehaviour.id, Misbehaviour.sample)).tuples().all())
    released = {row.correction: row for row in session.scalars(sql.select(Release))}
    for correction in session.scalars(sql.select(Correction).order_by(Correction.admitted, Correction.id)):
        refused = f"; refused: {correction.refused}" if correction.refused else ""
        if (free := released.get(correction.id)) is not None:
            refused += f"; released on {free.made:%Y-%m-%d %H:%M}: {free.reason} (refused before: {free.refused})"
        says = f"weight {correction.weight:g}: {line(correction.answer[:LONG])}{refused}"
        key = graph.add("correction", correction.id, correction.admitted, says)
        before = ("misbehaviour", correction.misbehaviour)
        sample = samples.get(correction.misbehaviour)
        if sample is not None:
            _tell_task(graph, correction.project, sample, sent)
            before = ("sample", sample)
        places = [(correction.project, id) for id in correction.annotations]
        known = [annotations[place] for place in places if place in annotations]
        for row in known:
            took = "" if row.seconds is None else f" in {row.seconds:.0f} s"
            said = graph.add("annotation", row.remote_id, row.created, f"by {row.annotator}{took}")
            graph.link(before, said)
            graph.link(said, key)
        if not known:
            graph.link(before, key)


def _tell_task(graph: Graph, project: str, sample: str, sent: Mapping[tuple[str, str], Any]) -> None:
    task = sent.get((project, sample))
    if task is not None:
        says = f"task {task.task_id} of {project}" if task.task_id else f"in {project}"
        graph.facts["sample", sample] = Fact("sample", sample, task.sent, says)


def _add_runs(session: Session, graph: Graph) -> None:
    for decision in session.scalars(sql.select(Decision).order_by(Decision.id)):
        says = f"{'train' if decision.retrain else 'wait'}: {decision.reason}"
        graph.add("decision", decision.id, decision.made, says)
    for dataset in session.scalars(sql.select(Dataset).order_by(Dataset.made, Dataset.id)):
        says = f"{len(dataset.corrections):,} corrections and {dataset.replay:,} older rows, {dataset.path}"
        key = graph.add("dataset", dataset.id, dataset.made, says)
        for correction in dataset.corrections:
            graph.link(("correction", correction), key)
    for run in session.scalars(sql.select(Run).order_by(Run.began, Run.id)):
        note = f": {run.note}" if run.note else ""
        key = graph.add("run", run.id, run.began, f"{run.state}{note}, {run.path}, from {run.base}")
        graph.names[run.path] = key
        graph.link(("dataset", run.dataset), key)
        graph.link(("decision", str(run.decision)), key)
        if run.checkpoint_id is not None:
            graph.link(key, graph.add("checkpoint", run.checkpoint_id, run.ended, run.path))


def _add_promotions(session: Session, config: Config, graph: Graph, now: datetime) -> None:
    became = changes(session, config, live(session), now)
    made = dict(session.execute(sql.select(Run.id, Run.checkpoint_id)).tuples().all())
    for verdict in session.scalars(sql.select(Verdict).order_by(Verdict.made, Verdict.id)):
        says = f"{'passed' if verdict.passed else 'refused'}: {verdict.reason}, {verdict.page}"
        key = graph.add("verdict", verdict.id, verdict.made, says)
        checkpoint = made.get(verdict.run)
        graph.link(("run", verdict.run) if checkpoint is None else ("checkpoint", checkpoint), key)
    for one in session.scalars(sql.select(Promotion).order_by(Promotion.id)):
        before = graph.add("checkpoint", one.checkpoint_id, None, one.path)
        share = f" of {one.share:.0%} of the conversations" if one.action == "canary" else ""
        after = f"; {became[one.id].became}" if became[one.id].became else ""
        key = graph.add("promotion", one.id, one.made, f"{one.action}{share}: {one.reason}{after}")
        graph.link(before if one.verdict is None else ("verdict", one.verdict), key)
