"""What a person is believed to choose, whatever the words are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from labeling.quality.duels import duels
from labeling.quality.foretell import Habits, Shown, features, of_everybody, unconcerned
from labeling.quality.rates import Floats


def loss(weights: Floats, sight: Floats, sign: Floats, drawn: Floats, penalty: float) -> float:
    return float(np.logaddexp(0, -sign * (sight @ weights)).sum() + penalty / 2 * ((weights - drawn) ** 2).sum())


def choices(seed: int, count: int = 80) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    sight = generator.normal(size=(count, 4))
    sign = np.where(generator.random(count) < expit(sight @ [1, 0.5, 0, -0.5]), 1.0, -1.0)
    return sight, sign


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_the_weights_are_those_of_the_least_loss(seed: int) -> None:
    sight, sign = choices(seed)
    drawn = of_everybody(sight, sign)
    found = Habits(sight[:30], sign[:30], np.arange(30), drawn).weights
    assert np.allclose(drawn, minimize(loss, np.zeros(4), (sight, sign, np.zeros(4), 1.0)).x, atol=1e-3)
    assert np.allclose(found, minimize(loss, drawn, (sight[:30], sign[:30], drawn, 5.0)).x, atol=1e-3)


def test_lengths_of_a_group_are_not_learnt_from() -> None:
    sight, sign = choices(1)
    sight[:20, 1] += sign[:20]  # in the first 20 the longer one is always chosen
    habits = Habits(sight, sign, np.arange(80), np.zeros(4))
    blind = sight.copy()
    blind[:20, 1:3] = 0
    exact = minimize(loss, np.zeros(4), (blind, sign, np.zeros(4), 5.0)).x

    found = habits.chances(np.arange(20), np.zeros(20, np.int64), 1)

    assert np.abs(found - expit(sight[:20] @ exact)).max() < 0.01
    assert np.abs(expit(sight[:20] @ habits.weights) - expit(sight[:20] @ exact)).max() > 0.1


def test_where_nearly_all_have_the_phrase_lengths_are_learnt_from_all() -> None:
    sight, sign = choices(2)
    habits = Habits(sight, sign, np.arange(80), np.zeros(4))
    rows = np.arange(60)
    assert np.allclose(habits.chances(rows, np.zeros(60, np.int64), 1), expit(sight[:60] @ habits.weights))


def test_the_other_order_of_the_same_answers_is_the_negative() -> None:
    one, other = (
        features(duels(np.array([0, 0]), np.array([0, 1]), ranks), {0: Shown(lengths, places)})
        for ranks, lengths, places in (
            ([(1, 2), (2, 1)], (100, 40), (0, 1)),
            ([(2, 1), (1, 2)], (40, 100), (1, 0)),
        )
    )
    assert np.allclose(one, -other)


def test_to_whom_lengths_are_all_one_nothing_else_changes() -> None:
    assert unconcerned(np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [1, 0, 0, 4]
