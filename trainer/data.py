"""Which tokens a training step reads: a pure function of (seed, step, shards), so there is no state to save.

The stream of tokens is cut into windows; each epoch visits them in a new order, which a Feistel network computes for
any position at once (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). To resume is to know the step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6
"""Luby and Rackoff 1988 need 4 rounds for a strong pseudo-random permutation; small domains ask for a few more."""

GOLDEN = 0x9E3779B97F4A7C15
"""2**64 / the golden ratio, the step of splitmix64."""


class Tokens(Protocol):
    """What this module needs of `pipeline.tokenize.reader.ShardSet`."""

    @property
    def tokens(self) -> int:
        """How many there are."""

    def window(self, start: int, length: int) -> NDArray[Any]:
        """The integers at start .. start + length - 1, across shard boundaries."""


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64-bit integers that scatters neighbours: the finaliser of splitmix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def key(*numbers: int) -> int:
    """One 64-bit key out of several integers, in order."""
    value = 0
    for number in numbers:
        value = int(mix(np.array([(value * GOLDEN + number + 1) % 2**64], np.uint64))[0])
    return value


def permute(index: NDArray[np.uint64], size: int, secret: int) -> NDArray[np.uint64]:
    """Where each index < size goes in the permutation of 0 .. size - 1 that `secret` names.

    A Feistel network permutes the smallest domain of 4**half numbers that holds `size`; a number that lands outside
    is sent on until it lands inside ("cycle walking"), on average less than 4 times.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    shift, mask = np.uint64(half), np.uint64(2**half - 1)
    keys = [np.uint64(key(secret, number)) for number in range(ROUNDS)]
    result = np.asarray(index, np.uint64).copy()
    outside = np.ones(result.shape, bool)
    while outside.any():
        left, right = result[outside] >> shift, result[outside] & mask
        for round_key in keys:
            left, right = right, left ^ (mix(right ^ round_key) & mask)
        result[outside] = left << shift | right
        outside = result >= size
    return result


def reading_order(first: int, number: int, count: int, seed: int) -> NDArray[np.int64]:
    """Which of `count` things are read at positions first .. first + number - 1, if each epoch has a new order."""
    position = np.arange(first, first + number)
    epoch, place = position // max(1, count), (position % max(1, count)).astype(np.uint64)
    order = np.empty(number, np.int64)
    for turn in np.unique(epoch):
        here = epoch == turn
        order[here] = permute(place[here], count, key(seed, int(turn))).astype(np.int64)
    return order


@dataclass(frozen=True)
class Windows:
    """A token stream cut into windows of seq_len inputs and the one target behind them.

    Window i holds tokens i * seq_len .. (i + 1) * seq_len inclusive: each token is a target once an epoch, but for
    the first one and fewer than seq_len at the end. Windows run across documents, which their BOS tokens part.
    """

    source: Tokens
    seq_len: int
    seed: int = 0

    @property
    def count(self) -> int:
        return max(0, self.source.tokens - 1) // self.seq_len

    def order(self, first: int, number: int) -> NDArray[np.int64]:
        """The windows at positions first .. first + number - 1 of the endless reading order (epochs run on)."""
        return reading_order(first, number, self.count, self.seed)

    def batch(self, step: int, rows: int) -> NDArray[np.int64]:
        """The windows [rows, seq_len + 1] of a step; steps count from 0."""
        return self.read(self.order(step * rows, rows))

    def in_order(self, rows: int, limit: int | None = None) -> Iterator[NDArray[np.int64]]:
        """The first `limit` windows in file order, `rows` at a time: the fixed windows of a validation."""
        count = self.count if limit is None else min(limit, self.count)
        for start in range(0, count, rows):
            yield self.read(np.arange(start, min(start + rows, count)))

    def read(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        batch = np.empty((len(windows), self.seq_len + 1), np.int64)
        for row, window in enumerate(windows):
            batch[row] = self.source.window(int(window) * self.seq_len, self.seq_len + 1)
        return batch
