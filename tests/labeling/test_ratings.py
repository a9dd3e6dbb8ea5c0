"""Ratings are the most likely ones, their intervals hold the truth, and too little is never a result."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from labeling.ratings import (
    MEAN,
    MINIMUM,
    PRIOR,
    SCALE,
    Game,
    Ratings,
    bradley_terry,
    games,
    rate,
    wilson,
    win_rates,
)
from labeling.store.reports import Answer, Comparison

MODELS = "abcd"

some_games = st.lists(
    st.tuples(st.permutations(MODELS), st.sampled_from([0, 0.5, 1])).map(
        lambda drawn: Game(drawn[0][0], drawn[0][1], drawn[1])
    ),
    min_size=1,
    max_size=25,
)


def log_sigmoid(value: float) -> float:
    return float(-np.logaddexp(0, -value))


def brute_force(played: Sequence[Game], prior: float) -> dict[str, float]:
    """Strengths by a general optimiser of the log-likelihood, game by game."""
    models = sorted({model for game in played for model in (game.a, game.b)})

    def loss(strengths: np.ndarray) -> float:
        of = dict(zip(models, strengths, strict=True))
        likely = sum(prior / 2 * (log_sigmoid(value) + log_sigmoid(-value)) for value in strengths)
        for game in played:
            difference = of[game.a] - of[game.b]
            likely += game.score * log_sigmoid(difference) + (1 - game.score) * log_sigmoid(-difference)
        return -likely

    found = optimize.minimize(loss, np.zeros(len(models)), method="BFGS", options={"gtol": 1e-7})
    return dict(zip(models, found.x, strict=True))


def ratings_of(ratings: Ratings) -> dict[str, float]:
    return {rating.model: rating.rating for rating in ratings.table}


def many(a: str, b: str, wins: int, ties: int, losses: int) -> list[Game]:
    return [Game(a, b, score) for score, times in ((1, wins), (0.5, ties), (0, losses)) for _ in range(times)]


def simulate(strengths: Sequence[float], count: int, seed: int) -> list[Game]:
    generator = random.Random(seed)
    played = []
    for _ in range(count):
        first, second = generator.sample(range(len(strengths)), 2)
        chance = 1 / (1 + np.exp(strengths[second] - strengths[first]))
        played.append(Game(str(first), str(second), float(generator.random() < chance)))
    return played


@settings(max_examples=40)
@given(some_games)
def test_ratings_are_those_of_a_brute_force_search(played: list[Game]) -> None:
    expected = brute_force(played, PRIOR)
    middle = np.mean(list(expected.values()))
    assert ratings_of(rate(played)) == pytest.approx(
        {model: MEAN + SCALE * (value - middle) for model, value in expected.items()}, abs=0.02
    )


@given(some_games, st.randoms(use_true_random=False))
def test_neither_order_nor_sides_change_anything(played: list[Game], generator: random.Random) -> None:
    mixed = [Game(game.b, game.a, 1 - game.score) if generator.random() < 0.5 else game for game in played]
    generator.shuffle(mixed)
    assert rate(played) == rate(mixed)
    assert win_rates(played) == win_rates(mixed)


@given(some_games)
def test_the_mean_is_1000_and_every_rating_lies_in_its_interval(played: list[Game]) -> None:
    table = rate(played).table
    assert np.mean([rating.rating for rating in table]) == pytest.approx(1000)
    assert all(rating.low - 1e-6 <= rating.rating <= rating.high + 1e-6 for rating in table)
    assert sum(rating.games for rating in table) == 2 * len(played)


def test_400_points_are_odds_of_ten_to_one() -> None:
    strong, weak = rate(many("a", "b", 10_000, 0, 1_000)).table
    assert strong.rating - weak.rating == pytest.approx(400, abs=0.5)


def test_two_ties_are_a_win_and_a_loss() -> None:
    assert ratings_of(rate(many("a", "b", 5, 4, 1))) == ratings_of(rate(many("a", "b", 7, 0, 3)))


def test_known_strengths_are_found_again() -> None:
    strengths = [-1.0, -0.2, 0.0, 0.4, 0.8]
    found = ratings_of(rate(simulate(strengths, 20_000, seed=1)))
    for number, strength in enumerate(strengths):
        assert found[str(number)] == pytest.approx(1000 + SCALE * strength, abs=15)


@pytest.mark.slow
def test_intervals_hold_the_truth_19_times_of_20() -> None:
    strengths = [-0.5, 0.0, 0.2, 0.3]
    held = []
    for seed in range(150):
        for rating in rate(simulate(strengths, 240, seed)).table:
            held.append(rating.low <= 1000 + SCALE * strengths[int(rating.model)] <= rating.high)
    assert 0.93 <= np.mean(held) <= 0.985


@pytest.mark.slow
def test_of_equal_models_at_most_one_in_twenty_is_called_better() -> None:
    called = [rate(simulate([0, 0], 40, seed)).compare("0", "1").better is not None for seed in range(300)]
    assert np.mean(called) <= 0.06


@pytest.mark.parametrize(("wins", "points"), [(10, 581), (100, 943)])
def test_who_won_everything_is_rated_as_high_as_the_prior_allows(wins: int, points: int) -> None:
    best, worst = rate(many("a", "b", wins, 0, 0)).table
    assert best.model == "a"
    assert round(best.rating - worst.rating) == points
    assert best.low < best.rating  # a chain of wins is no certainty


def test_newton_finds_the_maximum_of_lopsided_results() -> None:
    wins = np.array([[0, 1e6, 3.0], [1, 0, 1e5], [0, 0, 0]])
    strengths = bradley_terry(wins)
    met = wins + wins.T
    chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    slope = (wins - met * chance).sum(axis=1) + 0.5 - 1 / (1 + np.exp(-strengths))
    assert np.abs(slope).max() < 1e-6


def test_a_clear_difference_is_a_result() -> None:
    verdict = rate(many("a", "b", 70, 0, 30)).compare("b", "a")
    assert verdict.better == "a"
    assert str(verdict) == "a is better"
    assert verdict.high < 0


@pytest.mark.parametrize(("wins", "better"), [(14, None), (15, "a")])
def test_of_20_comparisons_15_won_are_a_result_and_14_are_not(wins: int, better: str | None) -> None:
    assert rate(many("a", "b", wins, 0, 20 - wins)).compare("a", "b").better == better
    assert win_rates(many("a", "b", wins, 0, 20 - wins))[0].better == better


def test_fewer_than_the_minimum_are_none_however_clear() -> None:
    played = many("a", "b", MINIMUM - 1, 0, 0)
    verdict = rate(played).compare("a", "b")
    assert verdict.better is None
    assert str(verdict) == "insufficient evidence: 19 comparisons of one of them, fewer than 20"
    assert str(win_rates(played)[0]) == "insufficient evidence"
    assert rate([*played, Game("a", "b", 1)]).compare("a", "b").better == "a"


def test_models_that_nothing_links_cannot_be_compared() -> None:
    ratings = rate([*many("a", "b", 90, 0, 10), *many("c", "d", 50, 0, 50)])
    verdict = ratings.compare("a", "d")
    assert "never compared" in str(verdict)
    assert (verdict.better, verdict.low, verdict.high) == (None, -np.inf, np.inf)
    assert ratings.compare("a", "b").better == "a"


def test_models_that_met_the_same_one_can_be() -> None:
    ratings = rate([*many("a", "b", 90, 0, 10), *many("b", "c", 90, 0, 10)])
    assert ratings.compare("a", "c").better == "a"


def test_the_same_seed_gives_the_same_intervals() -> None:
    played = simulate([0, 1, 2], 100, 0)
    assert rate(played, seed=1) == rate(played, seed=1)
    assert rate(played, seed=1) != rate(played, seed=2)


def test_no_games_give_no_ratings() -> None:
    assert rate([]).table == ()
    assert win_rates([]) == []


@given(st.integers(0, 200), st.integers(0, 200))
def test_wilsons_interval_is_where_the_score_test_does_not_reject(wins: int, losses: int) -> None:
    total = wins + losses
    low, high = wilson(wins, total)
    if not total:
        assert (low, high) == (0, 1)
        return
    expected = stats.binomtest(wins, total).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_win_rate_says_what_it_counted() -> None:
    (row,) = win_rates(many("b", "a", 10, 20, 70))
    assert (row.a, row.b, row.wins, row.ties, row.losses, row.games, row.rate) == ("a", "b", 70, 20, 10, 100, 0.8)
    assert (round(row.low, 3), round(row.high, 3), row.better) == (0.711, 0.867, "a")


def choice(choice: Any, a: str = "c1", b: str = "c2") -> Comparison:
    return Comparison([{"role": "user", "content": "?"}], Answer("x", a), Answer("y", b), choice)


def test_choices_are_games_and_both_bad_is_a_tie() -> None:
    chosen = [choice("a"), choice("b"), choice("tie"), choice("both_bad"), choice("a", b="c1")]
    assert games(chosen) == [Game("c1", "c2", score) for score in (1, 0, 0.5, 0.5)]


@pytest.mark.parametrize("score", [0.3, -1, float("nan")])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="expected 1, 0.5 or 0"):
        Game("a", "b", score)


def test_nobody_plays_against_themselves() -> None:
    with pytest.raises(ValueError, match="a plays against itself"):
        rate([Game("a", "a", 1)])
