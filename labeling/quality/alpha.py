"""Krippendorff's alpha: how far people agree beyond chance, with any number of people, and labels missing.

Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability". Own code, since the packages for it are under the GPL.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from labeling.quality.rates import MINIMUM, ROUNDS, Floats, Ints, resamplings

Level = Literal["nominal", "ordinal", "interval"]

MOST_VALUES = 1000
"""Distinct values: tables of their pairs are kept."""

_CELLS = 2_000_000


@dataclass(frozen=True)
class Alpha:
    """1 is perfect agreement, 0 is chance; NaN where it can't be measured, and `reason` says why."""

    value: float
    low: float
    high: float
    units: int
    """Those with two labels or more; the others say nothing."""
    labels: int
    """Of these units."""
    level: Level
    reason: str = ""

    @property
    def enough(self) -> bool:
        return self.units >= MINIMUM


def alpha(
    units: npt.ArrayLike, values: npt.ArrayLike, level: Level = "nominal", rounds: int = ROUNDS, seed: int = 0
) -> Alpha:
    """Alpha of labels given as two columns: what was labelled (any integers), and how (numbers; NaN for missing).

    The 95% interval is a bootstrap over units, each round with its own marginals, and so its own ordinal distances. A
    round in which all drawn labels are equal has no alpha and is left out. Raises ValueError for more than
    MOST_VALUES distinct values.
    """
    unit, value = np.asarray(units, np.int64), np.asarray(values, np.float64)
    present = ~np.isnan(value)
    counts, scale = _counts(unit[present], value[present])
    labels = int(counts.sum())
    if not len(counts):
        return Alpha(math.nan, math.nan, math.nan, 0, 0, level, "not measurable: nothing was labelled twice")
    if len(scale) < 2:
        reason = "not measurable: all labels are the same"
        return Alpha(math.nan, math.nan, math.nan, len(counts), labels, level, reason)
    patterns, times = np.unique(counts, axis=0, return_counts=True)
    value_ = float(_alphas(times[None, :], patterns, scale, level)[0])
    block = max(1, _CELLS // (len(scale) ** 2))
    found = np.concatenate(
        [
            _alphas(drawn[start : start + block], patterns, scale, level)
            for drawn in resamplings(times, seed, rounds)
            for start in range(0, len(drawn), block)
        ]
    )
    found = found[~np.isnan(found)]
    low, high = np.quantile(found, (0.025, 0.975)) if len(found) else (math.nan, math.nan)
    return Alpha(value_, float(low), float(high), len(counts), labels, level)


def _counts(unit: Ints, value: Floats) -> tuple[Ints, Floats]:
    """(units, values): how often each value was given to each unit that has two labels or more; and the values."""
    _, place, sizes = np.unique(unit, return_inverse=True, return_counts=True)
    pairable = sizes[place] > 1
    scale, code = np.unique(value[pairable], return_inverse=True)
    if len(scale) > MOST_VALUES:
        raise ValueError(f"{len(scale)} distinct values; expected at most {MOST_VALUES}. Round them.")
    _, row = np.unique(place[pairable], return_inverse=True)
    table = np.zeros((int((sizes > 1).sum()), len(scale)), np.int64)
    np.add.at(table, (row, code), 1)
    return table, scale


def _alphas(drawn: Ints, patterns: Ints, scale: Floats, level: Level) -> Floats:
    """Alpha of each round: `drawn` (rounds, patterns) says how many units have each pattern (patterns, values)."""
    held = patterns.astype(np.float64)
    size = held.sum(axis=1)
    # Coincidences of a unit: pairs of its labels by different people, over the labels that each could be paired with.
    pairs = held[:, :, None] * held[:, None, :]
    diagonal = np.arange(len(scale))
    pairs[:, diagonal, diagonal] -= held
    pairs /= (size - 1)[:, None, None]
    observed = (drawn @ pairs.reshape(len(patterns), -1)).reshape(len(drawn), len(scale), len(scale))
    marginal = drawn @ held
    total = marginal.sum(axis=1)
    distance = _distances(marginal, scale, level)
    disagreement = (observed * distance).sum(axis=(1, 2))
    expected = np.einsum("rc,rk,rck->r", marginal, marginal, distance) / (total - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - disagreement / expected, np.nan)


def _distances(marginal: Floats, scale: Floats, level: Level) -> Floats:
    """Squared distances of values, (rounds, values, values)."""
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(len(scale)), (len(marginal), len(scale), len(scale)))
    if level == "interval":
        return np.broadcast_to((scale[:, None] - scale[None, :]) ** 2, (len(marginal), len(scale), len(scale)))
    # Ordinal: how many labels lie between the two values, half of their own among them.
    middle = np.cumsum(marginal, axis=1) - marginal / 2
    return np.asarray((middle[:, :, None] - middle[:, None, :]) ** 2)
