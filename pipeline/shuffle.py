"""What crosses a shuffle: packed arrays of keys and addresses, a handful of elements per part and partition."""

from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.document import ROW_BITS, pack_address
from pipeline.step import Deletions

PARTITION_BITS = 5
PARTITIONS = 1 << PARTITION_BITS
"""Into how many groups keys are dealt. A partition of 100 M keys of 16 bytes takes 1.6 GB / 32 in a worker."""


def partition_of(keys: np.ndarray) -> np.ndarray:
    """The partition of 64-bit keys, by their high bits: digests and band keys are uniform there."""
    return (keys >> np.uint64(64 - PARTITION_BITS)).astype(np.int64)


def scatter(keys: np.ndarray, addresses: np.ndarray) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
    """Keys (n,) or (n, 2) and their addresses -> (partition, (keys, addresses)), equal keys in one partition."""
    partition = partition_of(keys if keys.ndim == 1 else keys[:, 0])
    order = np.argsort(partition, kind="stable")
    bounds = np.searchsorted(partition[order], np.arange(PARTITIONS + 1))
    for number in range(PARTITIONS):
        chosen = order[bounds[number] : bounds[number + 1]]
        if len(chosen):
            yield number, (keys[chosen], addresses[chosen])


def by_file(deletions: Deletions) -> Iterator[tuple[int, Deletions]]:
    """Deletions sorted by address -> (file number, that file's deletions)."""
    files = (deletions.removed >> np.uint64(ROW_BITS)).astype(np.int64)
    for number in np.unique(files).tolist():
        yield number, deletions.between(pack_address(number, 0), pack_address(number + 1, 0))


def merge(many: Iterable[Deletions]) -> Deletions:
    """Deletions from several groups as one, sorted by address."""
    groups = list(many)
    if not groups:
        return Deletions()
    columns = ("removed", "kept", "similarity", "exact")
    merged = Deletions(*(np.concatenate([getattr(group, name) for group in groups]) for name in columns))
    return merged.select(np.argsort(merged.removed, kind="stable"))
