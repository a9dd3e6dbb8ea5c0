import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kendalltau

from labeling.quality.agreement import kendall, kendall_within, pairwise


def test_two_of_three_agree_in_one_pair_of_three() -> None:
    assert pairwise([7, 7, 7], [1, 1, 2]).value == pytest.approx(1 / 3)


def test_one_label_for_each_sample_is_not_measurable() -> None:
    found = pairwise([1, 2, 3], [0, 0, 0])

    assert found.count == 0
    assert math.isnan(found.value)
    assert str(found) == "no cases"


def test_perfect_agreement_in_four_samples_is_not_certain() -> None:
    found = pairwise([1, 1, 2, 2, 3, 3, 4, 4], [0, 0, 1, 1, 0, 0, 1, 1])

    assert found.value == 1
    assert found.low < 0.6
    assert "insufficient evidence" in str(found)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30))
def test_agreement_is_what_counting_pairs_gives(labels: list[tuple[int, int]]) -> None:
    shares = []
    for unit in {unit for unit, _ in labels}:
        pairs = list(combinations([value for one, value in labels if one == unit], 2))
        shares += [sum(a == b for a, b in pairs) / len(pairs)] if pairs else []

    found = pairwise([unit for unit, _ in labels], [value for _, value in labels])

    assert found.count == len(shares)
    if shares:
        assert found.value == pytest.approx(sum(shares) / len(shares))


def test_a_missing_value_is_no_label() -> None:
    assert pairwise([1, 1, 2, 2], [0, 0, 1, math.nan]).count == 1


@given(st.integers(2, 9).flatmap(lambda size: st.tuples(*[st.permutations(range(1, size + 1))] * 2)))
def test_tau_is_scipys(rankings: tuple[list[int], list[int]]) -> None:
    a, b = rankings

    assert kendall([a], [b])[0] == pytest.approx(kendalltau(a, b).statistic)


def test_taus_of_samples_count_alike_however_many_people_ranked_them() -> None:
    same, opposite = (1, 2, 3), (3, 2, 1)
    units = [0, 0, 0, 1, 1, 2]

    found = kendall_within(units, [same, same, same, same, opposite, same])

    assert found.count == 2
    assert found.value == pytest.approx((1 - 1) / 2)


@pytest.mark.parametrize(("second", "tau"), [((1, 2, 3), 1.0), ((3, 2, 1), -1.0), ((1, 3, 2), 1 / 3)])
def test_where_all_taus_are_equal_the_interval_is_that_of_the_share_of_pairs(
    second: tuple[int, ...], tau: float
) -> None:
    found = kendall_within([unit for unit in range(30) for _ in "ab"], [(1, 2, 3), second] * 30)
    wilson = binomtest(round(30 * (tau + 1) / 2), 30).proportion_ci(method="wilson")

    assert found.value == pytest.approx(tau)
    assert (found.low, found.high) == pytest.approx((2 * wilson.low - 1, 2 * wilson.high - 1))


def test_the_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        same = generator.random(150) < 0.73
        values = np.stack([np.zeros(150), 1 - same], axis=1).ravel()
        found = pairwise(np.repeat(np.arange(150), 2), values)
        inside += found.low <= 0.73 <= found.high

    assert 180 <= inside <= 198
