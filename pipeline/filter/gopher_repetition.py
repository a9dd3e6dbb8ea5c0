"""Repetition within a document: Rae et al. 2021 (Gopher), table A1, with the denominators of FineWeb's code."""

from dataclasses import dataclass, fields
from typing import Annotated

import pyarrow as pa
from annotated_types import Ge, Le
from pydantic import ConfigDict

from pipeline.filter.repeats import NGrams, again
from pipeline.filter.text import TextBatch
from pipeline.stage import Rule

Share = Annotated[float, Ge(0), Le(1)]

TOP = (2, 3, 4)
DUPLICATED = (5, 6, 7, 8, 9, 10)


@dataclass(frozen=True)
class GopherRepetition:
    """Drop a document with too much that it has said before. None turns a rule off.

    Paragraphs and lines are shares of their number; whatever ends in `chars` and the n-grams are shares of the text's
    characters. Top n-gram: the most frequent one; duplicate n-grams: all that came before, overlaps counted once.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_duplicate_paragraphs: Share | None = 0.30
    max_duplicate_paragraph_chars: Share | None = 0.20
    max_duplicate_lines: Share | None = 0.30
    max_duplicate_line_chars: Share | None = 0.20
    max_top_2_gram: Share | None = 0.20
    max_top_3_gram: Share | None = 0.18
    max_top_4_gram: Share | None = 0.16
    max_duplicate_5_grams: Share | None = 0.15
    max_duplicate_6_grams: Share | None = 0.14
    max_duplicate_7_grams: Share | None = 0.13
    max_duplicate_8_grams: Share | None = 0.12
    max_duplicate_9_grams: Share | None = 0.11
    max_duplicate_10_grams: Share | None = 0.10

    def edit(self, texts: TextBatch) -> None:
        """Repetition is not cut."""

    def measure(self, texts: TextBatch) -> dict[str, pa.Array]:
        """The text's length in characters, and a share for each threshold."""
        columns = {"characters": texts.column(texts.characters)}
        for name, pieces in (("paragraph", texts.paragraphs), ("line", texts.newline_run_pieces)):
            repeated = pieces[again(texts, pieces)]
            columns[f"duplicate_{name}s"] = texts.share(texts.count(repeated.document), texts.count(pieces.document))
            characters = texts.total(repeated.document, repeated.lengths)
            columns[f"duplicate_{name}_chars"] = texts.share(characters, texts.characters)
        ngrams = NGrams(texts)
        for n, characters in ngrams.top_characters(TOP).items():
            columns[f"top_{n}_gram"] = texts.share(characters, texts.characters)
        for n in DUPLICATED:
            columns[f"duplicate_{n}_grams"] = texts.share(ngrams.duplicated_characters(n), texts.characters)
        return columns

    def rules(self) -> tuple[Rule, ...]:
        """No text, then the thresholds in the order of the fields."""
        measures = ((field.name.removeprefix("max_"), getattr(self, field.name)) for field in fields(self))
        return (
            Rule("empty_text", "characters", minimum=1),
            *(Rule(measure, measure, maximum=limit) for measure, limit in measures if limit is not None),
        )

    def measuring(self) -> dict[str, object]:
        """Measured alike, whatever the thresholds."""
        return {}
