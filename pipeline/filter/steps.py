"""Measuring and judging as steps: a changed threshold judges again and measures nothing."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifact import Part, PartWriter, read_batches
from pipeline.document import SCHEMA, VERDICT
from pipeline.filter.blocks import apply, judge_blocks
from pipeline.stage import Block

VERSION = 1

Blocks = Sequence[tuple[str, Block]]


def measured_schema(blocks: Blocks) -> pa.Schema:
    """A document's columns with what the blocks add, found by measuring no document."""
    _, columns = apply(pa.array([], pa.string()), blocks)
    return pa.schema([*SCHEMA, *(pa.field(name, column.type) for name, column in columns.items())])


class MeasureStep:
    """Documents -> the same documents, edited and measured. Removes nothing."""

    name = "measure"

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION, "blocks": [[name, block.measuring()] for name, block in self.blocks]}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        schema = measured_schema(self.blocks)
        with writer.table("documents", schema) as documents:
            for batch in read_batches(source.path("documents")):
                texts, columns = apply(batch.column("text"), self.blocks)
                lineage = [batch.column(name) for name in SCHEMA.names[:-1]]
                documents.write(pa.RecordBatch.from_arrays([*lineage, texts, *columns.values()], schema=schema))
                writer.counts["read"] += batch.num_rows
                writer.counts["kept"] += batch.num_rows


class FilterStep:
    """Measured documents -> those that pass every rule, and the others with the first rule that they break."""

    name = "filter"

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def parameters(self) -> dict[str, Any]:
        rules = [[name, [vars(rule) for rule in block.rules()]] for name, block in self.blocks]
        return {"version": VERSION, "rules": rules}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        schema = measured_schema(self.blocks)
        with (
            writer.table("documents", schema) as documents,
            writer.table("removed", pa.schema([*schema, *VERDICT])) as removed,
        ):
            for batch in read_batches(source.path("documents")):
                reasons = judge_blocks(batch, self.blocks)
                documents.write(batch.filter(pc.is_null(reasons)))
                gone = pc.is_valid(reasons)
                removed.write(with_verdict(batch.filter(gone), reasons.filter(gone)))
                writer.counts["read"] += batch.num_rows
                writer.counts["kept"] += reasons.null_count
                writer.counts["removed"] += batch.num_rows - reasons.null_count
                writer.reasons.update(reasons.drop_null().to_pylist())


def with_verdict(
    batch: pa.RecordBatch, reasons: pa.Array, kept: pa.Array | None = None, similarity: pa.Array | None = None
) -> pa.RecordBatch:
    """Documents with the three columns that say why they go."""
    verdict = [
        reasons,
        pa.nulls(batch.num_rows, pa.uint64()) if kept is None else kept,
        pa.nulls(batch.num_rows, pa.float32()) if similarity is None else similarity,
    ]
    return pa.RecordBatch.from_arrays([*batch.columns, *verdict], schema=pa.schema([*batch.schema, *VERDICT]))
