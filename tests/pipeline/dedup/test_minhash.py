"""Signatures are datasketch's to the bit; bands find what they should."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.minhash import CHUNK, EMPTY, Signer, band_keys, choose_bands, estimate
from pipeline.dedup.shingles import Shingles, shingle

M64 = 2**64 - 1


def batch(sets: list[list[int]]) -> Shingles:
    distinct = [np.unique(np.array(values, np.uint32)) for values in sets]
    offsets = np.cumsum([0, *map(len, distinct)])
    return Shingles(np.concatenate([np.empty(0, np.uint32), *distinct]), offsets)


def sketch(hashes: np.ndarray, permutations: int, seed: int = 1) -> MinHash:
    minhash = MinHash(permutations, seed=seed, hashfunc=lambda hash: hash)
    if len(hashes):
        minhash.update_batch(hashes.tolist())
    return minhash


def pairs(similarity: tuple[int, int], count: int, seed: int) -> Shingles:
    """`count` pairs of random sets of 180 hashes whose Jaccard similarity is exactly the fraction (common, union)."""
    common, union = (part * 180 // similarity[1] for part in similarity)
    random = np.random.default_rng(seed)
    sets = []
    for _ in range(count):
        hashes = random.choice(2**32, union, replace=False).astype(np.uint32)
        only = (union - common) // 2
        sets += [np.sort(hashes[: common + only]), np.sort(np.delete(hashes, slice(common, common + only)))]
    return Shingles(np.concatenate(sets), np.cumsum([0, *map(len, sets)]))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=12), max_size=6), st.integers(1, 5), st.integers(1, 3))
def test_signatures_are_those_of_datasketch(sets: list[list[int]], bands: int, seed: int) -> None:
    shingles = batch(sets)
    signatures = Signer(bands, 3, seed).sign(shingles)
    assert signatures.shape == (len(sets), 3 * bands)
    assert signatures.dtype == np.uint32
    for document, signature in enumerate(signatures):
        np.testing.assert_array_equal(signature, sketch(shingles[document], 3 * bands, seed).hashvalues)


@pytest.mark.parametrize(
    "sizes",
    [
        [2 * CHUNK + 5],
        [CHUNK, 1, 0, CHUNK - 1, 0, 3],
        [0, 0, CHUNK - 1, 2, 0],
        [5, 3 * CHUNK, 0, 7],
        [1] * 10 + [0] * 10,
    ],
)
def test_signatures_of_documents_on_either_side_of_a_chunk_are_those_of_datasketch(sizes: list[int]) -> None:
    random = np.random.default_rng(1)
    shingles = Shingles(random.integers(0, 2**32, sum(sizes), np.uint32), np.cumsum([0, *sizes]))
    for document, signature in enumerate(Signer(2, 3).sign(shingles)):
        np.testing.assert_array_equal(signature, sketch(shingles[document], 6).hashvalues)


def test_signatures_of_real_pages_are_those_of_datasketch(shared_data: Path) -> None:
    lines = (shared_data / "text/c4_demo.jsonl").read_text(encoding="utf-8").splitlines()
    shingles = shingle(pa.array([json.loads(line)["text"] for line in lines]), 5)
    signatures = Signer(14, 8).sign(shingles)
    for document, signature in enumerate(signatures):
        np.testing.assert_array_equal(signature, sketch(shingles[document], 112).hashvalues)


def test_a_document_without_shingles_has_an_empty_signature() -> None:
    assert (Signer(2, 2).sign(batch([[], [1], []]))[[0, 2]] == EMPTY).all()
    assert MinHash(4).is_empty()
    assert (MinHash(4).hashvalues == EMPTY).all()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6), min_size=1, max_size=4))
def test_band_keys_are_a_hash_of_the_band_and_its_rows(rows: list[list[int]]) -> None:
    def fmix64(value: int) -> int:
        value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & M64
        value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & M64
        return value ^ value >> 33

    def key(band: int, values: list[int]) -> int:
        mixed = fmix64(band + 1)
        for value in values:
            mixed = fmix64((mixed + value) & M64)
        return mixed

    expected = [[key(band, values[2 * band : 2 * band + 2]) for band in range(3)] for values in rows]
    assert band_keys(np.array(rows, np.uint32), 3, 2).tolist() == expected


def test_documents_meet_in_the_bands_in_which_all_rows_agree() -> None:
    signatures = np.array([[1, 2, 3, 4, 5, 6], [1, 2, 3, 9, 5, 6]], np.uint32)
    keys = band_keys(signatures, 3, 2)
    assert (keys[0] == keys[1]).tolist() == [True, False, True]


def test_the_same_rows_in_another_band_are_no_meeting() -> None:
    keys = band_keys(np.array([[1, 2, 1, 2]], np.uint32), 2, 2)
    assert keys[0, 0] != keys[0, 1]


def test_a_signature_too_short_for_its_bands_is_an_error() -> None:
    with pytest.raises(ValueError, match="has 5 values, fewer than 3 bands of 2 rows"):
        band_keys(np.zeros((1, 5), np.uint32), 3, 2)


def test_a_signature_has_at_least_one_value() -> None:
    with pytest.raises(ValueError, match="0 bands of 8 rows"):
        Signer(0, 8)


@pytest.mark.parametrize(
    ("similarity", "found"),
    [((9, 10), 1 - (1 - 0.9**8) ** 14), ((8, 10), 0.924), ((5, 10), 0.053), ((2, 10), 0.00004)],
)
def test_the_chance_to_meet_follows_the_s_curve(similarity: tuple[int, int], found: float) -> None:
    signatures = Signer(14, 8).sign(pairs(similarity, 2000, seed=2))
    keys = band_keys(signatures, 14, 8)
    rate = float((keys[0::2] == keys[1::2]).any(axis=1).mean())
    assert rate == pytest.approx(found, abs=4 * (found * (1 - found) / 2000) ** 0.5 + 0.001)


def test_an_estimate_is_that_of_datasketch_and_near_the_similarity() -> None:
    shingles = pairs((8, 10), 200, seed=3)
    signatures = Signer(14, 8).sign(shingles)
    estimates = estimate(signatures[0::2], signatures[1::2])
    assert estimates[0] == sketch(shingles[0], 112).jaccard(sketch(shingles[1], 112))
    assert float(estimates.mean()) == pytest.approx(0.8, abs=4 * 0.04 / 200**0.5)


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.95])
def test_bands_are_chosen_as_datasketch_chooses_them(similarity: float) -> None:
    index = MinHashLSH(threshold=similarity, num_perm=64)
    assert choose_bands(similarity, 64) == (index.b, index.r)
