"""MinHash signatures of a whole batch, and the band keys under which similar documents meet.

Signatures are those of `datasketch.MinHash` bit for bit (scheme affine32, `hashfunc=lambda hash: hash`), so its indexes
can hold ours. Broder 1997; bands and rows: Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.dedup.shingles import Shingles, UInt32s, UInt64s, fmix64

EMPTY = np.uint32(0xFFFFFFFF)
"""Every value of the signature of a document without shingles, as in datasketch."""

CHUNK = 1 << 16
"""Shingles permuted at a time: with the result they take 512 kB, which stays in a core's second-level cache."""


class Signer:
    """Signs batches with `bands * rows` permutations, those of `datasketch.MinHash(bands * rows, seed)`."""

    def __init__(self, bands: int, rows: int, seed: int = 1) -> None:
        if bands < 1 or rows < 1:
            raise ValueError(f"{bands} bands of {rows} rows: a signature has at least one of each")
        from datasketch import MinHash  # 0.14 s, for which no start should wait

        self.bands, self.rows = bands, rows
        self._multipliers, self._summands = MinHash(num_perm=bands * rows, seed=seed, scheme="affine32").permutations

    def sign(self, shingles: Shingles) -> UInt32s:
        """Signatures (documents, bands * rows): each permutation's smallest value over the document's shingles.

        A document without shingles is EMPTY throughout. Temporary memory is CHUNK values whatever the batch.
        """
        signatures = np.full((len(self._multipliers), len(shingles)), EMPTY, np.uint32)
        room = np.empty(min(CHUNK, len(shingles.hashes)), np.uint32)
        for start in range(0, len(shingles.hashes), CHUNK):
            mixed = _fmix32(shingles.hashes[start : start + CHUNK])
            permuted = room[: len(mixed)]
            # The documents that have a shingle in this chunk; its first and last may go on outside.
            first = int(np.searchsorted(shingles.offsets, start, side="right")) - 1
            last = int(np.searchsorted(shingles.offsets, start + len(mixed), side="left"))
            within = np.maximum(shingles.offsets[first:last] - start, 0)
            # reduceat would give an empty slice the value after it.
            used = np.flatnonzero(np.diff(within, append=len(mixed)))
            within, documents = within[used], used + first
            for values, multiplier, summand in zip(signatures, self._multipliers, self._summands, strict=True):
                np.multiply(mixed, multiplier, out=permuted)
                np.add(permuted, summand, out=permuted)
                values[documents] = np.minimum(values[documents], np.minimum.reduceat(permuted, within))
        return np.ascontiguousarray(signatures.T)


def band_keys(signatures: UInt32s, bands: int, rows: int) -> UInt64s:
    """Signatures (documents, >= bands * rows) -> a key for each document and band, (documents, bands) uint64.

    The key of band b with rows r_1 .. r_n is fmix64(... fmix64(fmix64(b + 1) + r_1) ... + r_n), modulo 2^64. Two
    documents share it if they agree in the band; by accident once in 2^64 pairs. Documents without shingles share all
    of theirs: leave them out (`shingles.sizes > 0`).
    """
    if signatures.shape[1] < bands * rows:
        raise ValueError(f"a signature has {signatures.shape[1]} values, fewer than {bands} bands of {rows} rows")
    cells = signatures[:, : bands * rows].reshape(len(signatures), bands, rows)
    keys = np.broadcast_to(fmix64(np.arange(1, bands + 1, dtype=np.uint64)), (len(signatures), bands))
    for row in range(rows):
        keys = fmix64(keys + cells[:, :, row])
    return keys


def estimate(left: UInt32s, right: UInt32s) -> npt.NDArray[np.float64]:
    """The share of equal values of two signatures, which estimates their Jaccard similarity s to within
    sqrt(s (1 - s) / permutations): 0.04 at 0.8 and 112. Leading dimensions broadcast."""
    return np.mean(left == right, axis=-1)


@lru_cache
def choose_bands(similarity: float, permutations: int) -> tuple[int, int]:
    """The (bands, rows) of at most `permutations` values that datasketch finds best for this similarity: those with
    the least area of false positives and false negatives, weighed alike."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=similarity, num_perm=permutations)
    return int(index.b), int(index.r)


def _fmix32(values: UInt32s) -> UInt32s:
    """MurmurHash3's 32-bit finaliser, which datasketch applies before it permutes."""
    mixed = values ^ (values >> np.uint32(16))
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed
