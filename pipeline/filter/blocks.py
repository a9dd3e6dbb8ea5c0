"""The families of rules that a recipe can name, and how they are applied one after another."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filter.c4 import C4
from pipeline.filter.fineweb import FineWeb
from pipeline.filter.gopher_quality import GopherQuality
from pipeline.filter.gopher_repetition import GopherRepetition
from pipeline.filter.text import TextBatch
from pipeline.filter.whitespace import Whitespace
from pipeline.stage import Block, judge

BLOCKS: dict[str, type[Block]] = {
    "gopher_repetition": GopherRepetition,
    "gopher_quality": GopherQuality,
    "c4": C4,
    "fineweb": FineWeb,
    "whitespace": Whitespace,
}
"""By the recipe's key."""

SLICE_BYTES = 1 << 19
"""Texts measured together: enough for NumPy's calls to cost nothing, little enough for the processor's cache, and for
memory: measuring takes 30 to 220 bytes a character."""

Columns = dict[str, pa.Array]


def apply(texts: pa.Array | pa.ChunkedArray, blocks: Sequence[tuple[str, Block]]) -> tuple[pa.Array, Columns]:
    """(texts as the last edit leaves them, columns): each named block edits the texts and measures them, in order.

    Columns are "<name>.<column>"; the byte ranges that a block cut from the texts that it was given are "<name>.spans".
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    parts = [_apply(texts.slice(start, end - start), blocks) for start, end in text_runs(texts)]
    columns = {name: pa.concat_arrays([columns[name] for _, columns in parts]) for name in parts[0][1]}
    return pa.concat_arrays([part for part, _ in parts]), columns


def judge_blocks(batch: pa.RecordBatch, blocks: Sequence[tuple[str, Block]]) -> pa.Array:
    """Of each document the reason of the first rule that it breaks, in the blocks' order; null = keep."""
    verdict = pa.nulls(batch.num_rows, pa.string())
    for name, block in blocks:
        verdict = pc.coalesce(verdict, judge(batch, block.rules(), f"{name}."))
    return verdict


def _apply(texts: pa.Array, blocks: Sequence[tuple[str, Block]]) -> tuple[pa.Array, Columns]:
    batch, columns = TextBatch(texts), {}
    for name, block in blocks:
        edit = block.edit(batch)
        if edit is not None:
            edited, columns[f"{name}.spans"], counted = edit
            if not edited.equals(batch.texts):
                batch = TextBatch(edited)
            columns |= {f"{name}.{column}": values for column, values in counted.items()}
        columns |= {f"{name}.{column}": values for column, values in block.measure(batch).items()}
    return batch.texts, columns


def text_runs(texts: pa.Array) -> Iterator[tuple[int, int]]:
    """Runs of rows, (first, behind the last), of some SLICE_BYTES together; a longer text alone. At least one run."""
    ends = pc.cumulative_sum(pc.fill_null(pc.binary_length(texts), 0).cast(pa.int64())).to_numpy()
    start = 0
    while start < len(texts):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(ends.searchsorted(before + SLICE_BYTES, side="right")))
        yield start, end
        start = end
    if start == 0:
        yield 0, 0
