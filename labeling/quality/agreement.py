"""How often two people who were asked the same say the same, and how close their rankings are.

Beside the public anchors. Kendall 1938 for rankings. What one person alone was asked has no agreement: it is not
measurable, never 100%.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labeling.quality.rates import Floats, Ints, Rate, mean

ANCHORS = (
    ("InstructGPT, people who labelled its training data", 0.726, 0.015),
    ("InstructGPT, people who labelled nothing of it", 0.773, 0.013),
)
"""Agreement on which of two answers is better, and its standard error: Ouyang et al. 2022, section 3.4."""

NOT_MEASURABLE = "not measurable: nothing was labelled by two people"


def pairwise(units: npt.ArrayLike, values: npt.ArrayLike) -> Rate:
    """Of the pairs of people who labelled the same unit, the share that gave the same value; NaN values are missing.

    The mean over units with two labels or more, so that one with many labels counts no more than another; a bootstrap
    over them gives the interval.
    """
    unit, value = np.asarray(units, np.int64), np.asarray(values, np.float64)
    present = ~np.isnan(value)
    _, place = np.unique(unit[present], return_inverse=True)
    _, code = np.unique(value[present], return_inverse=True)
    if not len(place):
        return mean([])
    sizes = np.bincount(place)
    _, cells = np.unique(place * (code.max() + 1) + code, return_counts=True)
    first = np.unique(place * (code.max() + 1) + code) // (code.max() + 1)
    alike = np.bincount(first, cells * (cells - 1.0), minlength=len(sizes))
    several = sizes > 1
    return mean(alike[several] / (sizes * (sizes - 1.0))[several])


def kendall(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """Kendall's tau of two rankings without ties in each row, (rows, K): 1 is the same order, -1 the opposite."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    i, j = np.triu_indices(a.shape[1], 1)
    return np.asarray((np.sign(a[:, i] - a[:, j]) * np.sign(b[:, i] - b[:, j])).mean(axis=1))


def kendall_within(units: Sequence[int] | Ints, rankings: Sequence[Sequence[int]]) -> Rate:
    """The mean tau of two people who ranked the same; over units that two or more ranked, interval by bootstrap.

    Computed as the share of pairs of answers that stand in the same order, which is (tau + 1) / 2: where all units are
    alike, the interval is Wilson's, and that is one of shares.
    """
    members: dict[int, list[int]] = {}
    for place, unit in enumerate(units):
        members.setdefault(int(unit), []).append(place)
    pairs: dict[int, tuple[list[int], list[int], list[int]]] = {}
    for unit, places in members.items():
        for number, one in enumerate(places):
            for other in places[number + 1 :]:
                owner, left, right = pairs.setdefault(len(rankings[one]), ([], [], []))
                owner.append(unit)
                left.append(one)
                right.append(other)
    owners, taus = [], []
    for size, (owner, left, right) in sorted(pairs.items()):
        if size > 1:
            owners.append(np.array(owner))
            taus.append(kendall([rankings[one] for one in left], [rankings[one] for one in right]))
    if not owners:
        return mean([])
    _, row = np.unique(np.concatenate(owners), return_inverse=True)
    alike = mean((np.bincount(row, np.concatenate(taus)) / np.bincount(row) + 1) / 2)
    return Rate(2 * alike.value - 1, alike.count, 2 * alike.low - 1, 2 * alike.high - 1)
