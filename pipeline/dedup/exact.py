"""Documents whose texts are the same, byte for byte.

A text is known by its BLAKE2b-128 digest: nobody can write a page that removes another's by having the same key, as a
64-bit or non-cryptographic hash would let them (a collision takes 2^64 digests).
"""

import hashlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

UInt64s = npt.NDArray[np.uint64]

DIGEST_BYTES = 16


def text_keys(texts: pa.Array) -> UInt64s:
    """A digest of each text's UTF-8 bytes, (n, 2) uint64; text that differs in a space has another.

    Texts are strings or binary. Raises ValueError for a null.
    """
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null; leave documents without text out")
    if not len(texts):
        return np.empty((0, 2), np.uint64)
    # Hashing views of the Arrow buffer spares a copy and a decoding of every text.
    raw = texts.cast(pa.large_binary())
    offsets = np.frombuffer(raw.buffers()[1], np.int64)[raw.offset : raw.offset + len(raw) + 1].tolist()
    data = memoryview(raw.buffers()[2] or b"")
    digests = b"".join(
        hashlib.blake2b(data[start:stop], digest_size=DIGEST_BYTES).digest() for start, stop in pairwise(offsets)
    )
    return np.frombuffer(digests, "<u8").astype(np.uint64, copy=False).reshape(-1, 2)


def duplicates(keys: UInt64s, addresses: UInt64s) -> tuple[UInt64s, UInt64s]:
    """(n, 2) keys and the (n,) addresses that have them -> (removed, kept), sorted by removed address.

    Of each group of equal keys the smallest address is kept and every other one is removed in its favour. The order
    of the rows is of no consequence, nor is a row that is there twice.
    """
    kept, removed = smallest_and_others(keys, addresses)
    order = np.argsort(removed)
    return removed[order], kept[order]


def smallest_and_others(keys: UInt64s, addresses: UInt64s) -> tuple[UInt64s, UInt64s]:
    """Groups of equal keys -> for every address but a group's smallest (the smallest of its group, the address).

    `keys` is (n,) or (n, columns). Sorted by key, then address.
    """
    columns = keys if keys.ndim == 2 else keys[:, np.newaxis]
    if len(columns) != len(addresses):
        raise ValueError(f"{len(columns)} keys for {len(addresses)} addresses; each row is a key and who has it")
    # Nearly all keys are alone: one sort by the first column finds them, and only the others are sorted in full.
    order = np.argsort(columns[:, 0])
    same = _repeats(columns[order, :1])
    met = same.copy()
    met[:-1] |= same[1:]
    chosen = order[met]
    columns, addresses = columns[chosen], addresses[chosen]
    order = np.lexsort((addresses, *columns.T[::-1]))
    columns, addresses = columns[order], addresses[order]
    same = _repeats(columns)
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(same))))
    other = same & (addresses != addresses[first])
    other[1:] &= addresses[1:] != addresses[:-1]
    return addresses[first[other]], addresses[other]


def _repeats(rows: UInt64s) -> npt.NDArray[np.bool_]:
    """Sorted rows -> whether each equals the one before it."""
    same = np.zeros(len(rows), np.bool_)
    same[1:] = (rows[1:] == rows[:-1]).all(axis=1)
    return same
