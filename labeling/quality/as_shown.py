"""How often people leave what they were shown as it was: the answer that stands first, the order of the answers, a
model's draft.

By chance the first of K answers is the best in one case of K, and the order is right already in one of K! (orders are
drawn by lot for each task): more says that people go by the place, or don't move what they should.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gamma

from labeling.quality.rates import Floats, Ints, Rate, exact_share, known_share
from labeling.quality.speed import floor_seconds
from labeling.quality.table import Table


@dataclass(frozen=True)
class AsShown:
    """Of one person's labels, or of everybody's. A count of 0 is "does not arise", or of the fast ones "no times"."""

    first: Rate
    """Labels that like the answer shown first best, the left one or that at the top; exact binomial interval."""
    first_chance: float
    """The mean of 1 / K."""
    order: Rate
    """Rankings handed in in the order in which they were shown."""
    order_chance: float
    """The mean of 1 / K!."""
    order_fast: Rate
    """The same, but faster than the answers can be read; of the rankings whose time is known."""
    draft: Rate
    """Drafts kept as they were."""
    draft_fast: Rate
    """The same, but faster than the task can be read; of the drafts whose time is known."""


def as_shown(table: Table, rows: Ints) -> AsShown:
    """Of the labels in these rows."""
    first, order, distance = table.first[rows], table.untouched[rows], table.distance[rows]
    answers = table.answers[rows].astype(np.float64)
    hasty = np.where(np.isnan(table.seconds[rows]), np.nan, table.seconds[rows] < floor_seconds(table.characters[rows]))
    chosen, ranked = ~np.isnan(first), ~np.isnan(order)
    kept = np.where(np.isnan(distance), np.nan, distance == 0)
    return AsShown(
        first=exact_share(int(first[chosen].sum()), int(chosen.sum())),
        first_chance=_mean(1 / answers[chosen]),
        order=known_share(order),
        order_chance=_mean(1 / gamma(answers[ranked] + 1)),
        # NaN where either is: a ranking whose time is unknown is neither fast nor slow.
        order_fast=known_share(order * hasty),
        draft=known_share(kept),
        draft_fast=known_share(kept * hasty),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
