"""From meetings in bands to deletions: what hangs together, and what of it goes."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.clusters import VERIFIED, Verdicts, components, edges, verify
from pipeline.dedup.minhash import Signer, band_keys
from pipeline.dedup.shingles import Shingles, shingle

MEETINGS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([1, 2, 3, 50, 2**40, 2**63, 2**64 - 1])), max_size=25)
EDGES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda edge: edge[0] < edge[1]), max_size=20)
SETS = st.lists(st.sets(st.integers(0, 9), max_size=8), max_size=VERIFIED + 1)


def meetings(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows, np.uint64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def as_edges(rows: list[tuple[int, int]]) -> np.ndarray:
    return np.array(rows, np.uint64).reshape(-1, 2)


def decide(sets: list[set[int]], similarity: float) -> Verdicts:
    """`verify` for sets of small numbers, at addresses 100, 101, ..."""
    rows = [np.array(sorted(values), np.uint32) for values in sets]
    shingles = Shingles(np.concatenate([np.empty(0, np.uint32), *rows]), np.cumsum([0, *map(len, rows)]))
    addresses = np.arange(100, 100 + len(sets), dtype=np.uint64)
    return verify(addresses, shingles, Signer(14, 8).sign(shingles), similarity)


def decide_slowly(sets: list[set[int]], similarity: float) -> list[tuple[int, int, float]]:
    """(removed, kept, similarity), comparing every member with every kept one."""
    kept: list[int] = []
    verdicts = []
    for member, own in enumerate(sets):
        ranked = [(len(own & sets[twin]) / max(len(own | sets[twin]), 1), -twin) for twin in kept]
        best, twin = max(ranked, default=(-1.0, 0))
        if best >= similarity:
            verdicts.append((100 + member, 100 - twin, best))
        else:
            kept.append(member)
    return verdicts


def as_rows(verdicts: Verdicts) -> list[tuple[int, int, float]]:
    return list(zip(verdicts.removed.tolist(), verdicts.kept.tolist(), verdicts.similarity.tolist(), strict=True))


def test_a_meeting_is_a_star_around_the_smallest_address() -> None:
    assert edges(*meetings([(7, 30), (7, 10), (7, 20)])).tolist() == [[10, 20], [10, 30]]


def test_two_who_meet_twice_share_one_edge() -> None:
    assert edges(*meetings([(7, 1), (7, 2), (8, 2), (8, 1)])).tolist() == [[1, 2]]


def test_nobody_meets_themselves() -> None:
    assert edges(*meetings([(7, 1), (7, 1), (8, 2)])).tolist() == []


@settings(deadline=None)
@given(MEETINGS, st.randoms())
def test_edges_are_those_of_a_dictionary_in_any_order(rows: list[tuple[int, int]], random: object) -> None:
    groups: dict[int, set[int]] = {}
    for key, address in rows:
        groups.setdefault(key, set()).add(address)
    expected = sorted({(min(group), other) for group in groups.values() for other in group - {min(group)}})
    shuffled = rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = edges(*meetings(shuffled))
    assert found.dtype == np.uint64
    assert [tuple(edge) for edge in found.tolist()] == expected


def test_a_component_is_known_by_its_smallest_address() -> None:
    addresses, roots = components(as_edges([(4, 9), (2, 9), (5, 6)]))
    assert dict(zip(addresses.tolist(), roots.tolist(), strict=True)) == {2: 2, 4: 2, 9: 2, 5: 5, 6: 5}


def test_no_edges_have_no_components() -> None:
    addresses, roots = components(as_edges([]))
    assert (addresses.tolist(), roots.tolist()) == ([], [])


def test_addresses_of_64_bits_survive() -> None:
    addresses, roots = components(as_edges([(2**63, 2**64 - 1)]))
    assert addresses.tolist() == [2**63, 2**64 - 1]
    assert roots.tolist() == [2**63, 2**63]


@settings(deadline=None)
@given(EDGES, st.randoms())
def test_components_are_those_of_union_find_in_any_order(rows: list[tuple[int, int]], random: object) -> None:
    parent = {address: address for edge in rows for address in edge}

    def root(address: int) -> int:
        while parent[address] != address:
            address = parent[address]
        return address

    for left, right in rows:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    shuffled = rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    addresses, roots = components(as_edges(shuffled))
    assert list(zip(addresses.tolist(), roots.tolist(), strict=True)) == [
        (address, root(address)) for address in sorted(parent)
    ]


@settings(deadline=None)
@given(MEETINGS, st.integers(2, 4))
def test_components_do_not_depend_on_how_keys_are_partitioned(rows: list[tuple[int, int]], partitions: int) -> None:
    whole = components(edges(*meetings(rows)))
    parts = [edges(*meetings([row for row in rows if row[0] % partitions == part])) for part in range(partitions)]
    for expected, found in zip(whole, components(np.concatenate(parts)), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_a_copy_at_exactly_the_similarity_goes() -> None:
    assert as_rows(decide([{1, 2, 3, 4, 5}, {1, 2, 3, 4}], 0.8)) == [(101, 100, pytest.approx(0.8))]


def test_a_copy_just_below_it_stays() -> None:
    assert as_rows(decide([set(range(1, 20)), set(range(1, 20)) - {1, 2, 3, 4}], 0.8)) == []  # 15 / 19 = 0.789


@pytest.mark.parametrize(("common", "union"), [(7, 10), (3, 5), (1, 3), (2, 3), (19, 20), (57, 60)])
def test_rounding_does_not_move_the_threshold(common: int, union: int) -> None:
    sets = [set(range(union)), set(range(common))]
    assert decide(sets, common / union).removed.tolist() == [101]
    assert decide(sets, math.nextafter(common / union, 1)).removed.tolist() == []


def test_likeness_is_not_passed_on() -> None:
    """A is like B and B like C, but C is not like A: C stays, though its only twin went."""
    chain = [set(range(0, 10)), set(range(1, 11)), set(range(2, 12))]
    assert as_rows(decide(chain, 0.8)) == [(101, 100, pytest.approx(9 / 11))]


def test_the_most_similar_of_the_kept_is_named() -> None:
    sets = [set(range(10)), set(range(3, 13)), set(range(3, 12))]
    assert as_rows(decide(sets, 0.5)) == [(101, 100, pytest.approx(7 / 13)), (102, 100, pytest.approx(7 / 12))]
    assert as_rows(decide(sets, 0.55)) == [(102, 101, pytest.approx(0.9))]


def test_of_equally_similar_ones_the_smallest_address_is_named() -> None:
    sets = [{1, 2, 3, 4, 5, 6}, {5, 6, 7, 8, 9, 10}, {3, 4, 5, 6, 7, 8}]
    assert as_rows(decide(sets, 0.5)) == [(102, 100, pytest.approx(0.5))]


def test_documents_without_shingles_are_alike_to_nothing() -> None:
    assert as_rows(decide([set(), set(), {1}], 0.1)) == []


@settings(deadline=None)
@given(SETS, st.sampled_from([0.1, 0.2, 1 / 3, 0.5, 0.6, 0.75, 0.8, 1.0]))
def test_a_small_component_is_decided_as_if_all_were_compared(sets: list[set[int]], similarity: float) -> None:
    expected = [
        (removed, kept, pytest.approx(closeness)) for removed, kept, closeness in decide_slowly(sets, similarity)
    ]
    assert as_rows(decide(sets, similarity)) == expected


@pytest.mark.parametrize("permutations", [(14, 8), (40, 8)])
def test_a_large_component_is_decided_as_if_all_were_compared(permutations: tuple[int, int]) -> None:
    """400 documents that share half of their shingles, 200 near copies among them, on both sides of the threshold."""
    random = np.random.default_rng(4)
    common = set(range(60))
    sets = [common | set(random.choice(10**6, 60).tolist()) for _ in range(400)]
    for copy, source in enumerate(random.choice(400, 200).tolist()):
        lost = int(random.integers(0, 30))
        sets.append(set(sorted(sets[source])[lost:]) | {2 * 10**6 + copy})
    rows = [np.array(sorted(values), np.uint32) for values in sets]
    shingles = Shingles(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))
    addresses = np.arange(100, 100 + len(sets), dtype=np.uint64)
    expected = decide_slowly(sets, 0.8)
    verdicts = verify(addresses, shingles, Signer(*permutations).sign(shingles), 0.8)
    assert 100 < len(expected) < 200
    assert as_rows(verdicts) == [(removed, kept, pytest.approx(closeness)) for removed, kept, closeness in expected]


def test_a_copy_is_found_among_more_kept_ones_than_are_compared() -> None:
    unrelated = [set(range(1000 * number, 1000 * number + 50)) for number in range(5 * VERIFIED)]
    assert as_rows(decide([*unrelated, unrelated[70] - {70_000}], 0.8)) == [
        (100 + 5 * VERIFIED, 170, pytest.approx(0.98))
    ]


TEXT = """It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of
a wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood,
this truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful
property of some one or other of their daughters. My dear Mr. Bennet, said his lady to him one day, have you
heard that Netherfield Park is let at last? Mr. Bennet replied that he had not. But it is, returned she; for
Mrs. Long has just been here, and she told me all about it. Mr. Bennet made no answer."""


@pytest.mark.parametrize(
    ("other", "goes"),
    [
        (TEXT.upper().replace(",", ";").replace("\n", "  "), True),
        (TEXT + " Do not you want to know who has taken it?", True),
        (TEXT.replace("dear", "good"), True),
        (" ".join(reversed(TEXT.split())), False),
        (TEXT[: len(TEXT) // 2], False),
    ],
)
def test_a_page_of_another_edition_goes_and_a_different_page_stays(other: str, goes: bool) -> None:
    shingles = shingle(pa.array([TEXT, other]), 5)
    signatures = Signer(14, 8).sign(shingles)
    keys = band_keys(signatures, 14, 8)
    found = edges(keys.ravel(), np.repeat(np.array([1, 2], np.uint64), 14))
    verdicts = verify(np.array([1, 2], np.uint64), shingles, signatures, 0.8)
    assert found.tolist() == ([[1, 2]] if goes else [])
    assert verdicts.removed.tolist() == ([2] if goes else [])


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_verdicts_do_not_depend_on_the_order_in_which_members_arrived(order: list[int]) -> None:
    texts = [TEXT, TEXT + " Amen.", TEXT[200:], "another text", "another text", TEXT[200:] + " Yes."]
    addresses = np.array([11, 5, 7, 3, 2, 9], np.uint64)
    shingles = shingle(pa.array(texts), 5).take(order)
    place = np.argsort(addresses[order])
    verdicts = verify(addresses[order][place], shingles.take(place), Signer(14, 8).sign(shingles)[place], 0.8)
    assert list(zip(verdicts.removed.tolist(), verdicts.kept.tolist(), strict=True)) == [(3, 2), (9, 7), (11, 5)]


def test_members_must_ascend() -> None:
    shingles = shingle(pa.array(["a", "b"]), 5)
    with pytest.raises(ValueError, match="do not ascend"):
        verify(np.array([2, 1], np.uint64), shingles, Signer(1, 1).sign(shingles), 0.8)


def test_members_must_match_their_sets() -> None:
    shingles = shingle(pa.array(["a", "b"]), 5)
    with pytest.raises(ValueError, match="3 addresses, 2 shingle sets"):
        verify(np.array([1, 2, 3], np.uint64), shingles, Signer(1, 1).sign(shingles), 0.8)


@pytest.mark.parametrize("similarity", [0, -0.1, 1.01, 80])
def test_a_similarity_lies_between_0_and_1(similarity: float) -> None:
    with pytest.raises(ValueError, match="Jaccard similarity"):
        decide([{1}, {1}], similarity)
