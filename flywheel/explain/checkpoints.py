"""What checkpoints say of themselves: what made them and what they started from, back to a corpus and to labels."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.checkpoints import folder_of
from flywheel.config import Config
from flywheel.explain.graph import Fact, Graph
from flywheel.tables import Promotion, Run
from trainer.checkpoint import INDEX, About, find, read_about

LOST = "its folder was not found: neither a promotion nor a run names it, and it is not beside one"


@dataclass(frozen=True)
class Kept:
    """A checkpoint that is still there."""

    folder: Path
    about: About


def add_checkpoints(session: Session, config: Config, graph: Graph) -> dict[str, Kept]:
    """Tells of each checkpoint that the loop knows, and of those before it as far as their folders are found: as
    promotions and runs name them, or beside those. Returns them by id.
    """
    named, made = _named(session, config), set(session.scalars(sql.select(Run.checkpoint_id)))
    kept = {one.about.id: one for one in named}
    for one in _beside(named):
        kept.setdefault(one.about.id, one)
    known = {id for kind, id in graph.facts if kind == "checkpoint"}
    waiting = sorted(known & kept.keys())
    while waiting:
        one = kept[waiting.pop()]
        parent = one.about.parent
        if parent is not None and parent in kept and parent not in known:
            known.add(parent)
            waiting.append(parent)
        _tell(graph, one, one.about.id in made)
    for id in sorted(known & kept.keys()):
        _tell_origin(graph, kept[id].about, id in made)
    return {id: kept[id] for id in sorted(known & kept.keys())}


def _tell(graph: Graph, one: Kept, by_a_run: bool) -> None:
    about = one.about
    says = f"{one.folder}: {about.stage}, step {about.step:,}, on corpus {about.corpus_sha256[:12]}"
    if about.parent is not None:
        says += f", from {about.parent[:12]}"
    if about.data_sha256 is not None and not by_a_run:
        says += f", with labels {about.data_sha256[:12]}"
    key = ("checkpoint", about.id)
    before = graph.facts.get(key)
    graph.facts[key] = Fact(*key, None if before is None else before.at, says)


def _tell_origin(graph: Graph, about: About, by_a_run: bool) -> None:
    key = ("checkpoint", about.id)
    if about.data_sha256 is not None and not by_a_run:
        says = f"the demonstrations, comparisons or prompts of its {about.stage}, by their digest"
        graph.link(graph.add("labels", about.data_sha256, None, says), key)
    first = key
    if about.parent is not None:
        before = graph.add("checkpoint", about.parent, None, LOST)
        graph.link_back(before, key)
        first = before
    if about.parent is None or graph.facts[first].says == LOST:  # it has the corpus from there
        corpus = graph.add("corpus", about.corpus_sha256, None, "by the SHA-256 of its tokenize/manifest.json")
        graph.link(corpus, first)


def _named(session: Session, config: Config) -> list[Kept]:
    found: list[Kept] = []
    for path in session.scalars(sql.select(Promotion.path).distinct()):
        found += _read(config.folder / path)
    for run in session.scalars(sql.select(Run)):
        found += _read(config.folder / run.base)
        with contextlib.suppress(FileNotFoundError, ValueError):
            found += _read(folder_of(config, run))
    return found


def _beside(named: list[Kept]) -> Iterator[Kept]:
    """The checkpoints of the trainings in the folders beside those of the named ones."""
    places = {one.folder.resolve().parent.parent for one in named}
    for index in sorted(path for place in places for path in place.glob(f"*/{INDEX}")):
        for which in ("best", "last"):
            with contextlib.suppress(FileNotFoundError, ValueError):
                yield from _read(find(index.parent, which))


def _read(folder: Path) -> list[Kept]:
    try:
        return [Kept(folder, read_about(folder))]
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return []
