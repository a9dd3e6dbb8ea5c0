"""Straight-lining: the same button again and again, longer than chance would have it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from labeling.quality.rates import Floats


@dataclass(frozen=True)
class Run:
    """The longest row of equal buttons that a person pressed, and how likely so long a one is by chance."""

    length: int
    button: int
    labels: int
    p: float


def longest_run(buttons: Sequence[int], chances: Floats) -> Run:
    """`buttons` in the order in which they were pressed; `chances[b]` is how often everybody presses b.

    p is the expected number of runs so long, at most 1: the chance of one run is never more than that. A run starts at
    the first press, or where another button was pressed before: 1 + (n - length) (1 - p) places for each button.
    """
    if not len(buttons):
        return Run(0, -1, 0, 1.0)
    length, button = max(
        ((len(list(same)), button) for button, same in groupby(buttons)), key=lambda found: (found[0], -found[1])
    )
    starts = 1 + (len(buttons) - length) * (1 - chances)
    return Run(length, button, len(buttons), float(min(1.0, np.sum(chances**length * starts))))
