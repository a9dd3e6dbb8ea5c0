"""Choices between two answers, and whether each person chooses as the others do.

A ranking of K answers is K (K - 1) / 2 choices, as InstructGPT counts it (Ouyang et al. 2022, section 3.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labeling.quality.rates import Floats, Ints


@dataclass(frozen=True)
class Duels:
    """One row for each choice of each label. `sign` is +1 where the answer with the smaller number was preferred."""

    label: Ints
    sample: Ints
    person: Ints
    first: Ints
    second: Ints
    sign: Ints
    duel: Ints
    """The same number for the same two answers of the same sample."""
    others: Ints
    """How many other people's choices there are of this duel."""
    lean: Ints
    """The sum of their signs."""

    def __len__(self) -> int:
        return len(self.label)


def duels(sample: Ints, person: Ints, ranks: Sequence[tuple[int, ...]]) -> Duels:
    """From the columns of a table; labels without an order have none."""
    parts = []
    sizes = np.array([len(order) for order in ranks], np.int64)
    for size in np.unique(sizes):
        if size < 2:
            continue
        at = np.flatnonzero(sizes == size)
        order = np.array([ranks[place] for place in at.tolist()])
        i, j = np.triu_indices(int(size), 1)
        sign = np.sign(order[:, j] - order[:, i])
        parts.append(
            np.stack(
                [np.repeat(at, len(i)), np.tile(i, len(at)), np.tile(j, len(at)), sign.ravel()],
            )
        )
    label, first, second, sign = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), np.int64)
    of, who = sample[label], person[label]
    return _counted(label, of, who, first, second, sign)


def leanings(sample: Ints, person: Ints, leaning: Ints) -> Duels:
    """The same of labels that lean one of two ways (+1, -1) or neither (0), each a choice between answers 0 and 1."""
    label = np.flatnonzero(leaning)
    zeros = np.zeros(len(label), np.int64)
    return _counted(label, sample[label], person[label], zeros, zeros + 1, leaning[label])


def _counted(label: Ints, sample: Ints, person: Ints, first: Ints, second: Ints, sign: Ints) -> Duels:
    _, duel = np.unique((sample * 64 + first) * 64 + second, return_inverse=True)
    # A person who labelled a sample twice is not another person.
    total = np.bincount(duel, sign)[duel] if len(duel) else np.zeros(0)
    count = np.bincount(duel)[duel] if len(duel) else np.zeros(0)
    _, own = np.unique(duel * (int(person.max(initial=0)) + 1) + person, return_inverse=True)
    mine = np.bincount(own, sign)[own] if len(own) else np.zeros(0)
    times = np.bincount(own)[own] if len(own) else np.zeros(0)
    others, lean = (count - times).astype(np.int64), (total - mine).astype(np.int64)
    return Duels(label, sample, person, first, second, sign, duel, others, lean)


def with_majority(found: Duels, labels: int) -> Floats:
    """(labels,): 1 where most of a label's choices are those of most other people, 0 where most are not; else NaN."""
    told = found.lean != 0
    agree = np.bincount(found.label[told], found.sign[told] * np.sign(found.lean[told]), minlength=labels)
    return np.where(agree > 0, 1.0, np.where(agree < 0, 0.0, np.nan))
