"""Passages that are like an answer as a whole, in other words perhaps: embedding search without an index.

The vector of a passage is a sum over its tokens, so its product with an answer is a sum over a table that has one
number for each token of the vocabulary: no page's vector is ever made but those of the few best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flywheel.trace.vectors import Vectors
from pipeline.tokenize.reader import ShardSet

Tokens = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]

SHORTEST, LONGEST = 24, 128
"""Tokens of a passage: as many as the answer has, within these bounds. Each begins in the middle of the one before."""

BLOCK = 1 << 20
"""Tokens that are scored together."""

CANDIDATES = 256
"""Passages of an answer whose likeness is computed exactly, and whose median says what is usual for it."""

MARGIN = 0.3
"""By how much a cosine must be above the usual one. With a vocabulary of 8,192 the nearest passage was at most 0.13
above for 56 answers of a small model to prompts of its own, and 0.18 for 75 passages of other sites but for copies;
with 1,024 it was 0.26. A paraphrase is 0.3 to 0.5 above."""

RANDOM_PASSAGES = 8
"""Passages of the corpus that are looked at as answers are: pages of one mould are all alike."""

ABOVE_RANDOM = 0.1
"""By how much a cosine must be above the median of the random passages' nearest neighbours."""


@dataclass(frozen=True)
class Alike:
    """A passage, and the cosine between it and a text."""

    text: int
    shard: int
    token: int
    length: int
    cosine: float


def alike(shards: ShardSet, texts: Sequence[Tokens], vectors: Vectors, count: int) -> list[Alike]:
    """The `count` passages of different documents at most that are more like each text than is usual, best first.

    Of texts without SHORTEST tokens nothing is said: any line is like a few words.
    """
    squares: Floats = (vectors.table**2).sum(1).astype(np.float64)
    found: list[Alike] = []
    random: dict[int, float] = {}
    for text, tokens in enumerate(texts):
        if len(tokens) < SHORTEST:
            continue
        near = _nearest(shards, vectors, squares, text, tokens)
        usual = float(np.median([one.cosine for one in near]))
        far = [one for one in near[:count] if one.cosine >= usual + MARGIN]
        size = min(1 << (len(tokens) - 1).bit_length(), LONGEST)
        if far and size not in random:
            random[size] = _random(shards, vectors, squares, size)
        found += [one for one in far if one.cosine >= random[size] + ABOVE_RANDOM]
    return found


def _random(shards: ShardSet, vectors: Vectors, squares: Floats, size: int) -> float:
    """The median cosine between a random passage of the corpus and what is nearest to it in another document."""
    best = []
    for start in np.random.default_rng(size).integers(0, max(1, shards.tokens - size), RANDOM_PASSAGES).tolist():
        own = shards.document_at(start)
        near = _nearest(shards, vectors, squares, 0, own.tokens[own.offset - (own.offset % size) :][:size])
        others = [one.cosine for one in near if shards.locate(shards.shards[one.shard].name, one.token).id != own.id]
        best.append(max(others, default=0.0))
    return float(np.median(best))


def _nearest(shards: ShardSet, vectors: Vectors, squares: Floats, text: int, tokens: Tokens) -> list[Alike]:
    """The nearest passage of each of the nearest documents, the best first."""
    query = vectors.of(tokens, np.zeros(1, np.int64))[0]
    places = _candidates(shards, (vectors.table @ query).astype(np.float64), squares, min(len(tokens), LONGEST))
    passages = [shards.stream(shard)[start:stop] for shard, start, stop in places]
    exact = _distinct(vectors, passages) @ _distinct(vectors, [tokens])[0]
    found: dict[tuple[int, int], Alike] = {}
    for row in np.argsort(-exact, kind="stable").tolist():
        shard, start, stop = places[row]
        document = int(np.searchsorted(shards.document_starts(shard), start, side="right")) - 1
        found.setdefault((shard, document), Alike(text, shard, start, stop - start, float(exact[row])))
    return list(found.values())


def _distinct(vectors: Vectors, texts: Sequence[Tokens]) -> Floats:
    """The texts' vectors with each token once: the tabs of a table would outweigh all words."""
    sets = [np.unique(text) for text in texts]
    lengths = np.array([len(each) for each in sets])
    return vectors.of(np.concatenate(sets), np.cumsum(lengths) - lengths)


def _candidates(shards: ShardSet, product: Floats, square: Floats, size: int) -> list[tuple[int, int, int]]:
    """(shard, start, stop) of the passages that come first if all tokens of a passage were at right angles.

    `product` has each token's product with the query, `square` that with itself.
    """
    best: list[tuple[float, int, int, int]] = []
    for shard in range(len(shards.shards)):
        stream = shards.stream(shard)
        begins, ends = _passages(shards.document_starts(shard).astype(np.int64), size)
        per_block = max(1, 2 * BLOCK // size)
        for first in range(0, len(begins), per_block):
            start, stop = begins[first : first + per_block], ends[first : first + per_block]
            tokens = stream[start[0] : stop.max()]
            score = _sums(product[tokens], start, stop) / np.sqrt(_sums(square[tokens], start, stop) + 1e-9)
            top = np.argpartition(-score, min(CANDIDATES, len(score) - 1))[:CANDIDATES]
            rows = zip((-score[top]).tolist(), start[top].tolist(), stop[top].tolist(), strict=True)
            best = sorted([*best, *((value, shard, begin, end) for value, begin, end in rows)])[:CANDIDATES]
    return [place for _, *place in best]  # type: ignore[misc]


def _sums(values: Floats, start: Ints, stop: Ints) -> Floats:
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[stop - start[0]] - total[start - start[0]]


def _passages(documents: Ints, size: int) -> tuple[Ints, Ints]:
    """Where passages begin and end: every size / 2 tokens from each document's start, within the document."""
    step = size // 2
    pieces = -(-np.diff(documents) // step)
    nth = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = np.repeat(documents[:-1], pieces) + step * nth
    return begin, np.minimum(begin + size, np.repeat(documents[1:], pieces))
