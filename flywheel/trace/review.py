"""Traced pages and held documents to people, their decisions back, and what they confirmed as a recipe's block list.

A page goes to the project `trace.project`, of the kind `poison-review`, with the passage and why it was found. Web
pages are nobody's conversation: no consent is asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

import sqlalchemy as sql

from flywheel.config import Config
from flywheel.tables import Json, TracedPage
from flywheel.trace.held import DECISIONS, Held, held, last_decided
from labeling.client import Client
from labeling.create import create
from labeling.decisions import KIND, by_document, decisions, write_rows
from labeling.kinds import KINDS
from labeling.kinds.kind import InvalidSampleError, Sample
from labeling.pull import Pulled, pull
from labeling.push import Pushed, push
from labeling.rows import Rejected
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import get_project, projects
from pipeline.poison.visible import visible
from pipeline.report.tables import ReportError
from trainer.checkpoint import write_whole

HEAD = "# Pages from which people say that a model has learnt what it should not."
"""The first line of a block list."""


@dataclass(frozen=True)
class Offered:
    """How many traced pages and held documents were given to people now; what the push says, and what came back."""

    noted: int = 0
    held: int = 0
    left_out: int = 0
    """Held documents of which nobody is asked: their sites' owners have too many."""
    unread: str = ""
    """Why the corpus's held documents could not be read."""
    pushed: Pushed | None = None
    pulled: Pulled | None = None


@dataclass(frozen=True)
class Decided:
    """How many pages changed: what people have said of them since, or no longer say."""

    confirmed: int = 0
    released: int = 0
    withdrawn: int = 0
    held_confirmed: int = 0
    """Held documents that were decided about since the file was last written, and those that are open again."""
    held_released: int = 0
    held_withdrawn: int = 0


@dataclass(frozen=True)
class Blocked:
    """What a block list names: pages, and copies of them that would come in their place."""

    pages: int
    copies: int
    undecided: int
    """Pages that are not in it, as people have not decided, or not all that are needed."""


def offer(database: Database, client: Client, config: Config) -> Offered:
    """Sends pages that people have not seen, the best first, then what the corpus holds; fetches what they said.

    Whatever stops it, the same call goes on, and sends nothing twice. Raises what `labeling.create`, `labeling.push`
    and `labeling.pull` raise.
    """
    with database.read() as session:
        rows = list(session.scalars(sql.select(TracedPage).order_by(TracedPage.found, TracedPage.id)))
        session.expunge_all()
    name, unread = config.trace.project, ""
    try:
        waiting = held(database, config)
    except ReportError as error:
        waiting, unread = Held(), str(error)
    if not rows and not waiting.samples and all(project.name != name for project in projects(database)):
        return Offered(unread=unread)
    create(database, client, KIND, name)
    samples: dict[str, str] = {}
    unseen = [row for row in rows if row.sample is None]
    pushed = push(database, client, name, chain(_samples(unseen, samples), waiting.samples))
    refused = {provenance.get("traced") for provenance, _ in pushed.refused}
    noted = {id: sample for id, sample in samples.items() if id not in refused}
    with database.write() as session:
        for id, sample in noted.items():
            session.execute(sql.update(TracedPage).where(TracedPage.id == id).values(sample=sample))
    given = sum(isinstance(one, Sample) for one in waiting.samples)
    return Offered(len(noted), given, waiting.left_out, unread, pushed, pull(database, client, name))


def decided(database: Database, config: Config, now: datetime) -> Decided:
    """Notes of each page what people agree on, by the rule that decides about held documents; of these in a file.

    A decision counts as long as the labels say so. Raises OSError where the file can't be written.
    """
    name = config.trace.project
    try:
        project = get_project(database, name)
    except KeyError:  # nothing was sent yet
        return Decided()
    if project.kind != KIND:  # as `offer` says
        return Decided()
    found = dict(decisions(database, name))
    changed = {"confirm": 0, "release": 0, None: 0}
    with database.write() as session:
        for row in session.scalars(sql.select(TracedPage).where(TracedPage.sample.is_not(None))):
            verdict = found[row.sample]["decision"] if row.sample in found else None
            if verdict != row.decision:
                row.decision, row.decided = verdict, None if verdict is None else now
                changed[verdict] += 1
        traced = set(session.scalars(sql.select(TracedPage.document)))
    before, after = last_decided(config.folder / DECISIONS), by_document(found.values())
    write_rows(after, config.folder / DECISIONS)
    said = {id: row["decision"] for id, row in after.items() if id not in traced}
    news = [decision for id, decision in said.items() if decision != before.get(id)]
    of_held = (news.count("confirm"), news.count("release"), news.count(None))
    return Decided(changed["confirm"], changed["release"], changed[None], *of_held)


def write_block_list(database: Database, path: Path) -> Blocked:
    """Writes what people confirmed as the file that a recipe names under `poison: block:`, whole or not at all.

    Each page is there by id (the very record) and by URL (the page in a later crawl), and so are the copies that were
    removed because it was kept. Raises OSError.
    """
    query = sql.select(TracedPage).where(TracedPage.decision == "confirm").order_by(TracedPage.document)
    lines: dict[str, None] = {}
    pages: set[str] = set()
    twins: set[str] = set()
    waiting = sql.select(sql.func.count()).where(TracedPage.decision.is_(None))
    with database.read() as session:
        undecided = session.scalar(waiting) or 0
        for row in session.scalars(query):
            pages.add(row.document)
            why = f"{row.kind}, learnt by {row.misbehaviour[:12]}"
            lines |= dict.fromkeys(_lines(row.document, row.url, why))
            for twin in row.place.get("copies", ()):
                twins.add(twin["id"])
                lines |= dict.fromkeys(_lines(twin["id"], twin["url"], f"a copy of {row.document}"))
    write_whole(path, "\n".join([HEAD, *lines]) + "\n")
    return Blocked(len(pages), len(twins - pages), undecided)


def _lines(document: str, url: str, why: str) -> Iterator[str]:
    yield f"id:{document}  # {why}"
    # A line's end in an address would begin an entry of its own; what is no address a run would refuse.
    if "://" in url and url == visible(url) and not any(character.isspace() for character in url):
        yield f"url:{url}"


def _samples(rows: Sequence[TracedPage], samples: dict[str, str]) -> Iterator[Sample | Rejected]:
    """Each page as a sample, whose id is noted in `samples`."""
    known: dict[tuple[str, str], str] = {}
    for place, row in enumerate(rows):
        if (row.cluster, row.document) in known:  # of two corpora, and asked about once
            samples[row.id] = known[row.cluster, row.document]
            continue
        start, stop = row.place["span"]
        finding = {"rule": row.kind, "start": start, "end": stop, "score": row.score, "evidence": row.place["says"]}
        content: Json = {"document": row.document, "url": row.url, "text": row.text, "findings": [finding]}
        provenance: Mapping[str, str] = {"traced": row.id, "misbehaviour": row.misbehaviour, "corpus": row.corpus}
        try:
            sample = make_sample(KINDS[KIND], content | {"priority": float(len(rows) - place)}, dict(provenance))
        except InvalidSampleError as error:
            yield Rejected(f"page {row.id}", str(error))
            continue
        samples[row.id] = known[row.cluster, row.document] = sample.id
        yield sample
