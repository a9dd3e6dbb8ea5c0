"""Cutting texts, and saying exactly what was cut: an edited text is the text before, minus its spans."""

import numpy as np
import pyarrow as pa

from pipeline.document import SPANS
from pipeline.filter.text import Pieces, Positions, TextBatch, Truths


def keep_lines(
    texts: TextBatch, raw: Pieces, stripped: Pieces, stays: Truths, inside: Pieces
) -> tuple[pa.Array, pa.Array]:
    """(edited texts, spans cut): the stripped lines that stay, joined by a line break, minus the pieces `inside` them.

    `raw` and `stripped` are the same lines with and without the white space at their ends; it also goes from the ends
    of the whole text. Spans are byte ranges of the UTF-8 text, ascending and apart; null where the text is null.
    """
    kept = _covered(texts, stripped[stays]) & ~_covered(texts, inside)
    kept[_breaks_between(texts, raw[stays])] = True
    blank = stripped.document[stays & (stripped.lengths == 0)]
    for document in np.union1d(blank, inside.document).tolist():
        _strip(texts, kept, int(texts.begin[document]), int(texts.end[document]))
    return cut(texts, kept)


def cut(texts: TextBatch, kept: Truths) -> tuple[pa.Array, pa.Array]:
    """(texts of the characters that are `kept`, the spans of the others)."""
    kept[0] = kept[texts.end] = True  # the separators, so that no cut crosses documents
    edges = np.flatnonzero(kept[1:] != kept[:-1]) + 1
    cuts = Pieces(edges[0::2], edges[1::2], texts.document_of(edges[0::2]))
    return _without(texts, cuts), spans(texts, cuts)


def spans(texts: TextBatch, cuts: Pieces) -> pa.Array:
    """Pieces, which ascend, as byte ranges of each document's UTF-8 text; null where the text is null."""
    start, end, begin = cuts.start, cuts.end, texts.begin[cuts.document]
    if not texts.joined.isascii():
        code_points = texts.code_points
        before = np.zeros(len(code_points) + 1, np.int64)
        np.cumsum((code_points >= 0x80) + 1 + (code_points >= 0x800) + (code_points >= 0x10000), out=before[1:])
        start, end, begin = before[start], before[end], before[begin]
    offsets = np.concatenate([[0], np.cumsum(texts.count(cuts.document))]).astype(np.int32)
    ranges = pa.StructArray.from_arrays([pa.array(start - begin), pa.array(end - begin)], fields=list(SPANS.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), ranges, type=SPANS, mask=pa.array(~texts.valid))


def _covered(texts: TextBatch, pieces: Pieces) -> Truths:
    """Characters in one of the pieces, which do not overlap."""
    some = pieces[pieces.lengths > 0]
    steps = np.zeros(len(texts.code_points), np.int8)
    np.add.at(steps, some.start, 1)
    np.add.at(steps, some.end, -1)
    return np.cumsum(steps, dtype=np.int8).astype(np.bool_)


def _breaks_between(texts: TextBatch, lines: Pieces) -> Positions:
    """One line break between each two neighbours of a document: the first newline, else the first break.

    A cut can't turn another break (U+2028, a lone carriage return) into the newline that FineWeb's code writes there.
    """
    neighbours = lines.document[1:] == lines.document[:-1]
    end, start = lines.end[:-1][neighbours], lines.start[1:][neighbours]
    newlines = np.append(texts.newlines, len(texts.code_points))
    newline = newlines[np.searchsorted(newlines, end)]
    return np.where(newline < start, newline, end)


def _strip(texts: TextBatch, kept: Truths, begin: int, end: int) -> None:
    """Take the white space from both ends of what is kept of a document."""
    here = kept[begin:end]
    visible = np.flatnonzero(here & texts.visible[begin:end])
    if len(visible) == 0:
        here[:] = False
    else:
        here[: visible[0]] = False
        here[visible[-1] + 1 :] = False


def _without(texts: TextBatch, cuts: Pieces) -> pa.Array:
    """The texts without the cuts; the same array where there are none."""
    if len(cuts) == 0:
        return texts.texts
    strings: list[str | None] = list(texts.strings)
    changed, first = np.unique(cuts.document, return_index=True)
    for document, start, behind in zip(changed, first, [*first[1:], len(cuts)], strict=True):
        edges = [texts.begin[document], *np.stack([cuts.start, cuts.end], 1)[start:behind].ravel(), texts.end[document]]
        runs = zip(edges[0::2], edges[1::2], strict=True)
        strings[document] = "".join([texts.joined[begin:end] for begin, end in runs])
    return pa.array(strings, pa.string(), mask=~texts.valid)
