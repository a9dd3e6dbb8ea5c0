"""A sample of a corpus by hash: the same documents whatever the runner, the parts or their order.

parts ─▶ (hash, bytes) ─▶ the highest hash that fits ─▶ the texts below it, a table a part
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifact import Part, PartWriter, read_batches
from pipeline.document import document_hash
from pipeline.step import RunPart
from pipeline.tokenize.shards import is_validation
from pipeline.tokenize.vocabulary import choose_sample

VERSION = 2
SAMPLE = pa.schema([("hash", pa.uint64()), ("address", pa.uint64()), ("language", pa.string()), ("text", pa.string())])


@dataclass
class Sample(beam.PTransform):
    """Parts -> parts of the step `step` with a table `sample` of up to `limit_bytes` of text in all.

    Hosts that are held out for validation (a fraction of them) give none.
    """

    folder: str
    step: str
    limit_bytes: int
    validation_fraction: float = 0.0

    def expand(self, parts: beam.PCollection[Part]) -> beam.PCollection[Part]:
        limit = (
            parts
            | "Weigh texts" >> beam.ParDo(Weights(self.validation_fraction))
            | "Gather weights" >> beam.GroupByKey()
            | "Choose sample" >> beam.Map(_limit, self.limit_bytes)
        )
        step = SampleStep(self.step, self.validation_fraction)
        return parts | "Sample" >> beam.ParDo(RunPart(step, self.folder), beam.pvalue.AsSingleton(limit, "0"))


class Weights(beam.DoFn):
    """A part -> (0, (hashes, text bytes)) of the documents that may be sampled."""

    def __init__(self, validation_fraction: float) -> None:
        self.validation_fraction = validation_fraction

    def process(self, part: Part) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
        for batch in read_batches(part.path("documents"), ["id", "host", "text"]):
            training = ~is_validation(batch.column("host"), self.validation_fraction)
            lengths = pc.binary_length(batch.column("text")).to_numpy().astype(np.int64)
            yield 0, (document_hash(batch.column("id")).to_numpy()[training], lengths[training])


def _limit(group: tuple[int, Iterable[tuple[np.ndarray, np.ndarray]]], limit_bytes: int) -> str:
    hashes, lengths = (np.concatenate(column) for column in zip(*group[1], strict=True))
    return str(choose_sample(hashes, lengths, limit_bytes))  # up to 2**64, which Beam's coder for integers refuses


class SampleStep:
    """A part -> the texts of its documents whose hash is below the limit, which is the context."""

    def __init__(self, name: str, validation_fraction: float) -> None:
        self.name, self.validation_fraction = name, validation_fraction

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION, "validation_fraction": self.validation_fraction}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        limit = int(context[0])
        with writer.table("sample", SAMPLE) as sample:
            for batch in read_batches(source.path("documents"), ["id", "host", "address", "language", "text"]):
                hashes = document_hash(batch.column("id"))
                chosen = ~is_validation(batch.column("host"), self.validation_fraction)
                chosen &= hashes.to_numpy() < limit
                texts = pa.RecordBatch.from_arrays(
                    [hashes, *(batch.column(name) for name in SAMPLE.names[1:])], schema=SAMPLE
                )
                sample.write(texts.filter(pa.array(chosen)))


def read_sample(parts: Iterable[Part]) -> pa.Table:
    """The rows of all parts' samples, in order of (hash, address)."""
    batches = [batch for part in parts for batch in read_batches(part.path("sample"))]
    return pa.Table.from_batches(batches, SAMPLE).sort_by([("hash", "ascending"), ("address", "ascending")])
