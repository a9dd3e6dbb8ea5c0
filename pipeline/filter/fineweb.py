"""Lists, menus and boilerplate by the shape of their lines: Penedo et al. 2024 (FineWeb), section 3.6."""

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
from annotated_types import Ge, Le
from pydantic import ConfigDict

from pipeline.filter.characters import SENTENCE_END
from pipeline.filter.repeats import again
from pipeline.filter.text import TextBatch
from pipeline.stage import Rule

Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class FineWeb:
    """Drop documents whose lines are not those of paragraphs. None turns a rule off.

    Lines without text do not count.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    min_line_end_punctuation: Share | None = 0.12
    """Share of lines that end with the end of a sentence."""
    max_short_lines: Share | None = 0.67
    """Share of lines of at most `short_line_length` characters."""
    short_line_length: Annotated[int, Ge(0)] = 30
    max_char_duplicates: Share | None = 0.01  # the code's default; the paper has 0.1
    """Share of characters in lines that came before, among the characters that are not newlines."""
    max_newline_ratio: Annotated[float, Ge(0)] | None = 0.3
    """Newlines over words, punctuation counted."""

    def edit(self, texts: TextBatch) -> None:
        """Nothing is cut."""

    def measure(self, texts: TextBatch) -> dict[str, pa.Array]:
        """The number of lines with text, and a share for each threshold."""
        every = texts.newline_pieces
        lines = every[texts.stripped(every).lengths > 0]
        count = texts.count(lines.document)
        ended = texts.flags[lines.end - 1] & SENTENCE_END != 0
        short = lines.lengths <= self.short_line_length
        repeated = lines[again(texts, lines)]
        newlines = texts.per_document(texts.newlines)
        return {
            "lines": texts.column(count),
            "line_end_punctuation": texts.share(texts.count(lines.document[ended]), count),
            "short_lines": texts.share(texts.count(lines.document[short]), count),
            "char_duplicates": texts.share(
                texts.total(repeated.document, repeated.lengths), texts.characters - newlines
            ),
            "newline_ratio": texts.share(newlines, texts.word_counts),
        }

    def rules(self) -> tuple[Rule, ...]:
        """No lines, then the thresholds that are set, in the order of FineWeb's code."""
        rules = (
            Rule("no_lines", "lines", minimum=1),
            Rule("line_end_punctuation", "line_end_punctuation", minimum=self.min_line_end_punctuation),
            Rule("short_lines", "short_lines", maximum=self.max_short_lines),
            Rule("char_duplicates", "char_duplicates", maximum=self.max_char_duplicates),
            Rule("newline_ratio", "newline_ratio", maximum=self.max_newline_ratio),
        )
        return tuple(rule for rule in rules if rule.minimum is not None or rule.maximum is not None)

    def measuring(self) -> dict[str, object]:
        """What counts as short."""
        return {"short_line_length": self.short_line_length}
