"""Uncertainty: how far a model's answers to one question are apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.uncertainty import conversation, disagreement, spread

USER = {"role": "user", "content": "Why?"}
ANSWER = {"role": "assistant", "content": "Because."}


def test_the_same_answers_are_certain_and_others_are_not() -> None:
    assert spread(["four", "four", "four"]) == 0
    assert spread(["four", "five"]) == 0.75
    assert spread(["aaaa", "bbbb"]) == 1
    assert spread(["four", "four", "five"]) == pytest.approx(0.5)
    assert spread(["four"]) == spread([]) == 0


@given(texts=st.lists(st.text(max_size=20), min_size=2, max_size=5), data=st.data())
def test_the_order_changes_nothing_and_it_is_a_share(texts: list[str], data: st.DataObject) -> None:
    assert 0 <= spread(texts) <= 1
    assert spread(data.draw(st.permutations(texts))) == pytest.approx(spread(texts))


def test_what_is_asked_ends_before_the_answer() -> None:
    assert conversation({"messages": [USER]}) == [USER]
    assert conversation({"messages": [USER, ANSWER]}) == [USER]
    assert conversation({"prompt": [USER], "answers": []}) == [USER]
    assert conversation({"project": "p", "sample": "s", "content": {"messages": [USER]}, "verdicts": []}) == [USER]
    with pytest.raises(ValueError, match="no conversation"):
        conversation({"document": "d", "text": "t"})


def test_one_answer_says_nothing() -> None:
    with pytest.raises(ValueError, match="uncertainty from 1 answers; expected two or more"):
        disagreement(None, 1)  # type: ignore[arg-type]
