"""How a crawl is divided: files into numbered order, a file's records into even splits. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SPLITS = 48
SMALLEST_SPLIT = 1 << 20
LARGEST_SPLIT = 32 << 20
"""Splits are many and even, for balance, and no smaller than what a Parquet file is worth (about 40 pages)."""


@dataclass(frozen=True)
class Split:
    """Records `first` <= row < `stop` of one archive, the first of which begins at byte `offset`."""

    first: int
    stop: int
    offset: int


def split_bytes(total: int) -> int:
    """Stored bytes a split, from the whole input's: about `SPLITS` splits, within sensible sizes."""
    return min(max(total // SPLITS, SMALLEST_SPLIT), LARGEST_SPLIT)


def plan_splits(rows: np.ndarray, offsets: np.ndarray, seekable: np.ndarray, stop: int, target: int) -> list[Split]:
    """Cut an archive's records into splits of at least `target` stored bytes.

    `rows`, `offsets` and `seekable` describe its readable records in order; `stop` is one past its last row. A split
    begins at the file's start or at a record that can be seeked to, and every row is in exactly one split.
    """
    if stop == 0:
        return []
    starts = [(0, 0)]
    for row, offset, can_seek in zip(rows.tolist(), offsets.tolist(), seekable.tolist(), strict=True):
        if can_seek and row > starts[-1][0] and offset - starts[-1][1] >= target:
            starts.append((row, offset))
    ends = [row for row, _ in starts[1:]] + [stop]
    return [Split(first, end, offset) for (first, offset), end in zip(starts, ends, strict=True)]


def number_files(digests: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Archive names -> numbers, by (content digest, name), whatever the order in which they were given."""
    return {name: number for number, (_, name) in enumerate(sorted(digests))}
