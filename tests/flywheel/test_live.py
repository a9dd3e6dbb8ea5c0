"""Who answers people now, by the rows of promotions."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.live import Live, fold, pointer
from flywheel.tables import Promotion
from tests.flywheel.rows import promotion


def rows(told: str) -> list[Promotion]:
    """ "pA cB r": A is promoted, B a canary, and that is rolled back."""
    actions = {"p": "promote", "c": "canary", "r": "rollback"}
    return [promotion(number, word[1:] or "-", None, actions[word[0]]) for number, word in enumerate(told.split(), 1)]


def who(found: Live) -> tuple[str | None, str | None, str | None]:
    """The current checkpoint, the one before, and the canary."""
    rows = (found.current, found.before, found.canary)
    current, before, canary = (None if row is None else row.checkpoint_id for row in rows)
    return current, before, canary


@pytest.mark.parametrize(
    ("told", "current", "before", "canary"),
    [
        ("", None, None, None),
        ("pA", "A", None, None),
        ("pA pB", "B", "A", None),
        ("pA pB r", "A", None, None),
        ("pA pB pC r r", "A", None, None),
        ("pA pB r pC", "C", "A", None),
        ("pA cB", "A", None, "B"),
        ("pA cB r", "A", None, None),
        ("pA cB pB", "B", "A", None),
        ("pA cB pB r", "A", None, None),
        ("pA cB pC", "C", "A", None),
        ("pA pB cC r r", "A", None, None),
        ("pA pB cC r pD r", "B", "A", None),
    ],
)
def test_the_rows_tell_who_answers(told: str, current: str | None, before: str | None, canary: str | None) -> None:
    assert who(fold(rows(told))) == (current, before, canary)


def test_a_rollback_is_since_when_the_one_before_answers_and_the_end_of_a_canary_is_not() -> None:
    back, ended = fold(rows("pA pB r")), fold(rows("pA cB r"))
    assert (back.since and back.since.id, ended.since and ended.since.id) == (3, 1)
    assert (set(back.undone), set(ended.undone)) == ({2}, {2})


def test_the_pointer_has_the_number_of_the_last_row_and_the_canary_with_its_share() -> None:
    tried = rows("pA cB")
    tried[1].share = 0.25
    found = pointer(fold(tried), Path("loop"))
    assert found is not None
    assert (found.id, found.promotion, found.canary and (found.canary.id, found.canary.share)) == ("A", 2, ("B", 0.25))
    assert pointer(fold([]), Path("loop")) is None


def by_hand(told: Sequence[str]) -> tuple[list[str], str | None]:
    """What stands, the topmost last, and the canary: the rule once more, as simply as it can be said."""
    if not told:
        return [], None
    stack, canary = by_hand(told[:-1])
    match told[-1][0]:
        case "p":
            return [*stack, told[-1][1:]], None
        case "c":
            return stack, told[-1][1:]
        case _:
            return (stack, None) if canary else (stack[:-1], None)


@given(st.lists(st.sampled_from(["pA", "pB", "pC", "cA", "cB", "r"]), max_size=12))
def test_any_history_is_read_as_by_hand(told: list[str]) -> None:
    stack, canary = by_hand(told)
    expected = (stack[-1] if stack else None, stack[-2] if len(stack) > 1 else None, canary)
    assert who(fold(rows(" ".join(told)))) == expected


@pytest.mark.parametrize(
    ("told", "numbers"),
    [
        ("pA cB", [2]),
        ("pA cB cB", [2, 3]),
        ("pA cB cC", [3]),
        ("pA cB r cB", [4]),
        ("pA cB cB r", []),
        ("pA cB pB", []),
    ],
)
def test_a_canary_s_rows_are_those_of_its_checkpoint_since_it_came(told: str, numbers: list[int]) -> None:
    assert [row.id for row in fold(rows(told)).tried] == numbers


def test_a_canary_with_another_share_is_another() -> None:
    twice = rows("pA cB cB")
    twice[1].share, twice[2].share = 0.1, 0.2
    assert [row.id for row in fold(twice).tried] == [3]
