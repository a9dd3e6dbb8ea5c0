"""Values fall into the bins that their edges say, whole numbers into bins that hold them, thresholds into view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.histogram import Bins, plan_bins

numbers = st.floats(-1e6, 1e6, allow_nan=False)


def test_a_value_on_an_edge_belongs_to_the_bin_above_it() -> None:
    bins = Bins((0.0, 0.1, 0.2))
    assert bins.count(np.array([np.nextafter(0.1, 0), 0.1])).tolist() == [0, 1, 1, 0]


def test_the_last_edge_belongs_to_the_last_bin_and_what_is_above_does_not() -> None:
    bins = Bins((0.0, 0.1, 0.2))
    assert bins.count(np.array([0.2, np.nextafter(0.2, 1)])).tolist() == [0, 0, 1, 1]


def test_what_is_below_the_first_edge_is_counted_apart() -> None:
    assert Bins((0.0, 0.1, 0.2)).count(np.array([-1e-9, 0.0])).tolist() == [1, 1, 0, 0]


def test_a_missing_value_is_in_no_bin() -> None:
    assert Bins((0.0, 1.0)).count(np.array([np.nan, 0.5])).sum() == 1


@given(st.lists(numbers, max_size=50), st.lists(numbers, min_size=2, max_size=8, unique=True))
def test_counts_are_those_of_looking_at_each_value(values: list[float], edges: list[float]) -> None:
    edges.sort()
    expected = [0] * (len(edges) + 1)
    for value in values:
        if value < edges[0]:
            expected[0] += 1
        elif value > edges[-1]:
            expected[-1] += 1
        else:
            place = max(number for number, edge in enumerate(edges[:-1]) if edge <= value)
            expected[place + 1] += 1
    assert Bins(tuple(edges)).count(np.array(values)).tolist() == expected


@given(
    st.lists(numbers, min_size=1, max_size=60),
    st.sampled_from(["real", "integer"]),
    st.lists(numbers, max_size=2),
)
def test_any_values_get_rising_edges_and_at_most_60_bins(values: list[float], kind: str, marks: list[float]) -> None:
    sample = np.round(values) if kind == "integer" else np.array(values)
    bins = plan_bins(sample, kind, marks)  # type: ignore[arg-type]
    assert np.all(np.diff(bins.edges) > 0)
    assert 1 <= len(bins) <= 60
    assert bins.count(sample).sum() == len(values)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60))
def test_no_whole_number_lies_on_an_edge_and_every_bin_can_hold_one(values: list[int]) -> None:
    edges = np.array(plan_bins(np.array(values, np.float64), "integer").edges)
    assert np.all(edges % 1 == 0.5)


def test_few_whole_numbers_have_a_bar_each() -> None:
    bins = plan_bins(np.arange(8.0), "integer")
    assert bins.edges == tuple(number - 0.5 for number in range(9))


def test_no_and_yes_are_two_bars() -> None:
    assert plan_bins(np.array([0.0, 1.0, 1.0]), "boolean").count(np.array([0.0, 1.0, 1.0])).tolist() == [0, 1, 2, 0]


def test_edges_are_the_round_numbers_that_thresholds_are() -> None:
    assert {0.1, 0.2, 0.3} <= set(plan_bins(np.linspace(0, 1, 1000), "real").edges)


def test_counts_over_several_decades_get_a_logarithmic_axis() -> None:
    assert plan_bins(np.geomspace(10, 10_000, 500).round(), "integer").logarithmic
    assert not plan_bins(np.linspace(10, 100, 500).round(), "integer").logarithmic


def test_shares_stay_linear_however_small_most_are() -> None:
    assert not plan_bins(np.geomspace(0.001, 0.9, 500), "real").logarithmic


def test_values_with_many_zeros_stay_linear() -> None:
    values = np.concatenate([np.zeros(50), np.geomspace(10, 10_000, 500)])
    assert not plan_bins(values, "integer").logarithmic


def test_a_threshold_a_little_outside_is_brought_into_view() -> None:
    assert plan_bins(np.linspace(0, 0.1, 100), "real", [0.2]).edges[-1] >= 0.2


def test_a_threshold_far_outside_is_not() -> None:
    assert plan_bins(np.linspace(0, 0.1, 100), "real", [0.3]).edges[-1] < 0.3


def test_one_far_value_does_not_squeeze_the_others() -> None:
    values = np.append(np.linspace(0, 1, 1000), 1e9)
    bins = plan_bins(values, "real")
    assert bins.edges[-1] < 2
    assert bins.count(values)[-1] >= 1


@pytest.mark.parametrize("values", [[], [np.nan], [0.0], [5.0, 5.0]])
def test_nothing_or_one_value_still_makes_a_chart(values: list[float]) -> None:
    assert len(plan_bins(np.array(values), "real")) >= 1


def test_nothing_but_zeros_have_no_bins_below_zero() -> None:
    assert plan_bins(np.zeros(10), "real").edges[0] == 0


def test_a_value_next_to_nothing_does_not_stretch_the_axis() -> None:
    assert len(plan_bins(np.array([2.0, 2e-276, 2e-276]), "real")) <= 60
