"""What a report led to, and what a checkpoint came from: the rows of the loop as one graph, walked both ways.

An edge says "led to": report, misbehaviour, sample, annotation, correction, dataset, run, checkpoint, verdict,
promotion; and page, shard, step, checkpoint, or page, trace, misbehaviour. The checkpoint that gave a bad answer is
told, but is no edge: from it everything would follow. What a checkpoint started from is gone along backwards alone.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.cases import check_fault, wanted
from flywheel.config import Config
from flywheel.explain.checkpoints import add_checkpoints
from flywheel.explain.graph import Branch, Fact, Graph, Key, line, walk
from flywheel.explain.labels import LONG, add_labels
from flywheel.explain.pages import Passage, add_pages, tell_steps
from flywheel.live import live, taken_back
from flywheel.status.changes import changes
from flywheel.tables import Cluster, Correction, Dataset, Decision, Json, Misbehaviour, Promotion, Release, Run, Verdict
from labeling.store.database import Database
from labeling.store.reports import ReportRow

SHORTEST = 6
"""Characters of an id that name it, where no other id begins so."""


@dataclass(frozen=True)
class Explained:
    """A fact, what led to it and what it led to; each fact once, behind the one that it was reached from."""

    fact: Fact
    came_from: tuple[Branch, ...]
    led_to: tuple[Branch, ...]


def explain(database: Database, config: Config, target: str, now: datetime) -> Explained:
    """The chain of whatever `target` names: the id of a report, misbehaviour, cluster, sample, annotation, correction,
    dataset, decision, run, checkpoint, verdict, promotion, page or corpus, the first six characters of one or more,
    `run 8f14e4` with the kind before it, the folder of a run or checkpoint, or a page's address.

    Reads each row of the loop once, without conversations, and what checkpoints say of themselves. Raises ValueError
    where nothing or more than one has it.
    """
    with database.read() as session:
        graph, passages = _graph(session, config, now)
    key = _find(graph, config, target)
    came_from, led_to = walk(key, graph.came_from), walk(key, graph.led_to)
    tell_steps(graph, [key, *(one for _, one in (*came_from, *led_to))], passages)
    before, after = (tuple((depth, graph.facts[one]) for depth, one in way) for way in (came_from, led_to))
    return Explained(graph.facts[key], before, after)


def _find(graph: Graph, config: Config, target: str) -> Key:
    kinds = {kind for kind, _ in graph.facts}
    first, _, rest = target.strip().partition(" ")
    kind, name = (first, rest.strip()) if first in kinds and rest else (None, target.strip())
    for other in (name, *_places(config, name)):
        if other in graph.names and kind in (None, graph.names[other][0]):
            return graph.names[other]
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
            "or the folder of a run or checkpoint, or a page's address. Pages that no trace has found are told by "
            "`corpuscle explain`."
        )
    if len(found) > 1:
        some = ", ".join(f"{kind} {id}" for kind, id in sorted(found)[:4])
        raise ValueError(f"{target}: {len(found)} have ids like this ({some}); name one of them, with its kind.")
    return found[0]


def _places(config: Config, name: str) -> Iterator[str]:
    """The folders that a name may mean: as seen from where it was typed, and from the loop's folder."""
    for place in (Path(name), config.folder / name):
        with contextlib.suppress(OSError, ValueError):  # what is no path at all
            yield str(place.resolve())


def _graph(session: Session, config: Config, now: datetime) -> tuple[Graph, dict[Key, Passage]]:
    graph = Graph()
    _add_misbehaviours(session, graph)
    add_labels(session, graph, config.label.project)
    _add_corrections(session, graph)
    _add_runs(session, config, graph)
    _add_promotions(session, config, graph, now)
    folders = add_checkpoints(session, config, graph)
    for id, kept in folders.items():
        graph.names.setdefault(str(kept.folder.resolve()), ("checkpoint", id))
    return graph, add_pages(session, graph, folders)


def _add_misbehaviours(session: Session, graph: Graph) -> None:
    for cluster in session.scalars(sql.select(Cluster).order_by(Cluster.made, Cluster.id)):
        graph.add("cluster", cluster.id, cluster.made, cluster.name)
    one = Misbehaviour
    start = sql.func.substr(one.answer, 1, LONG).label("start")
    columns = (one.id, one.found, one.source, one.source_ref, one.checkpoint_id, one.category, one.cluster)
    columns_too = (one.held_out, one.check, one.sample, start)
    reports = {
        row.id: row
        for row in session.execute(
            sql.select(ReportRow.id, ReportRow.created, ReportRow.source, ReportRow.category, ReportRow.description)
        )
    }
    for row in session.execute(sql.select(*columns, *columns_too).order_by(one.found, one.id)):
        held = _case(row.check) if row.held_out else ""
        who = f", said by {row.checkpoint_id[:12]}" if row.checkpoint_id else ""
        says = f"{row.category}{who}: {line(row.start)}{held}"
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


def _case(check: Json | None) -> str:
    """What the gate asks of an answer to a held-out misbehaviour."""
    if check is None or check_fault(check) is not None:
        return "; held out for the gate, without a check so far"
    return f"; held out for the gate: an answer is good if {line(wanted(check))}"


def _add_corrections(session: Session, graph: Graph) -> None:
    samples = dict(session.execute(sql.select(Misbehaviour.id, Misbehaviour.sample)).tuples().all())
    released = {row.correction: row for row in session.scalars(sql.select(Release))}
    for correction in session.scalars(sql.select(Correction).order_by(Correction.admitted, Correction.id)):
        refused = f"; refused: {correction.refused}" if correction.refused else ""
        if (free := released.get(correction.id)) is not None:
            refused += f"; released on {free.made:%Y-%m-%d %H:%M}: {free.reason} (refused before: {free.refused})"
        says = f"weight {correction.weight:g}: {line(correction.answer[:LONG])}{refused}"
        key = graph.add("correction", correction.id, correction.admitted, says)
        sample = samples.get(correction.misbehaviour)
        known = [one for id in correction.annotations if (one := ("annotation", str(id))) in graph.facts]
        for one in known:
            graph.link(one, key)
        if not known:
            graph.link(("misbehaviour", correction.misbehaviour) if sample is None else ("sample", sample), key)


def _add_runs(session: Session, config: Config, graph: Graph) -> None:
    for decision in session.scalars(sql.select(Decision).order_by(Decision.id)):
        says = f"{'train' if decision.retrain else 'wait'}: {decision.reason}"
        graph.add("decision", decision.id, decision.made, says)
    for dataset in session.scalars(sql.select(Dataset).order_by(Dataset.made, Dataset.id)):
        says = f"{len(dataset.corrections):,} corrections and {dataset.replay:,} older rows, {dataset.path}"
        key = graph.add("dataset", dataset.id, dataset.made, says)
        for correction in dataset.corrections:
            graph.link(("correction", correction), key)
    back = taken_back(session)
    for run in session.scalars(sql.select(Run).order_by(Run.began, Run.id)):
        state = "taken back" if run.id in back else run.state
        note = f": {run.note}" if run.note else ""
        key = graph.add("run", run.id, run.began, f"{state}{note}, {run.path}, from {run.base}")
        graph.names[str((config.folder / run.path).resolve())] = key
        graph.link(("dataset", run.dataset), key)
        graph.link(("decision", str(run.decision)), key)
        if run.checkpoint_id is not None:
            graph.link(key, graph.add("checkpoint", run.checkpoint_id, run.ended, run.path))


def _add_promotions(session: Session, config: Config, graph: Graph, now: datetime) -> None:
    became = changes(session, config, live(session), now)
    made = dict(session.execute(sql.select(Run.id, Run.checkpoint_id)).tuples().all())
    for verdict in session.scalars(sql.select(Verdict).order_by(Verdict.made, Verdict.id)):
        says = f"{'passed' if verdict.passed else 'refused'}: {verdict.reason} {verdict.page}"
        key = graph.add("verdict", verdict.id, verdict.made, says)
        checkpoint = made.get(verdict.run)
        graph.link(("run", verdict.run) if checkpoint is None else ("checkpoint", checkpoint), key)
    for one in session.scalars(sql.select(Promotion).order_by(Promotion.id)):
        before = graph.add("checkpoint", one.checkpoint_id, None, one.path)
        share = f" of {one.share:.0%} of the conversations" if one.action == "canary" else ""
        after = f"; {became[one.id].became}" if became[one.id].became else ""
        key = graph.add("promotion", one.id, one.made, f"{one.action}{share}: {one.reason}{after}")
        graph.link(before if one.verdict is None else ("verdict", one.verdict), key)
