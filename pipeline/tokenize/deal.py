"""Documents -> vocabulary -> token shards, as Beam transforms.

    parts ─▶ (hash, bytes) ─▶ which to sample ─▶ samples ─▶ vocabulary ─┐
      └────────────────────────────────────────────────────────────────┴─▶ encode ─▶ buckets ─▶ shards

A shard is a range of document hashes. Locally each shard reads its slices from the buckets (`files`), so that memory
stays flat; where the runner has a shuffle service, the slices are grouped by shard (`shuffle`). The bytes are equal.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifact import File, Part, PartWriter, digest, file_digest, is_local, open_input, read_batches
from pipeline.document import document_hash
from pipeline.recipe import Tokenize
from pipeline.sample import Sample, read_sample
from pipeline.step import RunPart, StepError, run_part
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.shards import build_shard, hash_range, is_validation, slice_bucket, write_bucket, write_shard
from pipeline.tokenize.vocabulary import train

VERSION = 1
SPLITS = ("train", "validation")
MODEL = "tokenizer.model"


@dataclass
class MakeShards(beam.PTransform):
    """Deduplicated parts -> {vocabulary, encode, tokenize: parts}. `deal` is how token slices reach their shard."""

    folder: str
    recipe: Tokenize
    deal: Literal["files", "shuffle"]

    def expand(self, parts: beam.PCollection[Part]) -> dict[str, beam.PCollection[Part]]:
        vocabulary = parts | "Make vocabulary" >> MakeVocabulary(self.folder, self.recipe)
        encoded = (
            parts
            | "Spread documents" >> beam.Reshuffle()
            | "Encode"
            >> beam.ParDo(
                RunPart(EncodeStep(self.recipe.validation_fraction), self.folder), beam.pvalue.AsSingleton(vocabulary)
            )
        )
        buckets = encoded | "Gather buckets" >> beam.combiners.ToList()
        shards = buckets | "Plan shards" >> beam.FlatMap(plan_shards, self.recipe.shard_tokens)
        step = ShardStep()
        supply = buckets | "Supply" >> beam.Map(_supply)
        if self.deal == "files":
            dealt = (
                shards
                | "Spread shards" >> beam.Reshuffle()
                | "Read slices" >> beam.ParDo(RunPart(step, self.folder), beam.pvalue.AsSingleton(supply))
            )
        else:
            slices = encoded | "Slice" >> beam.ParDo(Slices(), beam.pvalue.AsList(shards))
            dealt = (
                {"shard": shards | "Key shards" >> beam.Map(_named), "slices": slices}
                | "Meet by shard" >> beam.CoGroupByKey()
                | "Write shards" >> beam.ParDo(WriteGrouped(step, self.folder))
            )
        return {"vocabulary": vocabulary, "encode": encoded, "tokenize": dealt}


@dataclass
class MakeVocabulary(beam.PTransform):
    """Parts -> one part: the SentencePiece model, trained on a sample by hash, or the recipe's own."""

    folder: str
    recipe: Tokenize

    def expand(self, parts: beam.PCollection[Part]) -> beam.PCollection[Part]:
        if self.recipe.vocabulary is not None:
            given = File(self.recipe.vocabulary, file_digest(self.recipe.vocabulary), 0, 0)
            source = Part("input", "vocabulary", "", files=(given,))
            return (
                parts.pipeline
                | "Name model" >> beam.Create([source])
                | "Take model" >> beam.ParDo(RunPart(TakeVocabulary(), self.folder))
            )
        sampled = parts | "Sample texts" >> Sample(
            self.folder, "vocabulary", self.recipe.sample_bytes, self.recipe.validation_fraction
        )
        return (
            sampled
            | "Gather samples" >> beam.combiners.ToList()
            | "Train vocabulary" >> beam.Map(_train, self.folder, self.recipe.vocabulary_size)
        )


class TrainVocabulary:
    """Sampled parts -> the model."""

    name = "vocabulary"

    def __init__(self, size: int, samples: Sequence[Part]) -> None:
        self.size, self.samples = size, samples

    def parameters(self) -> dict[str, Any]:
        import sentencepiece

        return {"version": VERSION, "size": self.size, "sentencepiece": sentencepiece.__version__}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        texts = read_sample(self.samples).column("text").to_pylist()
        writer.extra["documents"] = len(texts)
        if not texts:
            return  # no document was kept; the run goes on to say so with all its counts
        try:
            model = train(texts, self.size)
        except ValueError as error:
            raise StepError(f"tokenize.vocabulary_size is {self.size:,}, but {error}.") from None
        with writer.create(MODEL) as file:
            file.write(model)


def _train(samples: list[Part], folder: str, size: int) -> Part:
    samples = sorted(samples, key=lambda part: part.name)
    contents = File("samples", digest([part.content for part in samples]), 0, 0)
    return run_part(TrainVocabulary(size, samples), folder, Part("input", MODEL, "", files=(contents,)))


class TakeVocabulary:
    """The recipe's own model, copied beside the corpus."""

    name = "vocabulary"

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        path = source.files[0].name
        try:
            with open_input(path) as file:
                model = file.read()
            Tokenizer(model)
        except (OSError, ValueError, RuntimeError) as error:
            raise StepError(
                f"tokenize.vocabulary: {path} is not a SentencePiece model that can be read: {error}"
            ) from None
        with writer.create(MODEL) as file:
            file.write(model)


@functools.lru_cache(maxsize=1)
def _tokenizer(path: str, content: str) -> Tokenizer:
    """The tokenizer of a model file, once a process; `content` tells models of one path apart."""
    with open_input(path) as file:
        return Tokenizer(file.read())


class EncodeStep:
    """A part -> its documents as tokens, in one bucket ordered by (split, hash, address)."""

    name = "encode"

    def __init__(self, validation_fraction: float) -> None:
        self.validation_fraction = validation_fraction

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION, "validation_fraction": self.validation_fraction}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        columns = ["id", "address", "url", "host", "warc_file", "warc_offset", "payload_digest", "text"]
        vocabulary: Part = context[0]
        tables = []
        for batch in read_batches(source.path("documents"), columns):
            if not vocabulary.files:
                raise StepError(
                    "every host that was kept is held out for validation: there is nothing to train a vocabulary on. "
                    "Lower tokenize.validation_fraction, or give more pages."
                )
            tokenizer = _tokenizer(vocabulary.path(MODEL), vocabulary.content)
            validation = is_validation(batch.column("host"), self.validation_fraction)
            tables.append(
                pa.table(
                    {
                        "split": pa.array(np.where(validation, "validation", "train").tolist(), pa.string()),
                        "hash": document_hash(batch.column("id")),
                        **{name: batch.column(name) for name in columns if name not in ("host", "text")},
                        "bytes": pc.binary_length(batch.column("text")).cast(pa.int64()),
                        "tokens": tokenizer.encode_batch(batch.column("text")),
                    }
                )
            )
        if not tables:
            return
        table = pa.concat_tables(tables)
        lengths = pc.list_value_length(table.column("tokens")).to_numpy()
        for split in SPLITS:
            chosen = pc.equal(table.column("split"), split).to_numpy()
            writer.extra[f"{split}_tokens"] = int(lengths[chosen].sum())
        writer.extra["vocabulary"] = tokenizer.describe()
        with writer.create(f"buckets/{source.name}.arrow") as file:
            write_bucket(table, file)
        writer.counts.update(read=table.num_rows, kept=table.num_rows)


def plan_shards(buckets: Iterable[Part], shard_tokens: int) -> Iterator[Part]:
    """Encoded parts -> a source for each shard: its split, its number of how many, and what the buckets hold."""
    buckets = sorted(buckets, key=lambda part: part.name)
    vocabulary = next((part.extra["vocabulary"] for part in buckets if part.extra), None)
    contents = File("buckets", digest([vocabulary, [part.content for part in buckets]]), 0, 0)
    for split in SPLITS:
        tokens = sum(part.extra.get(f"{split}_tokens", 0) for part in buckets)
        shards = -(-tokens // shard_tokens)
        for number in range(shards):
            extra = {"split": split, "shard": number, "shards": shards, "vocabulary": vocabulary}
            yield Part("input", f"{split}-{number:05d}", "", rows=(number, shards), files=(contents,), extra=extra)


def _slice(bucket: Part, shard: Part) -> pa.RecordBatch | None:
    if not bucket.files:
        return None
    path, low_high = bucket.path("buckets"), hash_range(shard.extra["shard"], shard.extra["shards"])
    if is_local(path):
        return slice_bucket(path, shard.extra["split"], *low_high)
    with open_input(path) as file:
        return slice_bucket(file, shard.extra["split"], *low_high)


class ShardStep:
    """A planned shard and its slices (or the buckets that have them) -> one Arrow file."""

    name = "tokenize"

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        found = context[0].items
        slices = [_slice(item, source) if isinstance(item, Part) else item for item in found]
        shard = build_shard([item for item in slices if item is not None and item.num_rows])
        with writer.create(f"{source.name}.arrow") as file:
            text_bytes = write_shard(shard, file, source.extra["split"], source.extra["vocabulary"])
            file.rows = shard.num_rows
        tokens = pc.sum(pc.list_value_length(shard.column("tokens"))).as_py() or 0
        writer.counts.update(read=shard.num_rows, kept=shard.num_rows, tokens=tokens)
        writer.extra.update(split=source.extra["split"], tokens=tokens, bytes=text_bytes)
        writer.extra["vocabulary"] = source.extra["vocabulary"]


@dataclass(frozen=True)
class Supply:
    """Where a shard's slices come from: parts to read them from, or the slices themselves.

    Neither belongs to the shard's fingerprint (the plan's digest of the buckets does).
    """

    items: Sequence[Any]
    content: str = ""


def _supply(buckets: list[Part]) -> Supply:
    return Supply(sorted(buckets, key=lambda part: part.name))


def _named(shard: Part) -> tuple[str, Part]:
    return shard.name, shard


class Slices(beam.DoFn):
    """An encoded part -> (shard, its slice) for each shard."""

    def process(self, bucket: Part, shards: list[Part]) -> Iterator[tuple[str, pa.RecordBatch]]:
        for shard in shards:
            found = _slice(bucket, shard)
            if found is not None and found.num_rows:
                yield shard.name, found


class WriteGrouped(beam.DoFn):
    """(shard, {shard, slices}) -> the shard's part."""

    def __init__(self, step: ShardStep, folder: str) -> None:
        self.step, self.folder = step, folder

    def process(self, group: tuple[str, dict[str, Any]]) -> Iterator[Part]:
        (shard,) = group[1]["shard"]
        yield run_part(self.step, self.folder, shard, Supply(list(group[1]["slices"])))
