"""Who is better, from who was preferred: Bradley-Terry ratings and win rates, each with its interval and its count.

Bradley and Terry 1952; the scale is Elo's, on which 400 points are odds of 10 to 1, and the mean of all is 1000. What
too few comparisons say is "insufficient evidence", never a result.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from labeling.store.reports import Comparison

MEAN = 1000.0
SCALE = 400 / math.log(10)
"""Points per unit of log-odds."""

PRIOR = 1.0
"""How many ties each model is given against an imaginary one in the middle of the scale. Without a prior a model that
won everything would be infinitely good: with one, 10 wins of 10 are 581 points, of 100 are 943. The interval of such a
model ends there too, and says nothing of how much better it may be."""

MINIMUM = 20
"""The fewest comparisons of a model, or of a pair, that a verdict is given on. Of 20, 15 won are enough, 14 are not."""

ROUNDS = 1000
"""Resamplings from which intervals are taken."""

CONFIDENCE = 0.95
Z = 1.959963984540054
"""The normal distribution's quantile for it."""

INSUFFICIENT = "insufficient evidence"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Game:
    """One comparison of two models: `score` is 1 where `a` was preferred, 0 where `b` was, 0.5 for a tie."""

    a: str
    b: str
    score: float

    def __post_init__(self) -> None:
        if self.score not in (0, 0.5, 1):
            raise ValueError(f"score is {self.score}; expected 1, 0.5 or 0")


@dataclass(frozen=True)
class Rating:
    model: str
    rating: float
    low: float
    high: float
    """The interval holds 95% of the resampled ratings."""
    games: int


@dataclass(frozen=True)
class Verdict:
    """Whether `a` or `b` is better: the difference of their ratings (a - b), its interval, and why it is no result."""

    a: str
    b: str
    better: str | None
    difference: float
    low: float
    high: float
    reason: str

    def __str__(self) -> str:
        return f"{self.better} is better" if self.better else f"{INSUFFICIENT}: {self.reason}"


@dataclass(frozen=True)
class WinRate:
    """How `a` fared against `b`, ties as half a win, with Wilson's 95% interval."""

    a: str
    b: str
    wins: int
    ties: int
    losses: int
    rate: float
    low: float
    high: float

    @property
    def games(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def better(self) -> str | None:
        """The better one; None where fewer than MINIMUM games, or an interval around one half, don't say."""
        if self.games < MINIMUM or self.low <= 0.5 <= self.high:
            return None
        return self.a if self.low > 0.5 else self.b

    def __str__(self) -> str:
        return f"{self.better} is better" if self.better else INSUFFICIENT


@dataclass(frozen=True)
class Ratings:
    """All models, best first."""

    table: tuple[Rating, ...]
    _groups: dict[str, int] = field(repr=False, compare=False)
    _rounds: dict[str, Floats] = field(repr=False, compare=False)

    def compare(self, a: str, b: str) -> Verdict:
        """Whether one is better than the other. Raises KeyError for a model that has no rating.

        It is the interval of the difference that decides: two intervals may overlap though the difference is clear,
        since the ratings of models that met move together.
        """
        of = {rating.model: rating for rating in self.table}
        difference = of[a].rating - of[b].rating
        low, high = map(float, _interval(self._rounds[a] - self._rounds[b]))
        fewest = min(of[a].games, of[b].games)
        if self._groups[a] != self._groups[b]:
            low, high, reason = -math.inf, math.inf, "never compared, nor each with models that were"
        elif fewest < MINIMUM:
            reason = f"{fewest} comparisons of one of them, fewer than {MINIMUM}"
        elif low <= 0 <= high:
            reason = f"the difference lies between {low:+.0f} and {high:+.0f}"
        else:
            reason = ""
        better = None if reason else a if difference > 0 else b
        return Verdict(a, b, better, difference, low, high, reason)


def games(comparisons: Iterable[Comparison]) -> list[Game]:
    """People's choices as games between checkpoints; "both bad" is a tie, and a checkpoint never plays against itself.

    One person's many choices count as independent here: where a few people gave most of them, intervals are too narrow.
    """
    scores = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}
    return [
        Game(item.a.checkpoint_id, item.b.checkpoint_id, scores[item.choice])
        for item in comparisons
        if item.a.checkpoint_id != item.b.checkpoint_id
    ]


def rate(played: Sequence[Game], seed: int = 0) -> Ratings:
    """Ratings by maximum likelihood, ties as half a win each, with PRIOR; intervals by bootstrap.

    Each round draws every pair's games anew from its own wins, ties and losses, with half a win and half a loss added
    to what it draws from, or the interval of a pair that one side won throughout would be a point. The same games in
    any order and the same seed give the same result.
    """
    counts = _count(played)
    models = sorted({model for pair in counts for model in pair})
    if not models:
        return Ratings((), {}, {})
    place = {model: number for number, model in enumerate(models)}
    first, second = np.array([[place[a], place[b]] for a, b in counts]).T
    results = np.array(list(counts.values()), np.float64)  # (pairs, 3): wins, ties, losses of the first
    total = results.sum(axis=1)

    chances = (results + np.array([0.5, 0, 0.5])) / (total[:, None] + 1)
    generator = np.random.default_rng(seed)
    resampled = generator.multinomial(total.astype(np.int64), chances, size=(ROUNDS, len(total)))
    stacked = np.concatenate([results[None], resampled])
    wins = np.zeros((len(stacked), len(models), len(models)))
    wins[:, first, second] = stacked[..., 0] + stacked[..., 1] / 2
    wins[:, second, first] = stacked[..., 2] + stacked[..., 1] / 2
    strengths = bradley_terry(wins)
    points = MEAN + SCALE * (strengths - strengths.mean(axis=1, keepdims=True))

    low, high = _interval(points[1:])
    played_by = np.bincount(np.concatenate([first, second]), np.concatenate([total, total]))
    _, groups = connected_components(coo_array((total, (first, second)), shape=(len(models), len(models))), False)
    table = [
        Rating(model, float(points[0, number]), float(low[number]), float(high[number]), int(played_by[number]))
        for model, number in place.items()
    ]
    return Ratings(
        tuple(sorted(table, key=lambda rating: (-rating.rating, rating.model))),
        {model: int(groups[number]) for model, number in place.items()},
        {model: points[1:, number] for model, number in place.items()},
    )


def win_rates(played: Iterable[Game]) -> list[WinRate]:
    """One row for each two models that met, in the order of their names."""
    rows = []
    for (a, b), (wins, ties, losses) in _count(played).items():
        total = wins + ties + losses
        rows.append(
            WinRate(a, b, wins, ties, losses, (wins + ties / 2) / total, *wilson(wins + ties / 2, total)),
        )
    return rows


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927): (0, 1) for no trials. Half successes, of ties, make it too wide."""
    if not trials:
        return 0.0, 1.0
    share, spread = successes / trials, Z * Z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def bradley_terry(wins: Floats, prior: float = PRIOR) -> Floats:
    """Wins (..., k, k), row over column -> strengths (..., k) in log-odds: the most likely, given `prior`.

    `prior` ties against a model of strength 0 make the likelihood strictly concave, so there is one maximum and it is
    finite. Newton's steps are shortened to a spread of 1 in log-odds, within which each is sure to climb (Bach 2010,
    "Self-concordant analysis for logistic regression", lemma 1).
    """
    met = wins + wins.swapaxes(-1, -2)
    size = wins.shape[-1]
    strengths = np.zeros(wins.shape[:-1])
    for _ in range(200):
        chance = _sigmoid(strengths[..., :, None] - strengths[..., None, :])
        middle = _sigmoid(strengths)
        slope = (wins - met * chance).sum(axis=-1) + prior * (0.5 - middle)
        curve = met * chance * (1 - chance)
        bend = np.eye(size) * (curve.sum(axis=-1) + prior * middle * (1 - middle))[..., None] - curve
        step = np.linalg.solve(bend, slope[..., None])[..., 0]
        spread = np.maximum(step.max(axis=-1), 0) - np.minimum(step.min(axis=-1), 0)
        strengths = strengths + step / np.maximum(1, spread)[..., None]
        if spread.max() < 1e-9:
            return strengths
    raise ArithmeticError("the ratings did not converge in 200 steps")


def _count(played: Iterable[Game]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(a, b), a < b, in order -> wins, ties, losses of a. Raises ValueError where a model plays against itself."""
    found: Counter[tuple[str, str, float]] = Counter()
    for game in played:
        if game.a == game.b:
            raise ValueError(f"{game.a} plays against itself; leave such games out")
        key = (game.a, game.b, game.score) if game.a < game.b else (game.b, game.a, 1 - game.score)
        found[key] += 1
    pairs = [pair for pair, _ in itertools.groupby(sorted(key[:2] for key in found))]
    return {pair: (found[*pair, 1], found[*pair, 0.5], found[*pair, 0]) for pair in pairs}


def _interval(rounds: Floats) -> tuple[Floats, Floats]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(rounds, [tail, 1 - tail], axis=0)
    return low, high


def _sigmoid(log_odds: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(log_odds / 2))
