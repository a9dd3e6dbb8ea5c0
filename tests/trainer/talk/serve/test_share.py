"""Which conversations fall to a canary: a share of them, by how they begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.talk.serve.share import falls, opening

TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=8)), max_size=4)


@given(st.text(max_size=9), TURNS)
def test_what_comes_after_the_first_question_changes_nothing(question: str, after: list[tuple[str, str]]) -> None:
    began = [("system", "be kind"), ("user", question)]
    assert opening(began) == opening([*began, *after])


def test_another_system_prompt_or_another_question_is_another_conversation() -> None:
    openings = {opening([("system", system), ("user", user)]) for system in "ab" for user in "cd"}
    assert len(openings) == 4


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_share_falls_to_the_canary(share: float) -> None:
    count = sum(falls(opening([("user", str(number))]), "c0" * 32, share) for number in range(10_000))
    assert abs(count - 10_000 * share) < 5 * (10_000 * share * (1 - share)) ** 0.5


def test_a_larger_share_keeps_the_conversations_of_a_smaller_one() -> None:
    openings = [opening([("user", str(number))]) for number in range(200)]
    few = {one for one in openings if falls(one, "c", 0.1)}
    assert few < {one for one in openings if falls(one, "c", 0.5)}


def test_the_next_canary_draws_anew() -> None:
    openings = [opening([("user", str(number))]) for number in range(1000)]
    both = sum(falls(one, "a", 0.5) and falls(one, "b", 0.5) for one in openings)
    assert 200 < both < 300
