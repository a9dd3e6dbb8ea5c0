"""What people say together of each sample, and how sure that is, by Dawid and Skene's model. One label is no consensus.

Of rankings the model has the choices between two answers of them, as a reward model has (Ouyang et al. 2022, 3.5). Of
grades from 1 to 7 it has whether they are good: for how often each person gives each grade where another would be right
there are too few labels. On simulated grades (200 samples, three of five people each) all seven were right in 43% and
said to be in 91%, with the median right in 58%; good or not was right in 88%, said 94%, median 89%.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labeling.quality.consensus import Consensus, dawid_skene
from labeling.quality.duels import Duels, duels
from labeling.quality.rates import MINIMUM, Floats, Ints
from labeling.quality.table import Table

ORDER = "order"
"""The scale of rankings."""

_MOST = 16
"""More answers than a ranking may have."""


@dataclass(frozen=True)
class Belief:
    """Of one sample."""

    value: str | tuple[int, ...]
    """One of the scale's values, or a span of grades; of a ranking the ranks of its answers, 1 for the best."""
    probability: float
    """That it is so, by the model; of a ranking the mean over its pairs of answers that they stand so."""


@dataclass(frozen=True)
class Together:
    """What the model makes of one scale. Gold questions, of which the truth is known, are left out."""

    scale: str
    units: int
    """Samples with two labels or more; of rankings pairs of answers."""
    otherwise: int
    """Units of which it says something else than most people do."""
    accuracy: dict[str, float]
    """Of each person with MINIMUM such labels, as the model estimates it: how likely they are right of a unit."""
    samples: dict[str, Belief]
    """By the sample's id, of all with two labels or more."""


def together(table: Table) -> tuple[Together, ...]:
    """One for each scale on which there are labels."""
    if table.kind == "rankings":
        return _ranked(table)
    found = []
    for column, scale in enumerate(table.scales):
        if scale.level == "nominal":
            found.append(_scaled(table, scale.name, table.values[:, column], scale.values))
        elif scale.good is not None:
            names = (_span(scale.values[: scale.good]), _span(scale.values[scale.good :]))
            grades = table.values[:, column]
            good = np.where(np.isnan(grades), np.nan, grades >= scale.good)
            found.append(_scaled(table, scale.name, good, names))
    return tuple(one for one in found if one is not None)


def _span(values: Sequence[str]) -> str:
    return f"{values[0]} to {values[-1]}"


def _scaled(table: Table, name: str, said: Floats, names: Sequence[str]) -> Together | None:
    kept = table.measured & ~np.isnan(said)
    kept &= np.bincount(table.sample[kept], minlength=len(table.samples))[table.sample] > 1
    units, people, values = table.sample[kept], table.person[kept], said[kept].astype(np.int64)
    if not len(units):
        return None
    found = dawid_skene(units, people, values, (len(table.samples), len(table.people), len(names)))
    likely, value = found.probabilities.max(axis=1), found.values
    beliefs = {table.samples[unit]: Belief(names[value[unit]], _rounded(likely[unit])) for unit in np.unique(units)}
    count, otherwise = _against_most(units, values, found)
    return Together(name, count, otherwise, _accuracy(table, found, people), beliefs)


def _ranked(table: Table) -> tuple[Together, ...]:
    labels = np.bincount(table.sample[table.measured], minlength=len(table.samples))
    rows = np.flatnonzero(table.measured & (labels[table.sample] > 1))
    one = duels(table.sample[rows], table.person[rows], [table.ranks[row] for row in rows])
    if not len(one):
        return ()
    values = (one.sign < 0).astype(np.int64)  # 0 where the answer with the smaller number is the better one
    found = dawid_skene(one.duel, one.person, values, (int(one.duel.max()) + 1, len(table.people), 2))
    count, otherwise = _against_most(one.duel, values, found)
    accuracy = _accuracy(table, found, table.person[rows])
    return (Together(ORDER, count, otherwise, accuracy, _orders(table, one, found)),)


def _orders(table: Table, one: Duels, found: Consensus) -> dict[str, Belief]:
    """Each sample's answers by the number of others that they are expected to beat; of equals the first one first."""
    duel, row = np.unique(one.duel, return_index=True)
    sample, first, second = one.sample[row], one.first[row], one.second[row]
    wins = found.probabilities[duel, 0]
    beaten = np.full((len(table.samples), _MOST), -1.0)
    beaten[sample, first] = beaten[sample, second] = 0.0
    np.add.at(beaten, (sample, first), wins)
    np.add.at(beaten, (sample, second), 1 - wins)
    ranks = np.argsort(np.argsort(-beaten, axis=1, kind="stable"), axis=1) + 1
    so = np.where(ranks[sample, first] < ranks[sample, second], wins, 1 - wins)
    pairs = np.bincount(sample, minlength=len(table.samples))
    sure = np.bincount(sample, so, len(table.samples)) / np.maximum(pairs, 1)
    return {
        table.samples[place]: Belief(tuple(ranks[place][beaten[place] >= 0].tolist()), _rounded(sure[place]))
        for place in np.unique(sample)
    }


def _against_most(units: Ints, values: Ints, found: Consensus) -> tuple[int, int]:
    """How many units have labels, and of how many the consensus is not what most say; a tie has no most."""
    votes = np.zeros(found.probabilities.shape, np.int64)
    np.add.at(votes, (units, values), 1)
    most = votes.max(axis=1)
    clear = (most > 0) & ((votes == most[:, None]).sum(axis=1) == 1)
    return int((most > 0).sum()), int((clear & (found.values != votes.argmax(axis=1))).sum())


def _accuracy(table: Table, found: Consensus, people: Ints) -> dict[str, float]:
    cases = np.bincount(people, minlength=len(table.people))
    return {name: float(found.accuracy[who]) for who, name in enumerate(table.people) if cases[who] >= MINIMUM}


def _rounded(probability: float) -> float:
    """To as many digits as a page of a hundred thousand samples has room for; more would mean nothing."""
    return round(float(probability), 4)
