import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.measure.best_of import Drawn, any_right, by_reward, curve, groups, interval, majority
from trainer.measure.verify import Choice, Exact, Json, Number


@st.composite
def prompts(draw: st.DrawFn) -> Drawn:
    """Up to 7 answers of up to 3 kinds, some without an end; the kind decides whether one is right."""
    count = draw(st.integers(1, 7))
    group = draw(st.lists(st.integers(-1, 2), min_size=count, max_size=count))
    right_kinds = draw(st.sets(st.integers(0, 2)))
    ranks = draw(st.permutations(range(count)))
    likely = draw(st.permutations(range(count)))
    return Drawn(
        right=np.array([kind in right_kinds for kind in group]),
        group=np.array(group),
        logprob=-1.0 - np.array(likely),
        tokens=np.full(count, 5),
        reward=np.array(ranks, float),
    )


def subsets(one: Drawn, number: int) -> list[tuple[int, ...]]:
    return list(itertools.combinations(range(len(one.right)), number))


@given(prompts(), st.data())
def test_best_of_n_is_the_mean_over_all_subsets(one: Drawn, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, len(one.right)))
    chosen = subsets(one, number)
    assert any_right(one, number) == pytest.approx(np.mean([one.right[list(some)].any() for some in chosen]))
    assert one.reward is not None
    best = [max(some, key=lambda place: one.reward[place]) for some in chosen]  # type: ignore[index]
    assert by_reward(one, number) == pytest.approx(np.mean([one.right[place] for place in best]))


@given(prompts(), st.data())
def test_the_majority_comes_near_the_mean_over_all_subsets(one: Drawn, data: st.DataObject) -> None:
    number = data.draw(
        st.integers(2, 7).filter(lambda number: number <= len(one.right)) if len(one.right) > 1 else st.just(1)
    )
    expected = np.mean([_majority(one, some) for some in subsets(one, number)])
    found = majority(one, number, np.random.default_rng(0))
    whole = number in (1, len(one.right))
    assert found == pytest.approx(expected, abs=1e-9 if whole else 0.16)  # 5 standard errors


def _majority(one: Drawn, some: tuple[int, ...]) -> bool:
    if len(some) == 1:
        return bool(one.right[some[0]])
    votes = Counter(one.group[place] for place in some if one.group[place] >= 0)
    if not votes:
        return False
    kind = max(votes, key=lambda kind: (votes[kind], max(one.logprob[p] for p in some if one.group[p] == kind)))
    return any(one.right[place] for place in some if one.group[place] == kind)


def drawn(right: list[bool], group: list[int], logprob: list[float]) -> Drawn:
    return Drawn(np.array(right), np.array(group), np.array(logprob), np.array([4] * len(right)))


def test_two_votes_win_over_one() -> None:
    one = drawn([True, True, False], [0, 0, 1], [-9.0, -9.0, -0.1])
    assert majority(one, 3, np.random.default_rng(0)) == 1


def test_of_equally_common_answers_the_likeliest_wins() -> None:
    one = drawn([True, False], [0, 1], [-0.2, -0.1])
    assert majority(one, 2, np.random.default_rng(0)) == 0


def test_where_no_answer_came_to_an_end_none_is_right() -> None:
    assert majority(drawn([False, False], [-1, -1], [-1.0, -1.0]), 2, np.random.default_rng(0)) == 0


@pytest.mark.parametrize(
    ("verifier", "texts", "expected"),
    [
        (Number(), ["It is 1,000.", "no idea", "1000", "7", "no idea"], [0, 1, 0, 2, 1]),
        (Exact(), ["Paris", " paris", "Rome"], [0, 0, 1]),
        (Choice(), ["B", "the answer is B", "A"], [0, 0, 1]),
        (Json(), ["{}", "[]", "{}"], [0, 1, 0]),
    ],
)
def test_answers_that_come_to_the_same_are_one_vote(
    verifier: Exact | Number | Choice | Json, texts: list[str], expected: list[int]
) -> None:
    assert groups(texts, verifier) == expected


def test_a_curve_goes_by_powers_of_two_up_to_all() -> None:
    some = [drawn([True] * 3 + [False] * 3, [0, 0, 0, 1, 2, 3], [-1.0] * 6) for _ in range(10)]
    points = curve(some, "verify")
    assert [point.samples for point in points] == [1, 2, 4, 6]
    assert [point.tokens for point in points] == [4, 8, 16, 24]
    assert [point.accuracy for point in points] == pytest.approx([0.5, 0.8, 1, 1])
    assert curve(some, "majority", 3) == curve(some, "majority", 3)


def test_an_interval_of_prompts_that_are_all_alike_is_no_point() -> None:
    low, high = interval(np.ones(20))
    assert (0.8 < low < 0.9, high) == (True, 1.0)
    low, high = interval(np.array([0.0, 1.0] * 50))
    assert 0.38 < low < 0.42 < 0.58 < high < 0.62
