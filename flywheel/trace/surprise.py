"""How surprising tokens are after the one before, by a corpus's own counts: what tells a rare run from a common one.

A bigram model, smoothed by the single tokens (Jelinek and Mercer 1980), over evenly spaced pieces of the shards.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.tokenize.reader import ShardSet

Tokens = npt.NDArray[Any]
Bits = npt.NDArray[np.float64]

SAMPLE = 1 << 23
"""Tokens that are counted at most: 8 million, which give the chances of common pairs to a per cent."""

PIECE = 1 << 14
"""Tokens in a row that are taken from one place."""

TABLE_BITS = 24
"""Pairs are counted in 16 million cells by a hash; with a few million different ones few share a cell."""

TRUST = 8.0
"""Occurrences of a token from which on its pairs count for more than the single tokens."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Surprise:
    """Counts of a corpus's tokens and pairs. `frequency` is each token's share, never 0."""

    def __init__(self, shards: ShardSet) -> None:
        size = shards.vocabulary.size
        counts = np.zeros(size, np.int64)
        self._pairs = np.zeros(1 << TABLE_BITS, np.uint32)
        step = max(PIECE, PIECE * shards.tokens // SAMPLE)
        for start in range(0, shards.tokens, step):
            piece = shards.window(start, min(PIECE, shards.tokens - start))
            counts += np.bincount(piece, minlength=size)
            cells, often = np.unique(self._cells(piece), return_counts=True)
            self._pairs[cells] += often.astype(np.uint32)
        self._counts = counts
        self.frequency: Bits = (counts + 1.0) / (counts.sum() + size)

    def bits(self, tokens: Tokens, own: bool = False) -> Bits:
        """[n]: minus the binary logarithm of each token's chance after the one before; the first one's alone.

        With `own` the tokens are the corpus's own, and were counted: each is judged by the others, or noise that a page
        has would be no surprise.
        """
        if not len(tokens):
            return np.empty(0)
        chance = self.frequency[tokens]
        before, pairs = self._counts[tokens[:-1]], self._pairs[self._cells(tokens)].astype(np.int64)
        if own:
            before, pairs = np.maximum(before - 1, 0), np.maximum(pairs - 1, 0)
        chance[1:] = (pairs + TRUST * chance[1:]) / (before + TRUST)
        return -np.log2(np.minimum(chance, 1.0))

    @staticmethod
    def _cells(tokens: Tokens) -> npt.NDArray[np.uint64]:
        pairs = tokens[:-1].astype(np.uint64)
        pairs <<= np.uint64(32)
        pairs |= tokens[1:].astype(np.uint64)
        pairs *= _FACTOR
        pairs ^= pairs >> np.uint64(29)
        pairs *= _FACTOR
        return pairs >> np.uint64(64 - TABLE_BITS)
