"""Texts as the rules that read words see them: without invisible characters, and where each place stands in the text.

One such character before a word, or in it, makes another word of it, which no list has (Boucher & Anderson 2021).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.filter.text import TextBatch
from pipeline.filter.words import Positions
from pipeline.poison.characters_tables import FILLER, JOINER, JOINING, PLAIN, invisible
from pipeline.poison.finding import EVIDENCE, Row
from pipeline.poison.invisible import is_apart, script_beside

ZERO_WIDTH_SPACE = 0x200B


@dataclass(frozen=True)
class Seen:
    """`texts` is the batch as it is seen; `places` has, for each document that changed, where its characters stand in
    the original, and the original's length behind them."""

    texts: TextBatch
    original: TextBatch
    places: dict[int, Positions]

    def span(self, document: int, start: int, end: int) -> tuple[int, int]:
        """A span of the seen text, not empty, in the original, with the invisible characters beside it."""
        places = self.places.get(document)
        if places is None:
            return start, end
        return int(places[start - 1]) + 1 if start else 0, int(places[end])

    def restored(self, rows: Iterable[Row]) -> list[Row]:
        """Findings in the seen texts as findings in the originals, whose text is their evidence."""
        found = []
        for document, rule, start, end, score, evidence in rows:
            if document in self.places:
                start, end = self.span(document, start, end)
                evidence = self.original.strings[document][start : min(end, start + EVIDENCE)]
            found.append((document, rule, start, end, score, evidence))
        return found


def see_through(texts: TextBatch) -> Seen:
    """The batch without invisible characters; itself where it has none.

    Joiners stay beside letters of scripts that need them. A zero-width space or a filler between letters of other
    scripts is a space: it stands where some write one. (`encoded` reads the letters on its two sides as one word.)
    """
    kinds = invisible()[texts.code_points]
    special = np.flatnonzero(kinds != PLAIN)
    if not len(special):
        return Seen(texts, texts, {})
    before, after = script_beside(texts, special - 1, kinds, -1), script_beside(texts, special + 1, kinds, 1)
    of_kind, codes = kinds[special], texts.code_points.copy()
    needed = (of_kind == JOINER) & ((before == JOINING) | (after == JOINING))
    parts = ((codes[special] == ZERO_WIDTH_SPACE) | (of_kind == FILLER)) & is_apart(before) & is_apart(after)
    codes[special[parts]] = ord(" ")
    keep = np.ones(len(codes), np.bool_)
    keep[special[~needed & ~parts]] = False
    strings, places = list(texts.strings), {}
    for document in np.unique(texts.document_of(special[~needed])).tolist():
        begin, end = int(texts.begin[document]), int(texts.end[document])
        kept = np.flatnonzero(keep[begin:end])
        strings[document] = codes[begin + kept].tobytes().decode("utf-32-le")
        places[document] = np.append(kept, end - begin)
    return Seen(TextBatch(pa.array(strings, pa.string())), texts, places) if places else Seen(texts, texts, {})
