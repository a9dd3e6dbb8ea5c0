"""Axes put round labels on the values that they show, and what lies beyond at their ends."""

import pytest

from pipeline.report.axes import Axis


def test_values_beyond_the_ends_stand_at_the_ends() -> None:
    axis = Axis(0, 10, 100, 200)
    assert [axis.at(value) for value in (-5, 0, 5, 10, 99)] == [100, 100, 150, 200, 200]


def test_heights_run_backwards() -> None:
    assert Axis(0, 10, 100, 0).at(2.5) == 75


def test_decades_are_equally_wide_on_a_logarithmic_axis() -> None:
    axis = Axis(1, 1000, 0, 300, logarithmic=True)
    assert axis.at(10) == pytest.approx(100)
    assert axis.at(100) == pytest.approx(200)


def test_labels_are_round_and_within_the_axis() -> None:
    assert [text for _, text in Axis(0.03, 0.52, 0, 1).ticks(5)] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    assert [text for _, text in Axis(3, 4000, 0, 1, True).ticks(5)] == ["3", "10", "30", "100", "300", "1,000", "3,000"]


def test_whole_numbers_get_no_fractions() -> None:
    assert [text for _, text in Axis(-0.5, 2.5, 0, 1).ticks(5, "integer")] == ["0", "1", "2"]


def test_less_than_a_decade_gets_labels_too() -> None:
    assert len(Axis(2.1, 9.8, 0, 1, True).ticks(5)) >= 4
