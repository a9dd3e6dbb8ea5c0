"""Copies as clusters: a document that stayed and all that were removed for it, directly or by way of another copy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.report.data import Cluster, Duplicates, Member
from pipeline.report.numbers import count
from pipeline.report.tables import Addresses, Corpus

LARGEST = 5
MEMBERS = 4
"""Clusters that the report names, and copies of each."""
BOUNDS = (2, 3, 4, 5, 10, 20, 50, 100)
"""Sizes at which the classes of the size distribution begin."""


@dataclass(frozen=True)
class Copies:
    """Removed copies, sorted by address: the addresses, the roots of their clusters, why and how similar."""

    removed: Addresses
    root: Addresses
    reason: npt.NDArray[np.object_]
    similarity: npt.NDArray[np.float32]


def read_copies(corpus: Corpus) -> Copies:
    """All documents that were removed as another one's copy, 28 bytes each."""
    removed, kept, reasons, similarity = [], [], [], []
    for step in ("extract", "dedup"):
        for _, batch in corpus.batches(step, "removed", ["address", "kept_address", "reason", "similarity"]):
            batch = batch.filter(batch.column("kept_address").is_valid())
            if not batch.num_rows:
                continue
            removed.append(batch.column("address").to_numpy())
            kept.append(batch.column("kept_address").to_numpy())
            # Few distinct words: interned, so that a million rows do not hold a million strings.
            coded = batch.column("reason").dictionary_encode()
            words = np.array([_interned(word) for word in coded.dictionary.to_pylist()], object)
            reasons.append(words[coded.indices.to_numpy()])
            similarity.append(batch.column("similarity").to_numpy(zero_copy_only=False))
    if not removed:
        return Copies(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, object), np.empty(0, np.float32))
    addresses = np.concatenate(removed)
    order = np.argsort(addresses, kind="stable")
    roots = find_roots(addresses[order], np.concatenate(kept)[order])
    return Copies(addresses[order], roots, np.concatenate(reasons)[order], np.concatenate(similarity)[order])


def _interned(word: str) -> str:
    import sys

    return sys.intern(word)


def find_roots(removed: Addresses, kept: Addresses) -> Addresses:
    """For every removed document the one at the end of its chain of copies; `removed` is sorted.

    Chains are halved in each turn, so that 64 turns follow any that is not a circle.
    """
    roots = kept.copy()
    for _ in range(64):
        place = np.minimum(np.searchsorted(removed, roots), max(len(removed) - 1, 0))
        onwards = removed[place] == roots if len(removed) else np.empty(0, np.bool_)
        if not onwards.any():
            break
        roots[onwards] = roots[place[onwards]]
    return roots


def largest_clusters(copies: Copies) -> list[tuple[int, int, list[int]]]:
    """(root, size with the root, places in `copies` of the first members) of the largest clusters."""
    roots, sizes = np.unique(copies.root, return_counts=True)
    order = np.lexsort((roots, -sizes))[:LARGEST]
    return [
        (int(roots[number]), int(sizes[number]) + 1, np.flatnonzero(copies.root == roots[number])[:MEMBERS].tolist())
        for number in order
    ]


def size_classes(copies: Copies) -> tuple[tuple[str, int, int], ...]:
    """(sizes, clusters of these sizes, copies removed from them), without empty classes."""
    sizes = np.unique(copies.root, return_counts=True)[1] + 1
    classes = []
    for low, high in zip(BOUNDS, [*BOUNDS[1:], None], strict=True):
        mine = sizes[(sizes >= low) & (sizes < high)] if high else sizes[sizes >= low]
        label = f"{low} and more" if high is None else str(low) if high == low + 1 else f"{low}–{high - 1}"
        if len(mine):
            classes.append((label, len(mine), int((mine - 1).sum())))
    return tuple(classes)


def describe_clusters(corpus: Corpus, copies: Copies, urls: dict[int, str]) -> Duplicates:
    """Numbers, sizes and the largest clusters, whose addresses' URLs are in `urls`."""

    def url(address: int) -> str:
        return urls.get(address, f"address {address}")

    largest = tuple(
        Cluster(
            size,
            url(root),
            tuple(
                Member(url(int(copies.removed[place])), str(copies.reason[place]), _similarity(copies, place))
                for place in places
            ),
        )
        for root, size, places in largest_clusters(copies)
    )
    clusters = len(np.unique(copies.root))
    return Duplicates(clusters, len(copies.removed), size_classes(copies), largest, _settings(corpus))


def addresses(copies: Copies) -> set[int]:
    """The documents that `describe_clusters` names."""
    named = set()
    for root, _, places in largest_clusters(copies):
        named |= {root, *(int(copies.removed[place]) for place in places)}
    return named


def _similarity(copies: Copies, place: int) -> float | None:
    value = float(copies.similarity[place])
    return None if np.isnan(value) else value


def _settings(corpus: Corpus) -> str:
    """What the recipe calls a copy."""
    parameters = corpus.step("dedup").get("parameters", {})
    parts = ["the same record"]
    if parameters.get("exact"):
        parts.append("the same text")
    near = parameters.get("near")
    if near:
        parts.append(
            f"texts with a Jaccard similarity of at least {near['similarity']:g} over their word {near['ngram']}-grams "
            f"(met by MinHash in {count(near['bands'])} bands of {count(near['rows'])} rows, then compared exactly)"
        )
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
