"""Copies of copies belong to the cluster of what was kept in the end."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.clusters import Copies, find_roots, largest_clusters, size_classes


def addresses(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def copies(*groups: int) -> Copies:
    """Clusters with so many removed copies each, of the documents 1000, 1001..."""
    root = np.repeat(np.arange(1000, 1000 + len(groups), dtype=np.uint64), groups)
    removed = np.arange(len(root), dtype=np.uint64)
    return Copies(removed, root, np.full(len(root), "near_duplicate", object), np.full(len(root), 0.9, np.float32))


def test_a_copy_of_a_copy_belongs_to_what_was_kept() -> None:
    assert find_roots(addresses(2, 3, 9), addresses(1, 2, 3)).tolist() == [1, 1, 1]


def test_no_copies_have_no_roots() -> None:
    assert find_roots(addresses(), addresses()).tolist() == []


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60))
def test_roots_are_those_of_following_every_chain(choices: list[int]) -> None:
    # Document n is a copy of some earlier document, or kept (n = 0 always is).
    kept_by = {number: choice % number for number, choice in enumerate(choices, 1) if choice % 3}
    removed = sorted(kept_by)

    def follow(number: int) -> int:
        while number in kept_by:
            number = kept_by[number]
        return number

    found = find_roots(addresses(*removed), addresses(*(kept_by[number] for number in removed)))
    assert found.tolist() == [follow(number) for number in removed]


def test_a_circle_ends() -> None:
    assert len(find_roots(addresses(1, 2), addresses(2, 1))) == 2


def test_sizes_count_the_document_that_was_kept() -> None:
    assert size_classes(copies(1, 1, 4, 9)) == (("2", 2, 2), ("5–9", 1, 4), ("10–19", 1, 9))


def test_very_large_clusters_share_a_class() -> None:
    assert size_classes(copies(150, 99)) == (("100 and more", 2, 249),)


def test_the_largest_come_first_and_equal_ones_by_address() -> None:
    assert [root for root, _, _ in largest_clusters(copies(1, 3, 3, 2))] == [1001, 1002, 1003, 1000]
