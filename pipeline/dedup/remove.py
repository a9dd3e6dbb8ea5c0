"""Removing copies, as Beam transforms; what is compared is decided in exact.py, minhash.py and clusters.py.

    parts ─┬─▶ (text digest, address) ─▶ meet ─▶ same text ──────────────────────────────────────────┐
           ├─▶ (band key, address) ─▶ meet ─▶ star edges ─▶ components ─▶ candidates by file ─┐      │
           ├──────────────────────────▶ shingles of the candidates ─▶ by component ─▶ verify ─┴─▶ deletions
           └──────────────────────────────────────────────────────────────▶ apply ◀───────────────────┘

No text crosses a shuffle: keys do, then the hashed shingles of the documents that met in a band.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline.artifact import Part, PartWriter, read_batches, read_schema
from pipeline.dedup.clusters import components, edges, verify
from pipeline.dedup.exact import duplicates, text_keys
from pipeline.dedup.minhash import Signer, band_keys
from pipeline.dedup.shingles import Shingles, shingle
from pipeline.document import VERDICT, pack_address
from pipeline.filter.steps import with_verdict
from pipeline.shuffle import by_file, merge, partition_of, scatter
from pipeline.step import Deletions, RunPart

VERSION = 1
Keys = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class NearDuplicates:
    """Word n-grams, LSH bands and rows, and the Jaccard similarity at which a copy is deleted."""

    ngram: int
    bands: int
    rows: int
    similarity: float


@dataclass
class RemoveDuplicates(beam.PTransform):
    """Filtered parts -> parts without copies. `near=None` removes the same texts only."""

    folder: str
    exact: bool
    near: NearDuplicates | None

    def expand(self, parts: beam.PCollection[Part]) -> beam.PCollection[Part]:
        keyed = parts | "Key parts" >> beam.Map(_with_file)
        found = {"parts": keyed}
        if self.exact:
            found["exact"] = (
                parts
                | "Key texts" >> beam.ParDo(TextKeys())
                | "Meet by text" >> beam.GroupByKey()
                | "Find same texts" >> beam.ParDo(SameText())
            )
        if self.near is not None:
            found["near"] = (parts, keyed) | "Find near copies" >> FindNearDuplicates(self.near)
        return (
            found
            | "Bring deletions" >> beam.CoGroupByKey()
            | "Deal deletions" >> beam.ParDo(DealDeletions())
            | "Spread parts" >> beam.Reshuffle()
            | "Delete copies" >> beam.ParDo(RunPart(DedupStep(), self.folder))
        )


@dataclass
class FindNearDuplicates(beam.PTransform):
    """(parts, (file number, part)) -> (file number, verified deletions)."""

    near: NearDuplicates

    def expand(self, sources: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        parts, keyed = sources
        candidates = (
            parts
            | "Sign" >> beam.ParDo(BandKeys(self.near))
            | "Meet in bands" >> beam.GroupByKey()
            | "Join to the first" >> beam.ParDo(StarEdges())
            | "Gather edges" >> beam.GroupByKey()
            | "Find components" >> beam.ParDo(Components())
        )
        return (
            {"parts": keyed, "candidates": candidates}
            | "Bring candidates" >> beam.CoGroupByKey()
            | "Shingle candidates" >> beam.ParDo(CandidateShingles(self.near))
            | "Meet by component" >> beam.GroupByKey()
            | "Verify" >> beam.ParDo(Verify(self.near))
        )


def _with_file(part: Part) -> tuple[int, Part]:
    return part.file, part


def _texts(part: Part) -> Iterator[tuple[pa.Array, np.ndarray]]:
    for batch in read_batches(part.path("documents"), ["address", "text"]):
        yield batch.column("text"), batch.column("address").to_numpy()


def _concatenate(groups: Iterable[Keys]) -> Keys:
    keys, addresses = (np.concatenate(column) for column in zip(*groups, strict=True))
    return keys, addresses


class TextKeys(beam.DoFn):
    """A part -> (partition, (text digests, addresses))."""

    def process(self, part: Part) -> Iterator[tuple[int, Keys]]:
        found = [(text_keys(texts), addresses) for texts, addresses in _texts(part)]
        if found:
            yield from scatter(*_concatenate(found))


class SameText(beam.DoFn):
    """A partition's digests -> (file number, deletions)."""

    def process(self, group: tuple[int, Iterable[Keys]]) -> Iterator[tuple[int, Deletions]]:
        removed, kept = duplicates(*_concatenate(group[1]))
        exact = np.ones(len(removed), np.bool_)
        yield from by_file(Deletions(removed, kept, exact.astype(np.float32), exact))


class BandKeys(beam.DoFn):
    """A part -> (partition, (band keys, addresses))."""

    def __init__(self, near: NearDuplicates) -> None:
        self.near = near

    def process(self, part: Part) -> Iterator[tuple[int, Keys]]:
        signer = Signer(self.near.bands, self.near.rows)
        found = []
        for texts, addresses in _texts(part):
            shingles = shingle(texts, self.near.ngram)
            used = shingles.sizes > 0  # a text without words resembles nothing
            keys = band_keys(signer.sign(shingles), self.near.bands, self.near.rows)[used]
            found.append((keys.ravel(), np.repeat(addresses[used], self.near.bands)))
        if found:
            yield from scatter(*_concatenate(found))


class StarEdges(beam.DoFn):
    """A partition's band keys -> the few edges that keep what met connected."""

    def process(self, group: tuple[int, Iterable[Keys]]) -> Iterator[tuple[int, Keys]]:
        found = edges(*_concatenate(group[1]))
        if len(found):
            # A spanning forest: 14 bands in which two copies meet are one edge.
            addresses, roots = components(found)
            yield 0, (roots, addresses)


class Components(beam.DoFn):
    """All edges -> (file number, (roots, addresses)) of the documents that are not alone."""

    def process(self, group: tuple[int, Iterable[Keys]]) -> Iterator[tuple[int, Keys]]:
        roots, addresses = _concatenate(group[1])
        different = roots != addresses
        members, labels = components(np.stack([roots[different], addresses[different]], axis=1))
        for number, found in by_file(Deletions(members, labels, np.empty(len(members)), np.empty(len(members)))):
            yield number, (found.kept, found.removed)


@dataclass(frozen=True)
class Candidates:
    """Documents that met in a band: addresses, components, signatures and hashed shingles, row by row."""

    roots: np.ndarray
    addresses: np.ndarray
    signatures: np.ndarray
    shingles: Shingles


class CandidateShingles(beam.DoFn):
    """(file, {parts, candidates}) -> (component partition, Candidates)."""

    def __init__(self, near: NearDuplicates) -> None:
        self.near = near

    def process(self, group: tuple[int, dict[str, Any]]) -> Iterator[tuple[int, Candidates]]:
        candidates = list(group[1]["candidates"])
        if not candidates:
            return
        roots, members = _concatenate(candidates)
        order = np.argsort(members)
        roots, members = roots[order], members[order]
        signer = Signer(self.near.bands, self.near.rows)
        for part in group[1]["parts"]:
            for texts, addresses in _texts(part):
                place = np.searchsorted(members, addresses)
                hit = place < len(members)
                hit[hit] = members[place[hit]] == addresses[hit]
                if not hit.any():
                    continue
                shingles = shingle(texts.filter(pa.array(hit)), self.near.ngram)
                chosen = Candidates(roots[place[hit]], addresses[hit], signer.sign(shingles), shingles)
                yield from _by_partition(chosen)


def _by_partition(candidates: Candidates) -> Iterator[tuple[int, Candidates]]:
    # Roots are addresses: their low bits are row numbers, and neighbours should not share a partition.
    partition = partition_of(candidates.roots * np.uint64(0x9E3779B97F4A7C15))
    for number in np.unique(partition).tolist():
        chosen = np.flatnonzero(partition == number)
        yield number, _take(candidates, chosen)


def _take(candidates: Candidates, chosen: np.ndarray) -> Candidates:
    columns = (candidates.roots[chosen], candidates.addresses[chosen], candidates.signatures[chosen])
    return Candidates(*columns, candidates.shingles.take(chosen))


def _join(many: Iterable[Candidates]) -> Candidates:
    groups = list(many)
    return Candidates(
        np.concatenate([group.roots for group in groups]),
        np.concatenate([group.addresses for group in groups]),
        np.concatenate([group.signatures for group in groups]),
        Shingles.concatenate([group.shingles for group in groups]),
    )


class Verify(beam.DoFn):
    """A partition's candidates -> (file number, deletions), each verified against the document that is kept."""

    def __init__(self, near: NearDuplicates) -> None:
        self.near = near

    def process(self, group: tuple[int, Iterable[Candidates]]) -> Iterator[tuple[int, Deletions]]:
        candidates = _join(group[1])
        order = np.lexsort((candidates.addresses, candidates.roots))
        bounds = np.flatnonzero(np.diff(candidates.roots[order])) + 1
        found = []
        for component in np.split(order, bounds):
            members = _take(candidates, component)
            verdict = verify(members.addresses, members.shingles, members.signatures, self.near.similarity)
            found.append(
                Deletions(verdict.removed, verdict.kept, verdict.similarity, np.zeros(len(verdict.removed), np.bool_))
            )
        yield from by_file(merge(found))


class DealDeletions(beam.DoFn):
    """(file, {parts, exact, near}) -> (part, the part's deletions)."""

    def process(self, group: tuple[int, dict[str, Any]]) -> Iterator[tuple[Part, Deletions]]:
        exact, near = merge(group[1].get("exact", ())), merge(group[1].get("near", ()))
        # The verified twin is preferred: it is a document that stays, where an exact twin may itself be a near copy.
        near = Deletions(near.removed, near.kept, near.similarity, np.isin(near.removed, exact.removed))
        deletions = merge([near, exact.select(~np.isin(exact.removed, near.removed))])
        for part in group[1]["parts"]:
            yield part, deletions.between(*(pack_address(part.file, row) for row in part.rows))


class DedupStep:
    """Filtered documents and what to delete -> documents without copies."""

    name = "dedup"

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        deletions: Deletions = context[0]
        schema = read_schema(source.path("documents"))
        with (
            writer.table("documents", schema) as documents,
            writer.table("removed", pa.schema([*schema, *VERDICT])) as removed,
        ):
            for batch in read_batches(source.path("documents")):
                addresses = batch.column("address").to_numpy()
                place = np.searchsorted(deletions.removed, addresses)
                gone = place < len(deletions.removed)
                gone[gone] = deletions.removed[place[gone]] == addresses[gone]
                documents.write(batch.filter(pa.array(~gone)))
                chosen = deletions.select(place[gone])
                reasons = np.where(chosen.exact, "duplicate_text", "near_duplicate").tolist()
                removed.write(
                    with_verdict(
                        batch.filter(pa.array(gone)),
                        pa.array(reasons, pa.string()),
                        pa.array(chosen.kept, pa.uint64()),
                        pa.array(chosen.similarity, pa.float32()),
                    )
                )
                writer.counts["read"] += batch.num_rows
                writer.counts["kept"] += int((~gone).sum())
                writer.counts["removed"] += int(gone.sum())
                writer.reasons.update(reasons)
