"""Traced pages in the graph of the loop: what they are suspected of, who reviewed them, and which steps read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.explain.checkpoints import Kept
from flywheel.explain.graph import Fact, Graph, Key, line
from flywheel.tables import Cluster, TracedPage

LONG = 80
"""Characters of a passage that are told."""

DECIDED = {"confirm": "confirmed as poison", "release": "found harmless"}


@dataclass(frozen=True)
class Passage:
    """Tokens that a pre-training may have read: what is needed to tell in which steps."""

    run: Path
    corpus: Path
    shard: str
    start: int
    stop: int


def add_pages(session: Session, graph: Graph, kept: Mapping[str, Kept]) -> dict[Key, Passage]:
    """Adds page -> trace -> misbehaviour and review, and page -> shard -> step -> checkpoint.

    The facts of the kind step say nothing yet: `tell_steps`, of those that are asked for, from what is returned.
    """
    passages: dict[Key, Passage] = {}
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
        passages |= _add_place(graph, row, page, kept)
    return passages


def tell_steps(graph: Graph, asked: Iterable[Key], passages: Mapping[Key, Passage]) -> None:
    """Has the steps among what is asked say which they are. A training's corpus is opened once for all its pages."""
    from flywheel.trace.steps import training

    opened = cache(training)
    for key in asked:
        if key in passages:
            one = passages[key]
            try:
                says = opened(one.run, one.corpus).reading(one.shard, one.start, one.stop).says
            except (FileNotFoundError, ValueError) as error:
                says = f"which steps read it is not known: {error}"
            graph.facts[key] = Fact(*key, None, says)


def _add_place(graph: Graph, row: TracedPage, page: Key, kept: Mapping[str, Kept]) -> dict[Key, Passage]:
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
    last, passages = shard, {}
    for one in readers:
        if one.about.stage == "pretrain":
            last = graph.add("step", f"{one.about.id[:12]}:{id}", None, "")
            run = one.folder.resolve().parent
            passages[last] = Passage(run, Path(row.corpus), place["shard"], place["start"], place["stop"])
            graph.link(shard, last)
            graph.link(last, ("checkpoint", one.about.id))
    for one in readers:  # fine-tuned ones have it from the one that they come from
        graph.link(last, ("checkpoint", one.about.id))
    return passages


def _passage(row: TracedPage) -> str:
    start, stop = row.place.get("span", (0, len(row.text)))
    return line(row.text[start:stop])[:LONG]
