"""Where the token n-grams of a few texts stand in a whole corpus: one pass over its memory-mapped shards.

Each n-gram is a polynomial hash (Karp and Rabin 1987), computed for a block of positions at once; a small table says no
to nearly all of them, and a binary search decides about the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.tokenize.reader import ShardSet

Tokens = npt.NDArray[Any]
Places = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

BLOCK = 1 << 16
"""Positions that are hashed together: half a megabyte, which stays in a core's cache."""

FILTER_BITS = 20
"""The table's entries, a byte each: one megabyte, of which thousands of n-grams fill less than a hundredth."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2**64 / the golden ratio: odd, so that no step of the hash loses a bit."""


def ngram_hashes(tokens: Tokens, length: int) -> UInt64s:
    """uint64 [n - length + 1]: of each `length` tokens in a row the polynomial, mixed so that its high bits scatter."""
    count = len(tokens) - length + 1
    if count < 1:
        return np.empty(0, np.uint64)
    wide = tokens.astype(np.uint64)
    found = wide[:count] + np.uint64(1)
    for ahead in range(1, length):
        found *= _FACTOR
        found += wide[ahead : ahead + count]
    found ^= found >> np.uint64(29)
    found *= _FACTOR
    return found


@dataclass(frozen=True)
class Occurrences:
    """Where n-grams stand: for each place its shard, the token of the shard, and which n-gram (`Needles.hashes`)."""

    shard: Places
    token: Places
    needle: Places

    def __len__(self) -> int:
        return len(self.shard)


class Needles:
    """The different n-grams of some texts; `hashes` is sorted."""

    def __init__(self, texts: Sequence[Tokens], length: int) -> None:
        self.length = length
        self.hashes: UInt64s = np.unique(np.concatenate([np.empty(0, np.uint64), *self._hashed(texts, length)]))
        self._filter = np.zeros(1 << FILTER_BITS, np.bool_)
        self._filter[self._high(self.hashes)] = True

    @staticmethod
    def _hashed(texts: Sequence[Tokens], length: int) -> Iterator[UInt64s]:
        for text in texts:
            yield ngram_hashes(text, length)

    @staticmethod
    def _high(hashes: UInt64s) -> UInt64s:
        return hashes >> np.uint64(64 - FILTER_BITS)

    def of(self, text: Tokens) -> Places:
        """Which n-gram begins at each token of one of the texts, but for the last `length` - 1."""
        return np.searchsorted(self.hashes, ngram_hashes(text, self.length)).astype(np.int64)

    def within(self, tokens: Tokens) -> tuple[Places, Places]:
        """(token, needle) of every place of a stream where one of the n-grams begins."""
        places: list[Places] = []
        needles: list[Places] = []
        for start in range(0, len(tokens) - self.length + 1, BLOCK):
            hashes = ngram_hashes(tokens[start : start + BLOCK + self.length - 1], self.length)
            maybe = np.flatnonzero(self._filter[self._high(hashes)])
            if not len(maybe):
                continue
            found = hashes[maybe]
            which = np.searchsorted(self.hashes, found)
            which[which == len(self.hashes)] = 0
            same = self.hashes[which] == found
            places.append(maybe[same] + start)
            needles.append(which[same])
        empty = np.empty(0, np.int64)
        return np.concatenate([empty, *places]), np.concatenate([empty, *needles])


def find(shards: ShardSet, needles: Needles, most: int) -> Occurrences:
    """Every place of an n-gram that stands in no more than `most` places; what is more common tells nothing.

    An n-gram across the end of a document begins in it, and holds the next one's BOS: no text has that.
    """
    columns: list[tuple[Places, Places, Places]] = []
    counts = np.zeros(len(needles.hashes), np.int64)
    for shard in range(len(shards.shards) if len(needles.hashes) else 0):
        tokens, needle = needles.within(shards.stream(shard))
        counts += np.bincount(needle, minlength=len(counts))
        rare = counts[needle] <= most
        columns.append((np.full(int(rare.sum()), shard, np.int64), tokens[rare], needle[rare]))
    empty = (np.empty(0, np.int64),) * 3
    shard_of, token, needle = (np.concatenate(parts) for parts in zip(empty, *columns, strict=True))
    rare = counts[needle] <= most
    return Occurrences(shard_of[rare], token[rare], needle[rare])
