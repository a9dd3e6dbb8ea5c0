"""Exact copies: what counts as the same text, and which of the same texts stays."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.exact import duplicates, smallest_and_others, text_keys

# Few keys and addresses, so that they meet; the first column alone must not decide.
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2**64 - 1)), max_size=30)


def arrays(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows, np.uint64).reshape(-1, 3)
    return table[:, :2], table[:, 2]


def test_a_key_is_the_digest_of_the_texts_bytes() -> None:
    digest = hashlib.blake2b("naïve 語".encode(), digest_size=16).digest()
    assert text_keys(pa.array(["other", "naïve 語"]))[1].tobytes() == digest


def test_the_same_text_has_the_same_key() -> None:
    keys = text_keys(pa.array(["a page", "another page", "a page"]))
    assert (keys[0] == keys[2]).all()
    assert (keys[0] != keys[1]).any()


def test_one_space_makes_another_text() -> None:
    keys = text_keys(pa.array(["a page", "a  page"]))
    assert (keys[0] != keys[1]).any()


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=8), st.integers(0, 8), st.sampled_from([pa.string(), pa.large_string()]))
def test_keys_are_those_of_the_texts_wherever_they_lie_in_a_buffer(
    texts: list[str], start: int, kind: pa.DataType
) -> None:
    keys = text_keys(pa.array(texts, kind).slice(start))
    expected = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts[start:])
    assert keys.shape == (len(texts[start:]), 2)
    assert keys.dtype == np.uint64
    assert keys.tobytes() == expected


def test_a_null_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        text_keys(pa.array(["text", None]))


def test_the_smallest_address_stays() -> None:
    keys, addresses = arrays([(7, 7, 30), (7, 7, 10), (7, 7, 20)])
    removed, kept = duplicates(keys, addresses)
    assert removed.tolist() == [20, 30]
    assert kept.tolist() == [10, 10]


def test_half_a_key_in_common_is_not_enough() -> None:
    keys, addresses = arrays([(7, 1, 10), (7, 2, 20), (8, 1, 30)])
    removed, _ = duplicates(keys, addresses)
    assert removed.tolist() == []


def test_a_row_that_arrives_twice_is_not_its_own_copy() -> None:
    keys, addresses = arrays([(7, 7, 10), (7, 7, 10)])
    removed, _ = duplicates(keys, addresses)
    assert removed.tolist() == []


def test_addresses_beyond_63_bits_sort_as_they_should() -> None:
    keys, addresses = arrays([(1, 1, 2**64 - 1), (1, 1, 2**63), (1, 1, 1)])
    removed, kept = duplicates(keys, addresses)
    assert removed.tolist() == [2**63, 2**64 - 1]
    assert kept.tolist() == [1, 1]


@settings(deadline=None)
@given(ROWS)
def test_duplicates_are_those_of_a_dictionary(rows: list[tuple[int, int, int]]) -> None:
    groups: dict[tuple[int, int], set[int]] = {}
    for first, second, address in rows:
        groups.setdefault((first, second), set()).add(address)
    expected = sorted((address, min(group)) for group in groups.values() for address in group - {min(group)})
    removed, kept = duplicates(*arrays(rows))
    assert sorted(zip(removed.tolist(), kept.tolist(), strict=True)) == expected
    assert removed.tolist() == sorted(removed.tolist())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), unique=True, max_size=9), st.randoms())
def test_the_order_of_the_rows_is_of_no_consequence(keys: list[tuple[int, int]], random: object) -> None:
    rows = [(first, second, 100 * copy + number) for number, (first, second) in enumerate(keys) for copy in range(3)]
    shuffled = rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for found, again in zip(duplicates(*arrays(rows)), duplicates(*arrays(shuffled)), strict=True):
        np.testing.assert_array_equal(found, again)


def test_keys_of_one_column_group_too() -> None:
    smallest, others = smallest_and_others(np.array([5, 6, 5], np.uint64), np.array([9, 1, 3], np.uint64))
    assert (smallest.tolist(), others.tolist()) == ([3], [9])


def test_keys_without_their_addresses_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 keys for 3 addresses"):
        duplicates(np.zeros((2, 2), np.uint64), np.zeros(3, np.uint64))
