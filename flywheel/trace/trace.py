"""Which pages of the corpus stand behind a misbehaviour that looks learnt: searched, and remembered as rows.

What looks learnt is what the search finds pages for: an answer that is merely wrong has none (`flywheel.trace.search`).
What was searched when is in a file beside the settings; without it the same pages are found again, and none is added.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from flywheel.config import Config
from flywheel.tables import Cluster, Misbehaviour, TracedPage
from flywheel.trace.copies import copies
from flywheel.trace.search import KINDS, Asked, Page, search
from labeling.storable import storable
from labeling.store.database import Database
from pipeline.tokenize.reader import ShardSet
from trainer.checkpoint import write_whole

SEARCHED = "traces.json"
"""Of each corpus and cluster: how many misbehaviours were searched for, pages left over, and rows of the store."""

SHORTEST = 6
"""Characters of an id that name a cluster or misbehaviour."""

ENOUGH = 20
"""Misbehaviours of a cluster that are searched for: what is alike was learnt from the same pages."""

GROWN = 2
"""A cluster is searched for again when it has so many times the misbehaviours."""


@dataclass(frozen=True)
class Traced:
    """What a call of `trace` did; `pages` are all that stand behind what was searched for, the best first."""

    misbehaviours: int
    learnt: int
    """Of them: those for which there are pages."""
    new: int
    pages: tuple[TracedPage, ...]


def trace(
    database: Database, config: Config, now: datetime, target: str | None = None, corpus: Path | None = None
) -> Traced:
    """Searches a corpus (`trace.corpus`) for what a cluster or misbehaviour was perhaps learnt from, or for all.

    A page that is known for a cluster in this corpus is not added again, whatever became of it; and no more are added
    than that `trace.pages` of a cluster wait for people. Raises ValueError where the target names nothing or there is
    no corpus, and what `ShardSet` raises.
    """
    with database.read() as session:
        bad = _chosen(session, target)
    return _trace(database, config, now, bad, corpus)


def trace_new(database: Database, config: Config, now: datetime) -> Traced:
    """Searches for the clusters that were not searched for in this corpus, have grown since, or have pages left.

    And again where the store has fewer pages than it had: it is an older one, from a backup.
    """
    searched = _searched(config).get(_fingerprint(_shards(config.trace.corpus)), {})
    with database.read() as session:
        sizes = Counter(session.scalars(sql.select(Misbehaviour.cluster).where(Misbehaviour.cluster.is_not(None))))
        waiting, rows = _waiting(session), _rows(session)
        names = []
        for cluster, size in sizes.items():
            before, left, known = searched.get(str(cluster), (0, 0, 0))
            if size >= GROWN * before or (left and not waiting[str(cluster)]) or rows[str(cluster)] < known:
                names.append(cluster)
        bad = list(session.scalars(_ordered().where(Misbehaviour.cluster.in_(names))))
        session.expunge_all()
    return _trace(database, config, now, bad, None)


def page_says(page: TracedPage) -> str:
    """Where a page is and what became of it, in a line."""
    place = page.place
    decided = {"confirm": "confirmed as poison", "release": "harmless"}.get(page.decision or "")
    state = decided or ("waits for people" if page.sample else "not shown to people yet")
    return f"{page.kind}: {place['says']}; {page.url or page.document}, {place['shard']}:{place['token']}; {state}"


def _trace(
    database: Database, config: Config, now: datetime, bad: Sequence[Misbehaviour], corpus: Path | None
) -> Traced:
    folder = corpus or config.trace.corpus
    shards = _shards(folder)
    if not bad:
        return Traced(0, 0, 0, ())
    sizes = Counter(str(row.cluster) for row in bad)
    bad = _some(bad)
    # What is left over is counted only if more is looked for than is kept.
    found = search(shards, [Asked(_prompt(row), row.answer) for row in bad], 10 * config.trace.pages)
    best: dict[str, TracedPage] = {}
    addresses: dict[str, int] = {}
    for page in sorted(found, key=lambda page: (KINDS.index(page.kind), -page.score)):
        row = _row(bad[page.asked], page, Path(str(folder)), _fingerprint(shards), now)
        best.setdefault(row.id, row)
        addresses.setdefault(row.id, page.address)
    with database.read() as session:
        room = {cluster: config.trace.pages - count for cluster, count in _waiting(session).items()}
        new, left = _new(best.values(), _earlier(session, bad), room, config.trace.pages)
        session.expunge_all()
    twins = copies(Path(str(folder)), [(addresses[row.id], _passage(row)) for row in new])
    for row, found_twins in zip(new, twins, strict=True):
        row.place = row.place | {"copies": found_twins}
    _add(database, new)
    with database.read() as session:
        rows_now = _rows(session)
    _remember(config, _fingerprint(shards), {name: (size, left[name], rows_now[name]) for name, size in sizes.items()})
    learnt = {page.asked for page in found}
    return Traced(len(bad), len(learnt), len(new), _known(database, best))


def _earlier(session: Session, bad: Sequence[Misbehaviour]) -> list[TracedPage]:
    """What is known of the clusters, what people have decided last."""
    query = _of(row.cluster for row in bad).order_by(TracedPage.decided.is_not(None), TracedPage.found)
    return list(session.scalars(query))


def _new(
    found: Iterable[TracedPage], earlier: Sequence[TracedPage], room: dict[str, int], pages: int
) -> tuple[list[TracedPage], Counter[str]]:
    """The rows that are to be added, and how many of each cluster find no room among those that wait for people.

    A page that is known from another corpus takes what people said of it there.
    """
    known, same = {row.id for row in earlier}, {(row.cluster, row.document): row for row in earlier}
    new, left = list[TracedPage](), Counter[str]()
    for row in found:
        if row.id in known:
            continue
        before = same.get((row.cluster, row.document))
        if before is not None:
            row.sample, row.decision, row.decided = before.sample, before.decision, before.decided
            new.append(row)
            continue
        room[row.cluster] = room.get(row.cluster, pages) - 1
        if room[row.cluster] < 0:
            left[row.cluster] += 1
        else:
            new.append(row)
    return new, left


def _some(bad: Sequence[Misbehaviour]) -> list[Misbehaviour]:
    """At most ENOUGH of each cluster, from its first to its last."""
    of: dict[str | None, list[Misbehaviour]] = {}
    for row in bad:
        of.setdefault(row.cluster, []).append(row)
    return [
        rows[place * len(rows) // min(ENOUGH, len(rows))]
        for rows in of.values()
        for place in range(min(ENOUGH, len(rows)))
    ]


def _chosen(session: Session, target: str | None) -> list[Misbehaviour]:
    """A cluster's misbehaviours, or the one of this id; of either the first characters are enough."""
    query = _ordered().where(Misbehaviour.cluster.is_not(None))
    if target is not None:
        clusters = list(session.scalars(sql.select(Cluster.id).where(_named(Cluster.id, target))))
        ones = list(session.scalars(sql.select(Misbehaviour.id).where(_named(Misbehaviour.id, target))))
        if len(clusters) == 1:  # a cluster has the id of its first misbehaviour
            query = query.where(Misbehaviour.cluster == clusters[0])
        elif len(ones) == 1:
            query = query.where(Misbehaviour.id == ones[0])
        else:
            several = "several have ids like this" if clusters or ones else "nothing has this id"
            raise ValueError(
                f"{target}: {several}; expected that of a cluster or misbehaviour, or its first {SHORTEST} characters."
            )
    found = list(session.scalars(query))
    session.expunge_all()
    return found


def _named(column: Any, name: str) -> sql.ColumnElement[bool]:
    whole: sql.ColumnElement[bool] = column == name
    return whole if len(name) < SHORTEST else column.startswith(name, autoescape=True)


def _ordered() -> sql.Select[Misbehaviour]:
    return sql.select(Misbehaviour).order_by(Misbehaviour.found, Misbehaviour.id)


def _prompt(row: Misbehaviour) -> str:
    return "\n".join(str(message.get("content", "")) for message in row.prompt if message.get("role") == "user")


def _shards(folder: Path | None) -> ShardSet:
    if folder is None:
        raise ValueError("there is no corpus to search; name it under `trace: corpus:` in flywheel.yaml, or --corpus.")
    return ShardSet(folder)


def _fingerprint(shards: ShardSet) -> str:
    """The SHA-256 of the shards' manifest: a checkpoint's `corpus_sha256`."""
    return hashlib.sha256(shards.manifest.read_bytes()).hexdigest()


def _row(bad: Misbehaviour, page: Page, folder: Path, fingerprint: str, now: datetime) -> TracedPage:
    text, (start, stop) = page.text, page.span
    before, inside = storable(text[:start]), storable(text[start:stop])
    span = [len(before), len(before) + len(inside)]
    return TracedPage(
        id=hashlib.sha256(f"{bad.cluster}\n{fingerprint}\n{page.document.hex()}".encode()).hexdigest(),
        cluster=bad.cluster,
        misbehaviour=bad.id,
        found=now,
        corpus=str(folder.absolute()),
        fingerprint=fingerprint,
        document=page.document.hex(),
        url=storable(page.url),
        place=page.place | {"says": storable(page.says), "span": span},
        kind=page.kind,
        score=page.score,
        text=before + inside + storable(text[stop:]),
    )


def _passage(row: TracedPage) -> str:
    start, stop = row.place["span"]
    return row.text[start:stop].strip()


def _waiting(session: Session) -> Counter[str]:
    """How many pages of each cluster nobody has decided about."""
    undecided = sql.select(TracedPage.cluster, TracedPage.document).where(TracedPage.decision.is_(None))
    return Counter(cluster for cluster, _ in session.execute(undecided.distinct()))


def _rows(session: Session) -> Counter[str]:
    return Counter(session.scalars(sql.select(TracedPage.cluster)))


def _add(database: Database, rows: Iterable[TracedPage]) -> None:
    insert = postgresql.insert if database.dialect == "postgresql" else sqlite.insert
    names = TracedPage.__table__.columns.keys()
    with database.write() as session:
        for row in rows:
            values = {name: getattr(row, name) for name in names}
            session.execute(insert(TracedPage).values(values).on_conflict_do_nothing(index_elements=["id"]))


def _of(clusters: Iterable[str | None]) -> sql.Select[TracedPage]:
    return sql.select(TracedPage).where(TracedPage.cluster.in_(set(clusters)))


def _known(database: Database, found: Mapping[str, TracedPage]) -> tuple[TracedPage, ...]:
    """What the store has of what was found, in its order; what was left over it has not."""
    with database.read() as session:
        rows = {row.id: row for row in session.scalars(_of(row.cluster for row in found.values()))}
        session.expunge_all()
    return tuple(rows[id] for id in found if id in rows)


Searched = tuple[int, int, int]
"""Misbehaviours that were searched for, pages left over, and rows in the store."""


def _searched(config: Config) -> dict[str, dict[str, Searched]]:
    """By corpus and cluster. A file that is damaged says nothing, and all is searched for again."""
    try:
        found = json.loads((config.folder / SEARCHED).read_text("utf-8"))
        return {
            corpus: {id: (int(size), int(left), int(rows)) for id, (size, left, rows) in of.items()}
            for corpus, of in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(config: Config, fingerprint: str, now: Mapping[str, Searched]) -> None:
    searched = _searched(config)
    of = searched.setdefault(fingerprint, {})
    for cluster, (size, left, rows) in now.items():
        of[cluster] = (max(size, of.get(cluster, (0, 0, 0))[0]), left, rows)
    config.folder.mkdir(parents=True, exist_ok=True)
    write_whole(config.folder / SEARCHED, json.dumps(searched) + "\n", private=True)
