"""How far verdicts can be trusted: rates with intervals, paired differences, agreement of people, calibration.

Every rate comes with its count. Wilson 1927 for one rate; McNemar 1947 and Efron's bootstrap over prompts for two rates
on the same comparisons; Guo et al. 2017 for calibration.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.records import Ranking

Z = 1.959963984540054
"""Half the width of a 95% interval in standard deviations; all intervals here are of 95%."""


LEVEL = 0.05
"""A p from here on shows no difference."""


@dataclass(frozen=True)
class Rate:
    """A share of `count` cases, and its interval; 0 cases say nothing: from 0 to 1."""

    value: float
    count: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}] of {self.count:,}" if self.count else "no cases"


def rate(outcomes: ArrayLike) -> Rate:
    """1 right, 0 wrong, 1/2 undecided -> their mean with Wilson's interval."""
    values = np.asarray(outcomes, float)
    if not len(values):
        return Rate(math.nan, 0, 0.0, 1.0)
    return Rate(float(values.mean()), len(values), *wilson(float(values.sum()), len(values)))


def wilson(successes: float, count: int) -> tuple[float, float]:
    """The interval of Wilson 1927, "Probable inference": it stays within 0 and 1 and holds for few cases too."""
    share, square = successes / count, Z * Z / count
    centre = share + square / 2
    spread = Z * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, (centre - spread) / (1 + square)), min(1.0, (centre + spread) / (1 + square))


def verdicts(preferred: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """For each pair 1 where the number of the preferred answer is larger, 0 where smaller, 1/2 where they are equal."""
    return (np.sign(np.asarray(preferred, float) - np.asarray(other, float)) + 1) / 2


def chance(p: float) -> str:
    """A p in words where it says nothing against equals."""
    return f"p = {p:.2g}" if p < LEVEL else f"no more than chance (p = {p:.2g})"


@dataclass(frozen=True)
class Difference:
    """How much more often the first judge is right than the second, on the same comparisons."""

    value: float
    count: int
    low: float
    high: float
    p: float
    """McNemar's exact two-sided p, undecided verdicts left out."""

    def __str__(self) -> str:
        return f"{self.value:+.1%} [{self.low:+.1%}, {self.high:+.1%}], {chance(self.p)}"


def paired_difference(
    first: ArrayLike, second: ArrayLike, prompts: Sequence[Hashable], draws: int = 10000, seed: int = 0
) -> Difference:
    """Verdicts (1, 0, 1/2) of two judges on the same pairs -> the difference of their rates, with its interval.

    The bootstrap draws prompts and not pairs: the pairs of one prompt are right or wrong together.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    names = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    owner = np.array([names[prompt] for prompt in prompts])
    sums, sizes = np.bincount(owner, a - b), np.bincount(owner)
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):  # one at a time: 10,000 draws of 100,000 prompts at once would be 8 GB
        chosen = generator.integers(len(sums), size=len(sums))
        means[draw] = sums[chosen].sum() / sizes[chosen].sum()
    low, high = np.quantile(means, (0.025, 0.975))
    p = mcnemar(int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum()))
    return Difference(float((a - b).mean()), len(a), float(low), float(high), p)


def mcnemar(first_only: int, second_only: int) -> float:
    """How likely so uneven a split of the cases in which one judge alone is right would be if both were as good.

    Exact and two-sided: a fair coin's tail. McNemar 1947.
    """
    cases, fewer = first_only + second_only, min(first_only, second_only)
    tail = sum(math.comb(cases, number) for number in range(fewer + 1))
    return min(1.0, 2 * tail / 2**cases)


def annotators_agreement(verdicts: Iterable[tuple[Ranking, int]], draws: int = 1000, seed: int = 0) -> Rate:
    """How often two people who compared the same two answers say the same; (ranking, how many people gave it).

    The mean over pairs of answers that two or more people judged; its interval is a bootstrap over those. InstructGPT's
    labellers agreed in 72.6 +- 1.5% (Ouyang et al. 2022, section 3.4).
    """
    votes: dict[Hashable, Counter[Hashable]] = {}
    for ranking, people in verdicts:
        for better, worse in ranking.pairs():
            winner, loser = ranking.completions[better], ranking.completions[worse]
            votes.setdefault((ranking.prompt, frozenset((winner, loser))), Counter())[winner] += people
    several = [counted for counted in votes.values() if counted.total() > 1]
    if not several:
        return Rate(math.nan, 0, 0.0, 1.0)
    shares = np.array([sum(n * (n - 1) for n in c.values()) / (c.total() * (c.total() - 1)) for c in several])
    generator = np.random.default_rng(seed)
    means = [shares[generator.integers(len(shares), size=len(shares))].mean() for _ in range(draws)]
    low, high = np.quantile(means, (0.025, 0.975))
    return Rate(float(shares.mean()), len(shares), float(low), float(high))


@dataclass(frozen=True)
class Bin:
    """Predictions from `low` to `high` (the last bin holds 1 too): their mean, and how often it came true."""

    low: float
    high: float
    count: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Calibration:
    ece: float
    """Expected calibration error: the mean distance of predicted and observed over bins, weighted by their counts."""
    brier: float
    """Mean squared error of the probabilities (Brier 1950); 0.25 is what always saying 1/2 gets."""
    bins: tuple[Bin, ...]
    """Those that are not empty."""


def calibration(probabilities: ArrayLike, outcomes: ArrayLike, bins: int = 10) -> Calibration:
    """Probabilities and what happened (1 or 0), in `bins` of equal width (Guo et al. 2017, equation 3)."""
    p, happened = np.asarray(probabilities, float), np.asarray(outcomes, float)
    place = np.minimum((p * bins).astype(int), bins - 1)
    filled = tuple(
        Bin(number / bins, (number + 1) / bins, int(here.sum()), float(p[here].mean()), float(happened[here].mean()))
        for number in range(bins)
        if (here := place == number).any()
    )
    ece = sum(found.count * abs(found.predicted - found.observed) for found in filled) / max(1, len(p))
    return Calibration(ece, float(((p - happened) ** 2).mean()) if len(p) else math.nan, filled)


def preference_calibration(gaps: ArrayLike, bins: int = 10) -> Calibration:
    """Calibration of sigmoid(score of the preferred - score of the other).

    Which answer comes first must not be told by the label, so each pair counts both ways round, half a time each.
    """
    # A gap of 700 is the last that exp takes, and its sigmoid is 0 or 1 already.
    p = 1 / (1 + np.exp(-np.clip(np.asarray(gaps, float), -700, 700)))
    both = calibration(np.concatenate((p, 1 - p)), np.repeat((1.0, 0.0), len(p)), bins)
    return both


def correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson's; NaN where one of them does not vary."""
    a, b = np.asarray(x, float), np.asarray(y, float)
    if len(a) < 2 or not a.std() or not b.std():
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def without_nan(value: Any) -> Any:
    """A report as JSON can hold it: None for what could not be computed."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
