"""From band keys to deletions: who met in a band, who hangs together, and which of those is really a copy.

Meeting makes a candidate, no more. Deleting whole components has cost others 51,160 unrelated books in one cluster and
52-64% false deletions on review (Marin's char-5-gram run): here a document goes only for one that is kept and like it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.dedup.exact import UInt64s, smallest_and_others
from pipeline.dedup.shingles import Shingles, UInt32s

VERIFIED = 16
"""How many of the kept documents each member is compared with shingle by shingle, the most promising first."""

DEVIATIONS = 4
"""How many standard deviations below the similarity an estimate may lie and still be promising."""


class Verdicts(NamedTuple):
    """Deletions sorted by the removed address, each with the document kept in its place and their exact similarity."""

    removed: UInt64s
    kept: UInt64s
    similarity: npt.NDArray[np.float32]


def edges(keys: UInt64s, addresses: UInt64s) -> UInt64s:
    """Band keys (n,) and the addresses that have them -> (m, 2) edges (smaller address, larger), sorted, each once.

    A group of equal keys becomes a star around its smallest address: n - 1 edges, the same however the keys were
    partitioned or ordered.
    """
    hubs, others = smallest_and_others(keys, addresses)
    order = np.lexsort((others, hubs))
    found = np.stack([hubs[order], others[order]], axis=1)
    new = np.ones(len(found), np.bool_)
    new[1:] = (found[1:] != found[:-1]).any(axis=1)
    return found[new]


def components(edges: UInt64s) -> tuple[UInt64s, UInt64s]:
    """Edges (m, 2) -> (addresses, roots): every address of an edge, sorted, and the smallest one connected to it."""
    from scipy.sparse import coo_array  # 0.2 s, for which no start should wait
    from scipy.sparse.csgraph import connected_components

    addresses, ends = np.unique(edges, return_inverse=True)
    left, right = ends.reshape(-1, 2).T
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(len(addresses), len(addresses)))
    if not len(addresses):
        return addresses, addresses
    count, labels = connected_components(graph, directed=False)
    smallest = np.empty(count, np.int64)
    smallest[labels[::-1]] = np.arange(len(labels) - 1, -1, -1)  # the last to write is a label's first address
    return addresses, addresses[smallest[labels]]


def verify(addresses: UInt64s, shingles: Shingles, signatures: UInt32s, similarity: float) -> Verdicts:
    """Decide a component: a member goes if the Jaccard similarity of its shingles with a kept one's is enough.

    Members come in ascending order of their addresses, with their shingle sets and signatures row by row. The first is
    kept. Each further one is compared with those kept so far and removed if one reaches `similarity` (>=), in favour of
    the most similar (of equals, the smallest address); otherwise it is kept. So A ~ B ~ C removes B for A and leaves C,
    if C is like B alone.

    Up to VERIFIED kept documents are all compared exactly. Of more, only those whose sizes allow the similarity, whose
    signatures agree to within DEVIATIONS standard deviations of it, and of these the VERIFIED best. With 112
    permutations the second lets a copy at exactly 0.8 slip once in 12,000 times, one at exactly 0.9 once in 4,000, and
    one that is closer next to never; the third can hide a copy only behind VERIFIED others that agree with it better
    (among 4,000 pages that share 0.6, all of 4,000 copies at 0.802 were found). Either way a copy is left in, and
    nothing is deleted that is not one. 50,000 unrelated members take half a minute, a pair 0.07 ms.

    Raises ValueError if the rows do not match, the addresses do not ascend or `similarity` is not in (0, 1].
    """
    if not 0 < similarity <= 1:
        raise ValueError(f"similarity is {similarity}; a Jaccard similarity to delete at lies above 0 and at most at 1")
    if not len(addresses) == len(shingles) == len(signatures):
        raise ValueError(f"{len(addresses)} addresses, {len(shingles)} shingle sets, {len(signatures)} signatures")
    if (addresses[1:] <= addresses[:-1]).any():
        raise ValueError("the members' addresses do not ascend; sort the component by address, each member once")
    kept = _Kept(shingles, signatures, similarity)
    removed, twins, similarities = [], [], []
    for member in range(len(addresses)):
        twin, closeness = kept.most_similar(member)
        if closeness >= similarity:
            removed.append(member)
            twins.append(twin)
            similarities.append(closeness)
        else:
            kept.add(member)
    return Verdicts(
        addresses[np.array(removed, np.int64)],
        addresses[np.array(twins, np.int64)],
        np.array(similarities, np.float32),
    )


class _Kept:
    """The members of a component that stay, in the order of their addresses, and the search among them."""

    def __init__(self, shingles: Shingles, signatures: UInt32s, similarity: float) -> None:
        self.shingles, self.sizes, self.signatures, self.similarity = shingles, shingles.sizes, signatures, similarity
        permutations = signatures.shape[1]
        deviation = (similarity * (1 - similarity) / permutations) ** 0.5
        self.fewest_agreements = permutations * (similarity - DEVIATIONS * deviation)
        self.members, self.count = np.empty(len(shingles), np.int64), 0
        # A row for each permutation: agreements with all members add up row on row, four times as fast as across.
        self.columns = np.empty((permutations, 0), np.uint32)
        self.count_type = np.uint8 if permutations <= np.iinfo(np.uint8).max else np.uint32

    def add(self, member: int) -> None:
        if self.count == self.columns.shape[1]:
            # Doubled: thousands of members are copied a few times, and a component of two takes next to nothing.
            grown = np.empty((self.signatures.shape[1], max(VERIFIED, 2 * self.count)), np.uint32)
            grown[:, : self.count] = self.columns
            self.columns = grown
        self.columns[:, self.count] = self.signatures[member]
        self.members[self.count] = member
        self.count += 1

    def most_similar(self, member: int) -> tuple[int, float]:
        """The kept member most like this one and their Jaccard similarity; (-1, -1.0) where none is promising."""
        candidates = self._promising(member)
        if not len(candidates):
            return -1, -1.0
        own, others = self.shingles[member], self.shingles.take(candidates)
        common = np.zeros(len(others.hashes) + 1, np.int64)
        if len(own):
            place = np.searchsorted(own, others.hashes)
            np.cumsum(own[np.minimum(place, len(own) - 1)] == others.hashes, out=common[1:])
        shared = np.diff(common[others.offsets])
        # Two empty sets have nothing in common: 0 of 1.
        jaccard = shared / np.maximum(len(own) + others.sizes - shared, 1)
        best = int(np.argmax(jaccard))  # the first of equals, and candidates ascend
        return int(candidates[best]), float(jaccard[best])

    def _promising(self, member: int) -> npt.NDArray[np.int64]:
        """The kept members to compare this one with, ascending."""
        kept = self.members[: self.count]
        if self.count <= VERIFIED:
            return kept
        agree = self.columns[:, : self.count] == self.signatures[member][:, np.newaxis]
        agreements = np.add.reduce(agree.view(np.uint8), axis=0, dtype=self.count_type)
        promising = np.flatnonzero(agreements >= self.fewest_agreements)
        # Jaccard is at most smaller / larger.
        sizes, own = self.sizes[kept[promising]], self.sizes[member]
        promising = promising[np.minimum(sizes, own) / np.maximum(np.maximum(sizes, own), 1) >= self.similarity]
        best = np.argsort(-agreements[promising].astype(np.int64), kind="stable")[:VERIFIED]
        return np.sort(kept[promising[best]])
