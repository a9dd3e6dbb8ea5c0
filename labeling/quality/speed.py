"""Labels that were given faster than their task can be read."""

import numpy as np
import numpy.typing as npt

from labeling.quality.rates import Floats

READ_PER_SECOND = 100
"""Characters: four times as fast as people read silently (238 words a minute, so about 24 characters a second with
their spaces; Brysbaert 2019, a review of 190 studies)."""

MOST_READ = 3000
"""Characters of a task that count: of a longer one, part is enough to tell what is wrong with it."""

LEAST_SECONDS = 1.0
"""No choice is made in less, however short its texts."""

FASTEST = 0.05
"""The share of a project's labels, by time per character, of which each person's part is told."""


def floor_seconds(characters: npt.ArrayLike) -> Floats:
    """The least time in which a task of so many characters can be answered after reading it."""
    return np.maximum(LEAST_SECONDS, np.minimum(np.asarray(characters, np.float64), MOST_READ) / READ_PER_SECOND)


def too_fast(seconds: float | None, characters: int) -> bool:
    """Whether a label can't rest on its texts; one whose time is unknown is not accused."""
    return seconds is not None and seconds < float(floor_seconds(characters))


def fastest(seconds: npt.ArrayLike, characters: npt.ArrayLike) -> Floats:
    """1 for labels among the FASTEST of the project by time per character, 0 for others, NaN where time is unknown.

    Somebody is always the fastest: a share above FASTEST says who, and alone accuses nobody.
    """
    pace = np.asarray(seconds, np.float64) / np.maximum(1, np.asarray(characters, np.float64))
    known = pace[~np.isnan(pace)]
    if not len(known):
        return pace
    return np.where(np.isnan(pace), np.nan, pace < np.quantile(known, FASTEST))
