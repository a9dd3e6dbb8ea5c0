"""All rules that need one document alone, over a batch."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filter.text import TextBatch
from pipeline.poison import characters, control, encoded, instructions, noise, signatures
from pipeline.poison.finding import Findings, Row
from pipeline.poison.invisible_bidi import parted
from pipeline.poison.invisible_payloads import visible_code
from pipeline.poison.invisible_seen import Seen, see_through
from pipeline.poison.rules import RULES
from pipeline.poison.text_model import TextModel

VERSION = 2
"""Changes whenever the same text gives something else."""

HIDDEN_SURE = 0.99
"""Score of a hidden passage that is called instructions. A page hides up to 32 passages, headlines and button texts
among them: at the threshold for visible text 9 of 680 real pages were pointed at, wrongly."""

BIDI_CONTROLS = "bidi_controls"
ENCODED = frozenset({"encoded_instructions", "encoded_text"})
SPLIT_VIEW = "the payload's digest is not the one that the archive declares"


def find_in_documents(batch: pa.RecordBatch, texts: TextBatch, model: TextModel) -> pa.RecordBatch:
    """The findings (of the schema FINDING) in a batch of documents, whose texts are `texts`."""
    found = Findings()
    seen = see_through(texts)
    for detect in (instructions.find, signatures.find):
        found.extend(seen.restored(detect(seen.texts).rows))
    found.extend(control.find(texts).rows)
    coded = encoded.find(texts).rows
    found.extend([*coded, *_taken_apart(seen, coded)])
    found.extend(characters.find(texts).rows)
    found.extend(_parted_pairs(texts, found.rows))
    found.extend(_beside(noise.find(texts, model).rows, found.rows))
    _find_hidden(batch, found)
    _find_split_views(batch, found)
    return found.batch()


def _taken_apart(seen: Seen, known: list[Row]) -> list[Row]:
    """Encoded instructions that invisible characters take apart: found without those, and not known otherwise."""
    changed = sorted(seen.places)
    if not changed:
        return []
    found = []
    spans: dict[int, list[tuple[int, int]]] = {}
    for document, rule, start, end, *_ in known:
        if rule == "encoded_instructions":
            spans.setdefault(document, []).append((start, end))
    texts = TextBatch(pa.array([seen.texts.strings[document] for document in changed], pa.string()))
    for row, rule, start, end, score, says in encoded.find(texts).rows:
        document, places = changed[row], seen.places[changed[row]]
        first, last = int(places[start]), int(places[end - 1])
        others = spans.get(document, [])
        if rule == "encoded_instructions" and not any(a <= first and last < b for a, b in others):
            found.append((document, rule, *seen.span(document, start, end), score, says))
    return found


def _parted_pairs(texts: TextBatch, rows: list[Row]) -> list[Row]:
    """Pairs of bidirectional controls of which a finding holds one: cut out with it, it would leave the other alone."""
    known = {(row[0], place) for row in rows if row[1] == BIDI_CONTROLS for place in range(row[2], row[3])}
    spans = [(row[0], row[2], row[3]) for row in rows if row[1] != BIDI_CONTROLS and RULES[row[1]].outcome != "tag"]
    places = np.array(parted(texts, spans), np.int64)
    found = []
    for place, document in zip(places.tolist(), texts.document_of(places).tolist(), strict=True):
        start = place - int(texts.begin[document])
        if (document, start) not in known:
            found.append((document, BIDI_CONTROLS, start, start + 1, 1.0, visible_code(texts.joined[place])))
    return found


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
