"""Traced pages in the graph of the loop: what they are suspected of, who reviewed them, and which steps read them."""

from collections.abc import Mapping

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.explain.checkpoints import Kept
from flywheel.explain.graph import Graph, Key, line
from flywheel.tables import Cluster, TracedPage

LONG = 80
"""Characters of a passage that are told."""

DECIDED = {"confirm": "confirmed as poison", "release": "found harmless"}


def add_pages(session: Session, graph: Graph, kept: Mapping[str, Kept]) -> None:
    """Adds page -> trace -> misbehaviour and review, and page -> shard -> step -> checkpoint."""
    names = dict(session.execute(sql.select(Cluster.id, Cluster.name)).tuples().all())
    for row in session.scalars(sql.select(TracedPage).order_by(TracedPage.found, TracedPage.score.desc())):
        place = row.place
        warc = f"{place.get('warc_file')}, offset {place.get('warc_offset')}, {place.get('payload_digest')}"
        page = graph.add("page", row.document, None, f"{row.url}, from {warc}")
        graph.names.setdefault(row.url, page)
        state = DECIDED.get(row.decision or "", "under review" if row.sample is not None else "not reviewed yet")
        says = f'suspected of "{names.get(row.cluster, row.cluster)}" ({row.kind}), {state}'
        trace = graph.add("trace", row.id, row.found, f"{says}: {_passage(row)}")
        graph.link(page, trace)
        graph.link(trace, ("misbehaviour", row.misbehaviour))
        graph.link_back(trace, ("cluster", row.cluster))
        if row.sample is not None:
            graph.link(trace, graph.add("sample", row.sample, None, "sent to be reviewed"))
        _add_place(graph, row, page, kept)


def _add_place(graph: Graph, row: TracedPage, page: Key, kept: Mapping[str, Kept]) -> None:
    """Where the page stands in the corpus, and the checkpoints that have read it there."""
    place = row.place
    id = f"{place['shard']}:{place['start']}"
    says = f"tokens {place['start']:,} to {place['stop']:,} of {place['shard']}, corpus {row.fingerprint[:12]}"
    shard = graph.add("shard", id, None, f"{says}, {row.corpus}")
    graph.link(page, shard)
    corpus = ("corpus", row.fingerprint)
    if corpus in graph.facts:
        graph.link_back(shard, corpus)
    readers = [one for one in kept.values() if one.about.corpus_sha256 == row.fingerprint]
    steps = [shard]
    for one in readers:
        if one.about.stage == "pretrain":
            steps.append(graph.add("step", f"{one.about.id[:12]}:{id}", None, _reading(row, one)))
            graph.link(shard, steps[-1])
            graph.link(steps[-1], ("checkpoint", one.about.id))
    for one in readers:  # fine-tuned ones have it from the one that they come from
        graph.link(steps[-1], ("checkpoint", one.about.id))


def _reading(row: TracedPage, pretrained: Kept) -> str:
    from flywheel.trace.steps import page_reading

    try:
        return str(page_reading(row, pretrained.folder.resolve().parent).says)
    except (FileNotFoundError, ValueError) as error:
        return f"which steps read it is not known: {error}"


def _passage(row: TracedPage) -> str:
    start, stop = row.place.get("span", (0, len(row.text)))
    return line(row.text[start:stop])[:LONG]
