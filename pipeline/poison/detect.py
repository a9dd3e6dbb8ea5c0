"""All rules that need one document alone, over a batch."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filter.text import TextBatch
from pipeline.poison import characters, control, encoded, instructions, noise, signatures
from pipeline.poison.finding import Findings, Row
from pipeline.poison.text_model import TextModel

VERSION = 1
"""Changes whenever the same text gives something else."""

HIDDEN_SURE = 0.99
"""Score of a hidden passage that is called instructions. A page hides up to 32 passages, headlines and button texts
among them: at the threshold for visible text 9 of 680 real pages were pointed at, wrongly."""

ENCODED = frozenset({"encoded_instructions", "encoded_text"})
SPLIT_VIEW = "the payload's digest is not the one that the archive declares"


def find_in_documents(batch: pa.RecordBatch, texts: TextBatch, model: TextModel) -> pa.RecordBatch:
    """The findings (of the schema FINDING) in a batch of documents, whose texts are `texts`."""
    found = Findings()
    for detect in (characters.find, control.find, encoded.find, instructions.find, signatures.find):
        found.extend(detect(texts).rows)
    found.extend(_beside(noise.find(texts, model).rows, found.rows))
    _find_hidden(batch, found)
    _find_split_views(batch, found)
    return found.batch()


def _beside(noisy: list[Row], others: list[Row]) -> list[Row]:
    """Noise but for encoded text, which is noise to any model and is dealt with as what it is."""
    encoded_spans = [(row[0], row[2], row[3]) for row in others if row[1] in ENCODED]
    return [
        row
        for row in noisy
        if not any(document == row[0] and start < row[3] and row[2] < end for document, start, end in encoded_spans)
    ]


def _find_hidden(batch: pa.RecordBatch, found: Findings) -> None:
    """Instructions in what a page hides, as the extract step judged them."""
    scores = pc.fill_null(batch.column("hidden_score"), 0).to_numpy()
    excerpts = batch.column("hidden_excerpt")
    for row in np.flatnonzero(scores >= HIDDEN_SURE).tolist():
        found.add(row, "hidden_instructions", 0, 0, scores[row], excerpts[row].as_py())


def _find_split_views(batch: pa.RecordBatch, found: Findings) -> None:
    differs = pc.fill_null(pc.invert(batch.column("digest_verified")), False)
    for row in np.flatnonzero(differs.to_numpy(zero_copy_only=False)).tolist():
        found.add(row, "split_view", 0, 0, 1.0, SPLIT_VIEW)
