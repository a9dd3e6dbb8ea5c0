"""Runs of an answer that stand in pages word for word, and which of them are too long for chance.

A run is rated as BLAST rates an alignment (Karlin and Altschul 1990): its surprise in bits, less the binary logarithm
of the number of places where it could have begun. What is left are the bits above chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flywheel.trace.ngrams import Needles, Occurrences, Places, UInt64s, find
from flywheel.trace.surprise import Surprise
from pipeline.tokenize.reader import ShardSet

Tokens = npt.NDArray[Any]

SEED = 6
"""Tokens that must be the same in a row before a run is looked at."""

MOST = 100_000
"""Places of one n-gram from which on it is a form that sites share, and tells nothing."""

ABOVE_CHANCE = 50.0
"""Bits above chance that a run needs. Text is no bigram's work, so that ordinary passages reach some: of 1,600 of 32 to
256 tokens, of sites that were not in the corpus, none reached 43 but copied paragraphs; of 400 answers of small models
none 21. A sentence of 17 words has over 100."""

_NOWHERE = np.uint64(1 << 40)
"""A token of no vocabulary, between two texts."""


@dataclass(frozen=True)
class Run:
    """Tokens of a text that stand in the shards as they are."""

    text: int
    start: int
    """The first one's place in the text."""
    length: int
    shard: int
    token: int
    """The first one's place in the shard."""
    above_chance: float


def verbatim(shards: ShardSet, texts: Sequence[Tokens], surprise: Surprise, least: float = ABOVE_CHANCE) -> list[Run]:
    """Of each text and document the run that is least like chance, where it has `least` bits above it."""
    joined, starts = join(texts)
    needles = Needles([joined], SEED)
    places = runs(find(shards, needles, MOST), needles, joined)
    total = np.cumsum(np.concatenate(([0.0], *((*surprise.bits(each), 0.0) for each in texts))))
    text = np.searchsorted(starts, places.position, side="right") - 1
    lengths = np.array([len(each) for each in texts])
    chance = np.log2(np.maximum(lengths, 1) * float(shards.tokens))
    above = total[places.position + places.length] - total[places.position] - chance[text]
    best: dict[tuple[int, int, int], Run] = {}
    for row in np.flatnonzero(above >= least):
        shard, token = int(places.shard[row]), int(places.token[row])
        document = int(np.searchsorted(shards.document_starts(shard), token, side="right")) - 1
        which = int(text[row])
        start = int(places.position[row] - starts[which])
        run = Run(which, start, int(places.length[row]), shard, token, float(above[row]))
        held = best.get((which, shard, document))
        if held is None or run.above_chance > held.above_chance:
            best[which, shard, document] = run
    return list(best.values())


def join(texts: Sequence[Tokens]) -> tuple[UInt64s, Places]:
    """All texts one behind the other, parted so that no n-gram spans two, and where each begins."""
    parts = [np.append(np.asarray(text, np.uint64), _NOWHERE) for text in texts]
    starts = np.cumsum([0, *map(len, parts)])[:-1]
    return np.concatenate([np.empty(0, np.uint64), *parts]), starts


@dataclass(frozen=True)
class Runs:
    """Longest common runs, column by column: where in the joined text and where in the shards each begins."""

    shard: Places
    token: Places
    position: Places
    length: Places


def runs(found: Occurrences, needles: Needles, joined: UInt64s) -> Runs:
    """N-grams that follow one another in text and shard alike, put together."""
    needle = needles.of(joined)
    order = np.argsort(needle, kind="stable")
    first = np.searchsorted(needle[order], np.arange(len(needles.hashes) + 1))
    often = np.diff(first)[found.needle]
    row = np.repeat(np.arange(len(found)), often)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(often) - often, often)
    position = order[first[found.needle[row]] + nth]
    shard, token = found.shard[row], found.token[row]
    diagonal = token - position
    by = np.lexsort((position, diagonal, shard))
    shard, diagonal, position, token = shard[by], diagonal[by], position[by], token[by]
    begins = np.ones(len(by), np.bool_)
    begins[1:] = (np.diff(shard) != 0) | (np.diff(diagonal) != 0) | (np.diff(position) != 1)
    at = np.flatnonzero(begins)
    length = np.diff(np.append(at, len(by))) + needles.length - 1
    return Runs(shard[at], token[at], position[at], length)
