"""What a project's people say together, each weighted by how often they are right: Dawid and Skene 1979, by crowd-kit.

Its Bradley-Terry model with annotators (NoisyBradleyTerry 1.4) is not used: each pair of answers has scores of its own
here, and its gradient holds a person's last comparison alone, so that skills of ten simulated people went with the true
ones by r = 0.04, and one who turned every label round counted as the third best.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from labeling.quality.rates import Floats, Ints


@dataclass(frozen=True)
class Consensus:
    """Units and people are rows in the order of their numbers; probabilities are NaN for a unit without labels."""

    probabilities: Floats
    """(units, values)."""
    accuracy: Floats
    """(people,): how likely each is right, by the model."""

    @property
    def values(self) -> Ints:
        """(units,): the most probable value, -1 for a unit without labels."""
        empty = np.isnan(self.probabilities).all(axis=1)
        return np.where(empty, -1, np.nan_to_num(self.probabilities, nan=-1).argmax(axis=1))


def dawid_skene(units: Ints, people: Ints, values: Ints, sizes: tuple[int, int, int]) -> Consensus:
    """The labels `people[i]` gave `values[i]` to `units[i]`; `sizes` says how many of each there are."""
    # pandas and scikit-learn with it: 2 s to import, and wanted by nobody else.
    import pandas  # type: ignore[import-untyped]
    from crowdkit.aggregation import DawidSkene

    count, persons, categories = sizes
    probabilities = np.full((count, categories), np.nan)
    accuracy = np.full(persons, np.nan)
    if len(units):
        frame = pandas.DataFrame({"task": units, "worker": people, "label": values})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # crowd-kit 1.4 names an argument that pandas 3 ignores
            model = DawidSkene(n_iter=50).fit(frame)
        assert model.probas_ is not None
        assert model.errors_ is not None
        assert model.priors_ is not None
        seen = model.probas_.columns.to_numpy(np.int64)
        rows = model.probas_.index.to_numpy(np.int64)
        probabilities[rows] = 0.0
        probabilities[np.ix_(rows, seen)] = model.probas_.to_numpy()
        prior = model.priors_
        for person in np.unique(people):
            errors = model.errors_.loc[person]
            right = [float(prior[value] * errors.loc[value, value]) for value in seen if value in errors.index]
            accuracy[person] = sum(right)
    return Consensus(probabilities, accuracy)
