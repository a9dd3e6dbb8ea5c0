"""Shares with their counts and intervals; what rests on too few cases says so and not more.

Wilson 1927 for a share; Clopper and Pearson 1934 where an exact interval is wanted; percentile bootstrap for means.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from labeling.ratings import CONFIDENCE, INSUFFICIENT, MINIMUM, wilson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROUNDS = 1000
"""Resamplings from which bootstrap intervals are taken."""

_TAIL = (1 - CONFIDENCE) / 2
_CELLS = 4_000_000
"""Numbers in memory at once while resampling: 32 MB."""


@dataclass(frozen=True)
class Rate:
    """A share or mean of `count` cases with its 95% interval; of 0 cases it is NaN."""

    value: float
    count: int
    low: float
    high: float

    @property
    def enough(self) -> bool:
        return self.count >= MINIMUM

    def __str__(self) -> str:
        if not self.count:
            return "no cases"
        text = f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}] of {self.count:,}"
        return text if self.enough else f"{text}: {INSUFFICIENT}"


NONE = Rate(math.nan, 0, math.nan, math.nan)


def share(successes: float, count: int) -> Rate:
    """With Wilson's interval: it stays within 0 and 1 and holds for few cases too."""
    return Rate(successes / count, count, *wilson(successes, count)) if count else NONE


def known_share(values: Floats) -> Rate:
    """Of the values that are not NaN, each 1 or 0, how many are 1."""
    known = values[~np.isnan(values)]
    return share(float(known.sum()), len(known)) if len(known) else NONE


def exact_share(successes: int, count: int) -> Rate:
    """With the exact binomial interval of Clopper and Pearson, which is never too narrow."""
    if not count:
        return NONE
    low = float(beta.ppf(_TAIL, successes, count - successes + 1)) if successes else 0.0
    high = float(beta.ppf(1 - _TAIL, successes + 1, count - successes)) if successes < count else 1.0
    return Rate(successes / count, count, low, high)


def mean(values: npt.ArrayLike, seed: int = 0, rounds: int = ROUNDS) -> Rate:
    """The mean of independent cases, each a share from 0 to 1, with a bootstrap interval.

    Cases with equal values are drawn together, so that a hundred thousand shares of a few distinct values cost no more
    than a hundred.
    """
    found = np.asarray(values, np.float64)
    if not len(found):
        return NONE
    distinct, counts = np.unique(found, return_counts=True)
    if len(distinct) == 1:
        # A bootstrap of equal cases has no width, which is no certainty; Wilson's interval has one.
        one = float(distinct[0])
        return Rate(one, len(found), *wilson(one * len(found), len(found)))
    means = np.concatenate([drawn @ distinct / len(found) for drawn in resamplings(counts, seed, rounds)])
    low, high = np.quantile(means, (_TAIL, 1 - _TAIL))
    return Rate(float(found.mean()), len(found), float(low), float(high))


def resamplings(counts: npt.ArrayLike, seed: int = 0, rounds: int = ROUNDS) -> Iterator[Ints]:
    """How often each pattern is drawn when as many cases as there are get drawn with replacement: (rounds, patterns).

    In blocks of rows, of which each fits into memory. Cases of one pattern are alike, so the draw is multinomial.
    """
    sizes = np.asarray(counts, np.int64)
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // len(sizes))
    chances = sizes / sizes.sum()
    for start in range(0, rounds, block):
        yield generator.multinomial(int(sizes.sum()), chances, size=min(block, rounds - start))
