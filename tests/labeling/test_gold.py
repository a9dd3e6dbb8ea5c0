"""Gold questions are evenly among the others, in the share that was asked for, at places nobody can guess."""

import json
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.gold import Mixer
from labeling.kinds import KINDS
from labeling.kinds.kind import Sample
from labeling.rows import Rejected
from labeling.sources import read_samples


def mixer(gold: int, rate: float, seed: int = 1) -> Mixer[str]:
    return Mixer([f"gold {number}" for number in range(gold)], rate, random.Random(seed))


def others(count: int) -> list[str]:
    return [f"other {number}" for number in range(count)]


@given(
    sizes=st.lists(st.integers(0, 60), max_size=12),
    rate=st.sampled_from([0.0, 0.01, 0.05, 0.1, 1 / 3, 0.5]),
    gold=st.integers(0, 40),
    seed=st.integers(0, 1000),
)
def test_nothing_is_lost_doubled_or_moved_and_the_share_is_right(
    sizes: list[int], rate: float, gold: int, seed: int
) -> None:
    mixing = mixer(gold, rate, seed)
    mixed: list[str] = []
    start = 0
    for size in sizes:
        mixed += mixing.mix(others(sum(sizes))[start : start + size])
        start += size
    assert [item for item in mixed if item.startswith("other")] == others(start)
    used = [item for item in mixed if item.startswith("gold")]
    assert sorted(used + mixing.left) == sorted(f"gold {number}" for number in range(gold))
    wanted = len(used) + mixing.short
    assert wanted == 0 if not rate else abs(wanted - start * rate / (1 - rate)) <= 1
    assert mixing.short == 0 or not mixing.left


@given(seed=st.integers(0, 1000), batch=st.sampled_from([1, 7, 100, 500]))
def test_between_two_gold_questions_there_are_never_more_than_two_stretches(seed: int, batch: int) -> None:
    mixing, mixed = mixer(100, 0.1, seed), []
    for start in range(0, 500, batch):
        mixed += mixing.mix(others(500)[start : start + batch])
    places = [place for place, item in enumerate(mixed) if item.startswith("gold")]
    assert len(places) in (55, 56)
    assert max(after - before for before, after in pairwise(places)) <= 3 * 9 + 1


def test_a_gold_question_may_stand_anywhere() -> None:
    mixed = [mixer(1, 0.1, seed).mix(others(9)) for seed in range(2000)]
    places = Counter(each.index("gold 0") for each in mixed if "gold 0" in each)
    assert set(places) == set(range(10))
    assert max(places.values()) < 2 * min(places.values())


def test_which_gold_comes_first_differs_too() -> None:
    assert len({mixer(20, 0.5, seed).mix(others(1))[0] for seed in range(50)} - {"other 0"}) > 10


@pytest.mark.parametrize("rate", [-0.1, 0.51, 5.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate of gold questions .*expected 0 to 0.5"):
        mixer(1, rate)


def test_gold_can_be_added_later() -> None:
    mixing = mixer(0, 0.5)
    mixing.add(["late"])
    assert sorted(mixing.mix(others(3))) == ["late", *others(3)]


@pytest.mark.parametrize("of_gold", [True, False])
def test_a_right_answer_word_for_word_is_refused_with_its_row_and_what_to_do(of_gold: bool, tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    rows = [{"messages": "Why?"}, {"messages": "Why is the sky blue?", "gold": {"answer": "Air scatters blue light."}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    found = list(read_samples(path, KINDS["demonstrations"], gold=of_gold))

    told = found[-1]
    assert isinstance(told, Rejected)
    assert str(told.place) == f"{path}:2"
    assert "gold is given" in told.reason
    assert "leave it out, or ask a gold question with choices" in told.reason
    assert isinstance(found[0], Rejected if of_gold else Sample)  # in a file of gold each row has to have it
