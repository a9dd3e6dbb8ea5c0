"""The rows of the loop as one graph: facts, and edges that say "led to"."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

Key = tuple[str, str]
"""What kind of thing, and its id."""


@dataclass(frozen=True)
class Fact:
    """A row: what it is, when it came, and what it says in a line."""

    kind: str
    id: str
    at: datetime | None
    says: str


Branch = tuple[int, Fact]
"""A fact, and how many steps it is away from what was asked for."""


@dataclass
class Graph:
    facts: dict[Key, Fact] = field(default_factory=dict)
    came_from: dict[Key, dict[Key, None]] = field(default_factory=lambda: defaultdict(dict))
    led_to: dict[Key, dict[Key, None]] = field(default_factory=lambda: defaultdict(dict))
    """Dictionaries as sets that keep their order: a cluster may have led to thousands."""
    names: dict[str, Key] = field(default_factory=dict)
    """Other names than ids: the folders of runs, the addresses of pages."""

    def add(self, kind: str, id: object, at: datetime | None, says: str) -> Key:
        """A fact that is there already stays as it is."""
        key = (kind, str(id))
        self.facts.setdefault(key, Fact(*key, at, says))
        return key

    def link(self, before: Key, after: Key) -> None:
        """An edge between facts that are there, once however often it is told."""
        if before in self.facts and after in self.facts:
            self.led_to[before][after] = None
            self.came_from[after][before] = None

    def link_back(self, before: Key, after: Key) -> None:
        """An edge that is gone along from `after` alone: from `before` too much would follow."""
        if before in self.facts and after in self.facts:
            self.came_from[after][before] = None


def walk(start: Key, edges: Mapping[Key, Iterable[Key]]) -> tuple[tuple[int, Key], ...]:
    """All that is reached and how many steps away, depth first, each once."""
    seen = {start}

    def below(key: Key, depth: int) -> Iterator[tuple[int, Key]]:
        for one in edges.get(key, ()):
            if one not in seen:
                seen.add(one)
                yield depth, one
                yield from below(one, depth + 1)

    return tuple(below(start, 1))


def shortened(branches: Iterable[Branch], most: int) -> Iterator[tuple[int, Fact | str]]:
    """Branches with at most so many facts of one kind below another, and what was left out in words."""
    counts: list[Counter[str]] = []
    hidden: int | None = None  # below this depth nothing is told

    def left(down_to: int) -> Iterator[tuple[int, str]]:
        while len(counts) > down_to:
            over = {kind: count - most for kind, count in counts.pop().items() if count > most}
            for kind, count in over.items():
                yield len(counts) + 1, f"and {count:,} more of the kind {kind}, with what belongs to them"

    for depth, fact in branches:
        if hidden is not None and depth > hidden:
            continue
        hidden = None
        yield from left(depth)
        counts += [Counter() for _ in range(depth - len(counts))]
        counts[depth - 1][fact.kind] += 1
        if counts[depth - 1][fact.kind] > most:
            hidden = depth
        else:
            yield depth, fact
    yield from left(0)


def line(text: str) -> str:
    return " ".join(text.split())
