"""Rates, speed and runs: what people did, whatever they meant."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from labeling.quality.rates import exact_share, mean, share
from labeling.quality.runs import longest_run
from labeling.quality.speed import fastest, floor_seconds, too_fast
from labeling.quality.walk import MARKED, characters


@given(st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_are_scipys(case: tuple[int, int]) -> None:
    successes, count = case
    if not count:
        assert math.isnan(exact_share(0, 0).value)
        return
    test = binomtest(successes, count)

    exact, wilson = exact_share(successes, count), share(successes, count)

    assert (exact.low, exact.high) == pytest.approx(tuple(test.proportion_ci(method="exact")), abs=1e-9)
    assert (wilson.low, wilson.high) == pytest.approx(tuple(test.proportion_ci(method="wilson")), abs=1e-9)


def test_nineteen_cases_are_insufficient_evidence_and_twenty_are_not() -> None:
    assert not share(19, 19).enough
    assert share(20, 20).enough


def test_a_mean_of_many_cases_is_resampled_as_if_one_by_one() -> None:
    generator = np.random.default_rng(0)
    values = generator.choice([0, 1 / 3, 1], 400)
    one_by_one = [values[generator.integers(400, size=400)].mean() for _ in range(2000)]

    found = mean(values)

    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(one_by_one, (0.025, 0.975))), abs=0.01)


def test_a_hundred_characters_a_second_can_just_be_read() -> None:
    assert not too_fast(4.0, 400)
    assert too_fast(3.9, 400)


def test_the_shortest_task_takes_a_second() -> None:
    assert too_fast(0.9, 3)
    assert not too_fast(1.0, 3)


def test_a_long_document_need_not_be_read_to_its_end() -> None:
    assert floor_seconds(3_000) == floor_seconds(90_000) == 30


def test_an_unknown_time_accuses_nobody() -> None:
    assert not too_fast(None, 10_000)


def test_one_in_twenty_is_among_the_fastest() -> None:
    seconds = np.append(np.arange(1.0, 101.0), np.nan)

    found = fastest(seconds, np.full(101, 50))

    assert np.nansum(found) == 5
    assert math.isnan(found[-1])


def test_the_longest_run_is_found() -> None:
    run = longest_run([0, 1, 1, 0, 2, 2, 2, 1], np.array([0.3, 0.4, 0.3]))

    assert (run.length, run.button, run.labels) == (3, 2, 8)


def test_a_run_of_twelve_among_eight_buttons_is_no_chance_and_of_three_is() -> None:
    chances = np.full(8, 1 / 8)

    assert longest_run([5] * 12 + [1, 2] * 40, chances).p < 1e-6
    assert longest_run([5] * 3 + [1, 2] * 40, chances).p > 0.5


def test_where_nearly_everybody_presses_one_button_long_runs_are_chance() -> None:
    assert longest_run([0] * 40 + [1], np.array([0.97, 0.03])).p > 0.2


def test_so_long_a_run_is_never_likelier_than_p() -> None:
    generator = np.random.default_rng(0)
    chances = np.array([0.5, 0.3, 0.2])
    pressed = generator.choice(3, (3000, 60), p=chances)
    runs = [longest_run(row.tolist(), chances) for row in pressed]

    for length in (7, 9, 11):
        # p of a run of the likeliest button bounds the others' too
        p = longest_run([0] * length + [1, 2] * ((60 - length) // 2) + [1] * ((60 - length) % 2), chances).p
        assert np.mean([run.length >= length for run in runs]) <= p + 0.02


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), min_size=1, max_size=6), st.integers(0, 60))
def test_of_a_held_document_each_marked_character_counts_once(spans: list[tuple[int, int]], length: int) -> None:
    findings = [{"start": start, "end": start + long} for start, long in spans]
    marked = {place for start, long in spans for place in range(start, start + long)}
    content = {"document": "d", "text": "x" * length, "findings": findings}
    assert characters(content) == len(marked & set(range(length)))


def test_a_finding_that_is_the_whole_document_counts_by_its_beginning() -> None:
    content = {"document": "d", "text": "x" * 5000, "findings": [{"start": 0, "end": 5000}]}
    assert characters(content) == characters({"project": "p", "sample": "s", "content": content}) == MARKED
    assert characters(content | {"findings": []}) == 5000
