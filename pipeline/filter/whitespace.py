"""White space as running text has it: one space between words, at most one empty line between paragraphs.

Extracted tables and menus come with runs of hundreds of spaces, which a small model learns first of all.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pydantic import ConfigDict

from pipeline.filter.edit import cut
from pipeline.filter.text import TextBatch
from pipeline.stage import Rule

BLANKS = (0x09, 0x20, 0xA0, 0x2007, 0x202F, 0x3000)
"""Tab, space, and the wide, narrow and unbreakable ones."""


@dataclass(frozen=True)
class Whitespace:
    """Cut spaces behind the first of a run, those at the ends of lines, and newlines beyond `max_newlines` of a run.

    Indentation goes too: for prose, not for code.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_newlines: int = 2

    def __post_init__(self) -> None:
        if self.max_newlines < 1:
            raise ValueError(f"whitespace.max_newlines is {self.max_newlines}; lines are parted by at least 1.")

    def edit(self, texts: TextBatch) -> tuple[pa.Array, pa.Array, dict[str, pa.Array]]:
        """Texts without surplus white space; `characters_cut` of each."""
        points = texts.code_points
        newline, blank = points == 0x0A, np.isin(points, BLANKS)
        white = newline | blank
        white[texts.end] = False  # the separators, so that no run crosses documents
        edges = np.flatnonzero(np.diff(white, prepend=False, append=False))
        start, end = edges[0::2], edges[1::2]
        document = texts.document_of(start)
        outer = (start == texts.begin[document]) | (end == texts.end[document])

        run = np.cumsum(np.isin(np.arange(len(points)), start)) - 1  # of a white character, its run's number
        newlines_before = np.concatenate([[0], np.cumsum(newline)])
        rank = newlines_before[1:][white] - newlines_before[start][run[white]]  # 1 for a run's first newline
        single = newlines_before[end] == newlines_before[start]
        stays = newline[white] & (rank <= self.max_newlines)
        stays |= single[run[white]] & (np.flatnonzero(white) == start[run[white]])
        stays &= ~outer[run[white]]

        kept = np.ones(len(points), np.bool_)
        kept[np.flatnonzero(white)[~stays]] = False
        edited, spans = cut(texts, kept)
        lost = np.flatnonzero(~kept)
        return edited, spans, {"characters_cut": texts.column(texts.count(texts.document_of(lost)))}

    def measure(self, texts: TextBatch) -> dict[str, pa.Array]:
        """Nothing besides."""
        return {}

    def rules(self) -> tuple[Rule, ...]:
        """None: nothing is dropped."""
        return ()

    def measuring(self) -> dict[str, object]:
        """What decides how much is cut."""
        return {"max_newlines": self.max_newlines}
