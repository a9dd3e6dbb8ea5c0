"""Where pulls stand, written and read; and from when until when a project is taken to have been otherwise than made."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from labeling.cursor import Cursor

START = datetime(2026, 3, 1, tzinfo=UTC)
EVERY = timedelta(minutes=10)
PART = "interface"


def looks(found: list[bool]) -> Cursor:
    """After a look every ten minutes, each by a pull, of which these found the part changed."""
    cursor = Cursor()
    for number, differs in enumerate(found):
        now = START + number * EVERY
        cursor = replace(cursor.noticing([PART] if differs else [], now), looked=now)
    return cursor


def test_a_cursor_is_read_as_it_was_written() -> None:
    cursor = replace(looks([False, True, False, True]), since=START, began=START, clock=None, after=7, full=True)
    assert len(cursor.differed[PART]) == 2
    assert Cursor.load(cursor.dump()) == cursor
    assert Cursor.load(None) == Cursor()


def test_a_cursor_of_an_earlier_version_has_seen_nothing_changed() -> None:
    text = json.dumps({"since": START.isoformat(), "began": None, "clock": None, "after": 3, "full": False})
    cursor = Cursor.load(text)
    assert cursor == Cursor(since=START, after=3)
    assert cursor.noticing([PART], START + EVERY).differed == {PART: ((START, None),)}


def test_a_change_lasts_from_the_look_before_it_until_the_second_after_the_one_behind_it() -> None:
    cursor = looks([False, True, True, False])
    assert cursor.differed == {PART: ((START, START + 3 * EVERY + timedelta(seconds=1)),)}


def test_a_part_that_changes_is_no_change_of_another() -> None:
    cursor = Cursor(looked=START).noticing(["instructions"], START + EVERY)
    assert cursor.otherwise("instructions", START)
    assert not cursor.otherwise(PART, START)


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_a_moment_counts_where_both_looks_around_it_found_all_as_it_was(found: list[bool]) -> None:
    cursor = looks(found)
    between = zip([found[0], *found], [*found, found[-1]], strict=True)
    for gap, (before, behind) in enumerate(between):
        assert cursor.otherwise(PART, START + (gap - 0.5) * EVERY) == (before or behind)
