"""Keys are dealt so that equal ones meet, and deletions find their file."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.document import pack_address
from pipeline.shuffle import PARTITIONS, by_file, merge, scatter
from pipeline.step import Deletions


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_every_key_arrives_once_and_equal_keys_meet(values: list[int]) -> None:
    keys = np.array([*values, *values], np.uint64)
    addresses = np.arange(len(keys), dtype=np.uint64)
    homes: dict[int, set[int]] = {}
    arrived = []
    for partition, (some_keys, some_addresses) in scatter(keys, addresses):
        assert 0 <= partition < PARTITIONS
        for key, address in zip(some_keys.tolist(), some_addresses.tolist(), strict=True):
            assert keys[address] == key
            homes.setdefault(key, set()).add(partition)
            arrived.append(address)
    assert sorted(arrived) == addresses.tolist()
    assert all(len(home) == 1 for home in homes.values())


def deletions(*addresses: int) -> Deletions:
    removed = np.array(addresses, np.uint64)
    return Deletions(removed, removed, np.ones(len(removed), np.float32), np.ones(len(removed), np.bool_))


def test_deletions_are_grouped_by_file() -> None:
    found = dict(by_file(deletions(pack_address(0, 7), pack_address(2, 0), pack_address(2, 9))))
    assert {number: group.removed.tolist() for number, group in found.items()} == {
        0: [pack_address(0, 7)],
        2: [pack_address(2, 0), pack_address(2, 9)],
    }


def test_no_deletions_are_no_groups() -> None:
    assert list(by_file(Deletions())) == []


def test_merged_deletions_are_sorted() -> None:
    assert merge([deletions(5, 9), deletions(1), Deletions()]).removed.tolist() == [1, 5, 9]


def test_between_takes_the_low_end_and_leaves_the_high() -> None:
    assert deletions(1, 5, 9).between(5, 9).removed.tolist() == [5]
