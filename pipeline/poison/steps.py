"""Looking for poison as steps: a model of the corpus's text, what each document shows, what becomes of it.

filtered parts ─┬─▶ sample ─▶ text model ─┐
                ├─────────────────────────┴─▶ inspect ─▶ findings, keys
                └─▶ poison ◀─ findings, and what the corpus as a whole shows (shared.py)
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifact import File, Part, PartWriter, digest, open_input, read_batches, read_schema
from pipeline.document import VERDICT
from pipeline.filter.blocks import text_runs
from pipeline.filter.steps import with_verdict
from pipeline.filter.text import TextBatch
from pipeline.poison import versions
from pipeline.poison.apply import ADDED, Applied, apply, choose_outcomes
from pipeline.poison.campaigns_carriers import Owners
from pipeline.poison.dates import VISITS, visits_of
from pipeline.poison.detect import find_in_documents
from pipeline.poison.finding import FINDING, FOUND, LEDGER, Findings
from pipeline.poison.floods import COPIES, copies_of
from pipeline.poison.lists import Decided
from pipeline.poison.phrases import KEYS, Counts, keys_of
from pipeline.poison.rules import Outcome
from pipeline.poison.shared import Shared, point
from pipeline.poison.text_model import TextModel
from pipeline.poison.versions import of_data, of_modules
from pipeline.registrant import owner_hashes
from pipeline.sample import read_sample
from pipeline.step import run_part

VERSION = 1
MODEL = "text.model"


class TrainTextModel:
    """Sampled parts -> the models of the corpus's characters and words."""

    name = "textmodel"

    def __init__(self, samples: Sequence[Part]) -> None:
        self.samples = samples

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION, "model": of_modules(versions.MODEL)}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        sample = read_sample(self.samples)
        texts, languages = (sample.column(name).to_pylist() for name in ("text", "language"))
        writer.extra["documents"] = len(texts)
        with writer.create(MODEL) as file:
            file.write(TextModel.train(texts, languages).to_bytes())


def train_text_model(samples: list[Part], folder: str) -> Part:
    """The part that holds the model of all samples."""
    samples = sorted(samples, key=lambda part: part.name)
    contents = File("samples", digest([part.content for part in samples]), 0, 0)
    return run_part(TrainTextModel(samples), folder, Part("input", MODEL, "", files=(contents,)))


@functools.lru_cache(maxsize=1)
def text_model(path: str, content: str) -> TextModel:
    """The model of a file, once a process; `content` tells models of one path apart."""
    with open_input(path) as file:
        return TextModel.from_bytes(file.read())


class InspectStep:
    """A part -> what each of its documents shows by itself, and the keys by which documents of all parts meet.

    Removes nothing, and leaves no documents of its own.
    """

    name = "inspect"

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION, "modules": of_modules(versions.INSPECT), "data": of_data()}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        """Context is (the part with the text model,)."""
        model = text_model(context[0].path(MODEL), context[0].content)
        counts, shuffled = Counts(), 0
        with (
            writer.table("findings", FOUND) as findings,
            writer.table("copies", COPIES) as copies,
            writer.table("visits", VISITS) as visits,
            writer.table("phrases", KEYS) as phrases,
        ):
            for batch in _slices(source):
                texts = TextBatch(batch.column("text"))
                addresses, hosts, when = (batch.column(name) for name in ("address", "host", "date"))
                found = find_in_documents(batch, texts, model)
                findings.write(
                    pa.RecordBatch.from_arrays(
                        [addresses.take(found.column("document")), *found.columns[1:]], schema=FOUND
                    )
                )
                keys, counted = keys_of(texts, model, owner_hashes(hosts))
                met = (
                    (copies, copies_of(batch.column("text"), addresses.to_numpy(), hosts, when)),
                    (visits, visits_of(texts, hosts, when, batch.column("language"))),
                    (phrases, keys),
                )
                for table, rows in met:
                    table.write(packed := rows.batch())
                    shuffled += packed.nbytes
                counts = Counts.sum([counts, counted])
                writer.counts.update(findings=found.num_rows, read=batch.num_rows, kept=batch.num_rows)
        writer.extra["shuffle_bytes"] = shuffled
        writer.extra["phrases"] = {**vars(counts), "places": list(counts.places)}


def _slices(source: Part) -> Iterator[pa.RecordBatch]:
    """A part's documents, as many at a time as are looked at together."""
    for batch in read_batches(source.path("documents")):
        for start, end in text_runs(batch.column("text")):
            yield batch.slice(start, end - start)


class PoisonStep:
    """Documents and what was found in them -> those that stay, those that are held, those that go; and a ledger."""

    name = "poison"

    def __init__(self, outcomes: Mapping[str, Outcome], decided: Decided) -> None:
        self.outcomes, self.decided = outcomes, decided

    def parameters(self) -> dict[str, Any]:
        rules = of_modules(versions.APPLY)
        return {"version": VERSION, "rules": rules, "outcomes": dict(self.outcomes), "decided": self.decided.content}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        """Context is (the inspect step's part, what the corpus shows, the part with the text model)."""
        inspected, shared, model_part = context
        model = functools.partial(text_model, model_part.path(MODEL), model_part.content)
        found = pa.Table.from_batches(read_batches(inspected.path("findings")), FOUND).combine_chunks()
        schema = pa.schema([*read_schema(source.path("documents")), *ADDED])
        with (
            writer.table("documents", schema) as documents,
            writer.table("removed", pa.schema([*schema, *VERDICT])) as removed,
            writer.table("held", pa.schema([*schema, *VERDICT])) as held,
            writer.table("findings", LEDGER) as ledger,
        ):
            for batch in _slices(source):
                findings, hosts = self._findings(batch, found, shared, model)
                findings = choose_outcomes(findings, self.outcomes, self._spared(batch))
                applied = apply(batch.column("text"), findings)
                ledger.write(_ledger(batch, findings, hosts))
                result = _with_applied(batch, applied, schema)
                goes, waits = pc.is_valid(applied.removed), pc.is_valid(applied.held)
                documents.write(result.filter(pc.invert(pc.or_(goes, waits))))
                removed.write(with_verdict(result.filter(goes), applied.removed.filter(goes)))
                held.write(with_verdict(result.filter(waits), applied.held.filter(waits)))
                self._count(writer, applied, batch.num_rows)

    def _findings(
        self, batch: pa.RecordBatch, found: pa.Table, shared: Shared, model: Callable[[], TextModel]
    ) -> tuple[pa.RecordBatch, Owners]:
        """(all findings of a batch's documents by row, how many owners share a finding where that is known)."""
        addresses = batch.column("address").to_numpy()
        low, high = np.searchsorted(found["address"].to_numpy(), [addresses[0], addresses[-1] + np.uint64(1)])
        mine = found.slice(low, high - low)
        rows = np.searchsorted(addresses, mine["address"].to_numpy())
        findings = Findings()
        columns = [mine[name].to_pylist() for name in FINDING.names[1:]]
        findings.extend(zip(rows.tolist(), *columns, strict=True))
        decided = self.decided
        ids = batch.column("id")
        confirmed = [row for row, id in enumerate(ids.to_pylist()) if id in decided.confirmed]
        listed = np.flatnonzero(decided.blocked.holds(ids, batch.column("canonical_url"), batch.column("host")))
        for row in confirmed:
            findings.add(row, "confirmed", 0, 0, 1.0, "confirmed by a person")
        for row in listed.tolist():
            findings.add(row, "blocked", 0, 0, 1.0, "on the block list")
        hosts = point(shared, batch, model, findings)
        return findings.batch(), hosts

    def _spared(self, batch: pa.RecordBatch) -> Any:
        """Documents that a person released, or that are on the allow list: tagged, and no more than that."""
        ids = batch.column("id")
        allowed = self.decided.allowed.holds(ids, batch.column("canonical_url"), batch.column("host"))
        released = np.fromiter((id in self.decided.released for id in ids.to_pylist()), np.bool_, len(ids))
        return allowed | released

    @staticmethod
    def _count(writer: PartWriter, applied: Applied, rows: int) -> None:
        gone, waiting = rows - applied.removed.null_count, rows - applied.held.null_count
        stays = pc.and_(pc.is_null(applied.removed), pc.is_null(applied.held))
        cut = pc.greater(pc.list_value_length(applied.spans), 0)
        tagged = pc.and_(stays, pc.and_not(pc.greater(pc.list_value_length(applied.tags), 0), cut))
        writer.counts.update(
            read=rows, kept=rows - gone - waiting, removed=gone, held=waiting,
            stripped=pc.sum(cut).as_py() or 0, tagged=pc.sum(tagged).as_py() or 0,
        )  # fmt: skip
        writer.reasons.update(applied.removed.drop_null().to_pylist())
        writer.reasons.update(applied.held.drop_null().to_pylist())


def _with_applied(batch: pa.RecordBatch, applied: Applied, schema: pa.Schema) -> pa.RecordBatch:
    columns = [applied.texts if name == "text" else batch.column(name) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays([*columns, applied.tags, applied.spans], schema=schema)


def _ledger(batch: pa.RecordBatch, findings: pa.RecordBatch, hosts: Owners) -> pa.RecordBatch:
    keys = zip(*(findings[name].to_pylist() for name in ("document", "rule", "start")), strict=True)
    counted = pa.array([hosts.get(key) for key in keys], pa.int32())
    addresses = batch.column("address").take(findings["document"])
    columns = [findings[name] for name in FINDING.names[1:]]
    return pa.RecordBatch.from_arrays([addresses, *columns, counted, findings["outcome"]], schema=LEDGER)
