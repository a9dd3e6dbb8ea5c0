"""How likely a person is to prefer one answer to another without a look at its words: from what others chose of the
same two answers, from their lengths and from their places on the page.

A logistic regression for each person, drawn towards everybody's. Where a phrase is tested, what the person
makes of lengths is learnt from the answers without it: else a phrase that makes answers long would pass for a liking
for long answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from labeling.quality.duels import Duels
from labeling.quality.rates import Floats, Ints

_LENGTHS = (1, 2)
"""Columns of the features that say how long answers are."""
_POOL, _OWN = 1.0, 5.0
"""Penalty on everybody's weights, and on a person's distance from them: about five choices' worth."""


@dataclass(frozen=True)
class Shown:
    """Lengths of a sample's answers in characters, and the place on the page of each."""

    lengths: tuple[int, ...]
    places: tuple[int, ...]


def features(duels: Duels, shown: Mapping[int, Shown]) -> Floats:
    """(duels, 4): what speaks for the answer `first`; of the same answers in the other order it is the negative."""
    lengths = np.zeros((len(duels), 2))
    before = np.zeros(len(duels))
    pairs = zip(duels.sample.tolist(), duels.first.tolist(), duels.second.tolist(), strict=True)
    for row, (sample, i, j) in enumerate(pairs):
        one = shown[sample]
        lengths[row] = one.lengths[i], one.lengths[j]
        before[row] = 1 if one.places[i] < one.places[j] else -1
    ratio = np.log((lengths[:, 0] + 20) / (lengths[:, 1] + 20))
    # Whether an answer is longer, and by how much: who always takes the longer one cares little by how much.
    return np.stack([duels.lean / (duels.others + 1), ratio, np.sign(ratio), before], axis=1)


def of_everybody(features: Floats, sign: Floats) -> Floats:
    """(4,): the weights of all people together."""
    return _fit(features, sign, np.zeros(features.shape[1]), _POOL)


def unconcerned(weights: Floats) -> Floats:
    """The same weights of somebody to whom lengths are all one."""
    found = weights.copy()
    found[list(_LENGTHS)] = 0
    return found


class Habits:
    """What one person goes by. `features` and `sign` are of this person's choices, `label` counts the labels that the
    choices belong to; `drawn` are the weights that the person is believed to have where the choices don't say."""

    def __init__(self, features: Floats, sign: Floats, label: Ints, drawn: Floats) -> None:
        self.features, self.sign, self.label = features, sign, label
        self.weights = _fit(features, sign, drawn, _OWN)

    def chances(self, row: Ints, group: Ints, groups: int) -> Floats:
        """(rows,): how likely the first answer of the choice `row[i]` is preferred, foretold without the lengths of the
        answers of all labels in its `group[i]`."""
        weights = self._without(self.label[row], group, groups)
        logit = np.zeros(len(row))
        for column in range(weights.shape[1]):  # millions of rows: all columns at once would take 200 MB
            logit += self.features[row, column] * weights[group, column]
        return np.asarray(expit(logit))

    def _without(self, label: Ints, group: Ints, groups: int) -> Floats:
        """(groups, 4): the weights if the lengths of some labels' answers were not known, `label[i]` in `group[i]`.

        One step of Newton's away from the weights with all lengths; the other features of these labels stay. Where the
        labels of a group are most that there are, too few are left to learn from: then all lengths are known.
        """
        size = len(self.weights)
        blind = self.features.copy()
        blind[:, _LENGTHS] = 0
        by_row = self._terms(blind) - self._terms(self.features)
        by_label = np.stack([np.bincount(self.label, column) for column in by_row.T], axis=1)
        by_group = np.stack([np.bincount(group, column[label], groups) for column in by_label.T], axis=1)
        _, bend = _derivatives(self.features, self.sign, self.weights)
        bends = by_group[:, size:].reshape(groups, size, size) + bend + _OWN * np.eye(size)
        most = np.bincount(group, minlength=groups) > len(by_label) / 2
        return np.where(most[:, None], 0, -np.linalg.solve(bends, by_group[:, :size, None])[:, :, 0]) + self.weights

    def _terms(self, sight: Floats) -> Floats:
        """(rows, 4 + 16): what each choice adds to the loss's gradient and Hessian."""
        p = expit(sight @ self.weights)
        slopes = sight * (p - (self.sign > 0))[:, None]
        bends = sight[:, :, None] * sight[:, None, :] * (p * (1 - p))[:, None, None]
        return np.concatenate([slopes, bends.reshape(len(p), -1)], axis=1)


def _fit(features: Floats, sign: Floats, centre: Floats, penalty: float) -> Floats:
    """Logistic regression by Newton's method, drawn towards `centre`, without a constant: answers have no order."""
    weights = centre.copy()
    for _ in range(25):
        slope, bend = _derivatives(features, sign, weights)
        step = np.linalg.solve(bend + penalty * np.eye(len(weights)), slope + penalty * (weights - centre))
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _derivatives(features: Floats, sign: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Of the loss: its gradient (4,) and its Hessian (4, 4)."""
    p = expit(features @ weights)
    return features.T @ (p - (sign > 0)), (features * (p * (1 - p))[:, None]).T @ features
