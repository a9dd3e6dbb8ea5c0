import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.measure.agreement import (
    annotators_agreement,
    calibration,
    correlation,
    mcnemar,
    paired_difference,
    preference_calibration,
    rate,
    verdicts,
    wilson,
)
from trainer.records import Ranking
from trainer.records.kinds import ranking
from trainer.talk.conversation import Message

SHARES = st.floats(0, 1, allow_subnormal=False)


def judged(better: str, worse: str, question: str = "Why?") -> Ranking:
    answers = [[Message("assistant", text)] for text in (better, worse)]
    return ranking([Message("user", question)], answers, (1, 2))


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


@given(st.lists(st.sampled_from((0.0, 0.5, 1.0)), min_size=1))
def test_an_interval_holds_its_rate_and_stays_a_share(outcomes: list[float]) -> None:
    found = rate(outcomes)
    assert found.count == len(outcomes)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_no_cases_say_nothing() -> None:
    found = rate([])
    assert (found.count, found.low, found.high, str(found)) == (0, 0, 1, "no cases")


def test_equal_scores_are_half_right() -> None:
    assert verdicts([2.0, 1.0, 1.0], [1.0, 2.0, 1.0]).tolist() == [1, 0, 0.5]


@given(st.lists(st.tuples(SHARES, st.booleans()), min_size=1, max_size=40), st.integers(1, 12))
def test_calibration_is_what_counting_bin_by_bin_gives(cases: list[tuple[float, bool]], bins: int) -> None:
    found = calibration([p for p, _ in cases], [float(true) for _, true in cases], bins)
    distance = 0.0
    for number in range(bins):
        last = number == bins - 1
        here = [(p, true) for p, true in cases if int(p * bins) == number or (last and int(p * bins) >= bins)]
        if here:
            predicted = sum(p for p, _ in here) / len(here)
            observed = sum(true for _, true in here) / len(here)
            distance += len(here) / len(cases) * abs(predicted - observed)
    assert found.ece == pytest.approx(distance, abs=1e-9)
    assert found.brier == pytest.approx(sum((p - true) ** 2 for p, true in cases) / len(cases), abs=1e-9)
    assert sum(part.count for part in found.bins) == len(cases)


def test_a_model_that_is_as_sure_as_it_is_right_is_calibrated() -> None:
    sure = math.log(3)  # sigmoid 3/4
    assert preference_calibration([sure] * 75 + [-sure] * 25).ece == pytest.approx(0)
    assert preference_calibration([sure] * 100).ece == pytest.approx(0.25)
    assert preference_calibration([0.0] * 10).brier == pytest.approx(0.25)
    assert preference_calibration([1e6, 1e6]).brier == pytest.approx(0)


@given(st.integers(0, 6), st.integers(0, 6))
def test_mcnemars_p_is_the_share_of_the_ways_coins_can_fall_as_unevenly(first: int, second: int) -> None:
    heads = [way.bit_count() for way in range(2 ** (first + second))]
    uneven = [abs(2 * number - first - second) >= abs(first - second) for number in heads]
    assert mcnemar(first, second) == pytest.approx(sum(uneven) / len(uneven))


def test_a_judge_who_is_right_more_often_is_better_by_the_difference() -> None:
    draw = np.random.default_rng(0)
    first, second = (draw.random(1000) < 0.7).astype(float), (draw.random(1000) < 0.5).astype(float)
    found = paired_difference(first, second, list(range(1000)))
    assert found.value == pytest.approx(first.mean() - second.mean())
    half = 1.96 * (first - second).std() / math.sqrt(1000)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.005)
    assert found.p < 1e-6


def test_the_same_judge_twice_differs_by_nothing() -> None:
    found = paired_difference([1, 0, 1], [1, 0, 1], "abc")
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_pairs_of_one_prompt_count_together() -> None:
    first, second = [1.0, 0.0] * 50, [0.0, 1.0] * 50  # by pairs as likely better as worse, by prompts always equal
    alone = paired_difference(first, second, list(range(100)), draws=500)
    together = paired_difference(first, second, [number // 2 for number in range(100)], draws=500)
    assert alone.high - alone.low > 0.2
    assert together.low == together.high == 0


def test_people_agree_as_often_as_two_of_them_say_the_same() -> None:
    same, other = judged("good", "bad"), judged("bad", "good")
    assert annotators_agreement([(same, 2)]).value == 1
    assert annotators_agreement([(same, 1), (other, 1)]).value == 0
    assert annotators_agreement([(same, 2), (other, 1)]).value == pytest.approx(1 / 3)  # one of three pairs of people
    assert annotators_agreement([(same, 1), (judged("good", "bad", "What?"), 1)]).count == 0


@given(st.lists(st.integers(0, 1), min_size=2, max_size=7))
def test_agreement_is_that_of_all_pairs_of_people(votes: list[int]) -> None:
    pairs = list(itertools.combinations(votes, 2))
    expected = sum(a == b for a, b in pairs) / len(pairs)
    given_ = [(judged("good", "bad") if vote else judged("bad", "good"), 1) for vote in votes]
    assert annotators_agreement(given_, draws=2).value == pytest.approx(expected)


def test_what_does_not_vary_is_correlated_with_nothing() -> None:
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert math.isnan(correlation([1, 1, 1], [1, 2, 3]))
