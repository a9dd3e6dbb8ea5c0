"""Splits cover every record once, begin where reading can begin, and are even."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.plan import LARGEST_SPLIT, SMALLEST_SPLIT, Split, number_files, plan_splits, split_bytes


def plan(offsets: list[int], seekable: list[bool], target: int) -> list[Split]:
    rows = np.arange(len(offsets))
    return plan_splits(rows, np.array(offsets), np.array(seekable, bool), len(offsets), target)


def test_an_empty_archive_has_no_splits() -> None:
    assert plan([], [], 10) == []


def test_a_split_begins_once_the_target_is_reached() -> None:
    assert plan([0, 5, 10, 15], [True] * 4, 10) == [Split(0, 2, 0), Split(2, 4, 10)]


def test_a_split_is_not_cut_below_the_target() -> None:
    assert plan([0, 5, 9], [True] * 3, 10) == [Split(0, 3, 0)]


def test_an_archive_in_one_gzip_member_is_one_split() -> None:
    assert plan([0, 50, 100], [False] * 3, 10) == [Split(0, 3, 0)]


def test_rows_that_can_not_be_read_belong_to_the_split_before() -> None:
    rows, offsets = np.array([0, 3]), np.array([0, 40])
    assert plan_splits(rows, offsets, np.array([True, True]), 5, 10) == [Split(0, 3, 0), Split(3, 5, 40)]


@given(st.lists(st.tuples(st.integers(1, 100), st.booleans()), min_size=1), st.integers(1, 300))
def test_every_row_is_in_exactly_one_split(records: list[tuple[int, bool]], target: int) -> None:
    offsets = np.cumsum([0] + [length for length, _ in records])[:-1].tolist()
    seekable = [can_seek for _, can_seek in records]
    splits = plan(offsets, seekable, target)
    assert [row for split in splits for row in range(split.first, split.stop)] == list(range(len(records)))
    assert all(seekable[split.first] and split.offset == offsets[split.first] for split in splits[1:])


def test_split_sizes_stay_in_their_bounds() -> None:
    assert split_bytes(0) == SMALLEST_SPLIT
    assert split_bytes(10**15) == LARGEST_SPLIT


def test_files_are_numbered_by_content_whatever_their_order() -> None:
    files = [("bb", "x.warc"), ("aa", "y.warc"), ("aa", "a.warc")]
    assert number_files(files) == number_files(files[::-1]) == {"a.warc": 0, "y.warc": 1, "x.warc": 2}
