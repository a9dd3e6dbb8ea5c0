"""Quotations in a text: what a page about attacks shows, and what whoever imitates one hides an attack in.

Marks are paired as they nest, within a line, in the manners of several languages (Unicode, chapter 6.2, "Language-Based
Usage of Quotation Marks").
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from pipeline.filter.characters import SEPARATOR
from pipeline.filter.text import Pieces, TextBatch
from pipeline.filter.words import Positions

CLOSERS = {
    '"': '"', "`": "`", "“": "”“", "”": "”", "„": "“”", "«": "»", "»": "«»", "「": "」", "『": "』",
    "'": "'", "‘": "’", "‚": "‘’",
}  # fmt: skip
"""What ends a quotation that each mark begins. “ ends what “ began only by a slip, and Swedish and Finnish begin with
the mark they end with."""

APOSTROPHES = "'’‘"
"""Marks that are more often none: one counts only where what stands on its two sides says which it is."""

BEGINS_BEHIND, ENDS_BEFORE = "([{“„«「『", ")]}.,;:!?”»」』"
"""Beside white space, what a mark that begins a quotation follows, and what one that ends it stands before."""

DEEPEST = 8
"""Marks of one line that wait for a second one; of more the first are given up."""


def quotations(texts: TextBatch, documents: Positions) -> Pieces:
    """What stands between two quotation marks, or marks of code, in some documents, the marks with it.

    Of quotations within each other the outermost; a mark without a second one on its line counts for nothing.
    """
    marks = np.flatnonzero(_marks()[texts.code_points])
    document = texts.document_of(marks)
    wanted = np.isin(document, documents)
    marks, document = marks[wanted], document[wanted]
    line = np.searchsorted(np.union1d(texts.newlines, texts.begin), marks, side="right")
    start: list[int] = []
    end: list[int] = []
    for group in np.split(marks, np.flatnonzero(np.diff(line)) + 1):
        for first, last in _pairs(group.tolist(), texts.joined):
            start.append(first)
            end.append(last + 1)
    places = np.array(start, np.int64)
    return Pieces(places, np.array(end, np.int64), texts.document_of(places))


def _pairs(marks: list[int], joined: str) -> list[tuple[int, int]]:
    """Of one line's marks the outermost pairs, in order."""
    opened: list[int] = []
    found: list[tuple[int, int]] = []
    for place in marks:
        mark = joined[place]
        begins, ends = _roles(joined, place)
        level = next((n for n in reversed(range(len(opened))) if mark in CLOSERS[joined[opened[n]]]), None)
        if ends and level is not None:
            first = opened[level]
            del opened[level:]
            while found and found[-1][0] > first:
                found.pop()
            found.append((first, place))
        elif begins and mark in CLOSERS:
            opened.append(place)
            del opened[:-DEEPEST]
    return found


def _roles(joined: str, place: int) -> tuple[bool, bool]:
    """Whether a mark can begin a quotation, and whether it can end one, by what stands beside it."""
    before, behind = joined[place - 1], joined[place + 1]
    begins = before.isspace() or before in BEGINS_BEHIND
    ends = behind.isspace() or behind in ENDS_BEFORE
    return (begins, ends) if begins != ends or joined[place] in APOSTROPHES else (True, True)


@cache
def _marks() -> npt.NDArray[np.bool_]:
    """By code point."""
    table = np.zeros(SEPARATOR + 1, np.bool_)
    table[[ord(mark) for mark in {*CLOSERS, *"".join(CLOSERS.values())}]] = True
    return table
