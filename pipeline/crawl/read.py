"""Archives -> extracted parts, as a Beam transform.

    archives ─▶ index ─┬─▶ (digest, address) ─▶ meet ─▶ duplicates by archive ─┐
                       └─▶ archive ────────────────────────────────────────────┴─▶ splits ─▶ extract

Only 24-byte keys and names cross a shuffle. An archive is hashed, indexed and extracted, three cheap readings; its
pages never travel.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import apache_beam as beam
import numpy as np

from pipeline.artifact import File, Part, digest, read_batches
from pipeline.crawl.extract import ExtractStep
from pipeline.crawl.index import IndexStep
from pipeline.crawl.plan import number_files, plan_splits
from pipeline.dedup.exact import duplicates
from pipeline.document import pack_address
from pipeline.shuffle import by_file, merge, scatter
from pipeline.step import Deletions, RunPart


@dataclass(frozen=True)
class Archive:
    """An input file: where it is, the name that lineage gives it, and what tells whether it has changed."""

    path: str
    warc_file: str
    bytes: int
    updated: float

    def as_part(self) -> Part:
        """The archive as the index step's source."""
        file = File(self.path, f"{self.bytes}-{self.updated}", self.bytes, 0)
        extra = {"path": self.path, "warc_file": self.warc_file}
        return Part("input", digest(self.warc_file)[:16], "", files=(file,), extra=extra)


@dataclass
class ReadCrawl(beam.PTransform):
    """Archives -> (index parts, extract parts). `split_bytes` is the least stored size of a split."""

    folder: str
    index: IndexStep
    extract: ExtractStep
    split_bytes: int

    def expand(self, archives: beam.PCollection[Part]) -> tuple[beam.PCollection[Part], beam.PCollection[Part]]:
        indexed = (
            archives | "Spread archives" >> beam.Reshuffle() | "Index" >> beam.ParDo(RunPart(self.index, self.folder))
        )
        names = indexed | "Name" >> beam.Map(_name) | "Gather names" >> beam.combiners.ToList()
        numbers = beam.pvalue.AsSingleton(names | "Number" >> beam.Map(number_files))
        numbered = indexed | "Give numbers" >> beam.Map(_numbered, numbers)
        deletions = (
            numbered
            | "Key payloads" >> beam.ParDo(PayloadKeys())
            | "Meet by payload" >> beam.GroupByKey()
            | "Find same payloads" >> beam.ParDo(SamePayload())
        )
        extracted = (
            {"parts": numbered | "Key archives" >> beam.Map(_with_file), "deletions": deletions}
            | "Bring duplicates" >> beam.CoGroupByKey()
            | "Split" >> beam.ParDo(Splits(self.split_bytes))
            | "Spread splits" >> beam.Reshuffle()
            | "Extract" >> beam.ParDo(RunPart(self.extract, self.folder))
        )
        return indexed, extracted


def _name(part: Part) -> tuple[str, str]:
    return part.extra["sha256"], part.extra["warc_file"]


def _numbered(part: Part, numbers: dict[str, int]) -> Part:
    return replace(part, file=numbers[part.extra["warc_file"]], rows=(0, part.extra["rows"]))


def _with_file(part: Part) -> tuple[int, Part]:
    return part.file, part


class PayloadKeys(beam.DoFn):
    """An indexed archive -> (partition, (digests, addresses)) arrays."""

    def process(self, part: Part) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
        for batch in read_batches(part.path("records"), ["row", "twin_key", "payload_bytes"]):
            used = batch.column("payload_bytes").to_numpy() > 0  # nothing is not a copy of nothing
            raw = np.frombuffer(b"".join(batch.column("twin_key").to_pylist()), "<u8").reshape(-1, 4)
            rows = batch.column("row").to_numpy().astype(np.uint64)
            addresses = rows | np.uint64(pack_address(part.file, 0))
            yield from scatter(raw[used, :2], addresses[used])


class SamePayload(beam.DoFn):
    """A partition's keys -> (file number, deletions): all but the first of the documents with one payload."""

    def process(self, group: tuple[int, Iterable[tuple[np.ndarray, np.ndarray]]]) -> Iterator[tuple[int, Deletions]]:
        keys, addresses = (np.concatenate(column) for column in zip(*group[1], strict=True))
        removed, kept = duplicates(keys, addresses)
        exact = np.ones(len(removed), np.bool_)
        yield from by_file(Deletions(removed, kept, exact.astype(np.float32), exact))


class Splits(beam.DoFn):
    """An archive with its duplicates -> (split, the split's duplicates)."""

    def __init__(self, split_bytes: int) -> None:
        self.split_bytes = split_bytes

    def process(self, group: tuple[int, dict[str, Iterable]]) -> Iterator[tuple[Part, Deletions]]:
        deletions = merge(group[1]["deletions"])
        for part in group[1]["parts"]:
            columns = ["row", "offset", "seekable"]
            batches = [batch.select(columns) for batch in read_batches(part.path("records"), columns)]
            row, offset, seekable = (
                np.concatenate(
                    [batch.column(name).to_numpy(zero_copy_only=False) for batch in batches] or [np.empty(0)]
                )
                for name in columns
            )
            for number, split in enumerate(plan_splits(row, offset, seekable, part.rows[1], self.split_bytes)):
                extra = {name: part.extra[name] for name in ("path", "warc_file")} | {"offset": split.offset}
                contents = File(part.extra["warc_file"], part.extra["sha256"], split.offset, 0)
                yield (
                    Part(
                        "input", f"part-{part.file:05d}-{number:04d}", "", part.file, (split.first, split.stop),
                        files=(contents,), extra=extra,
                    ),
                    deletions.between(pack_address(part.file, split.first), pack_address(part.file, split.stop)),
                )  # fmt: skip
