"""Is it prose? Rae et al. 2021 (Gopher), appendix A1.1, in the form of FineWeb's code."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from annotated_types import Ge, Le
from pydantic import ConfigDict

from pipeline.filter.text import Positions, TextBatch, codes_of
from pipeline.stage import Rule

Count = Annotated[int, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]

BULLETS = "•-"
ELLIPSIS = "…"


@dataclass(frozen=True)
class GopherQuality:
    """Keep documents that have the words, lines and signs of running text. None turns a rule off."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    min_words: Count | None = 50
    """Words that are not punctuation."""
    max_words: Count | None = 100_000
    min_mean_word_length: Annotated[float, Ge(0)] | None = 3
    """Mean characters of the words that are not punctuation."""
    max_mean_word_length: Annotated[float, Ge(0)] | None = 10
    max_symbol_ratio: Annotated[float, Ge(0)] | None = 0.1
    """# signs over words, or ellipses (… and ...) over words, whichever is more."""
    max_bullet_lines: Share | None = 0.9
    """Share of lines that start with • or -."""
    max_ellipsis_lines: Share | None = 0.3
    """Share of lines that end with … or ...."""
    min_alphabetic_words: Share | None = 0.8
    """Share of words with a letter; words of punctuation count among all."""
    min_stop_words: Count | None = 2
    """Distinct stop words, in small letters as they stand."""
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")

    def __post_init__(self) -> None:
        for low, high in (("min_words", "max_words"), ("min_mean_word_length", "max_mean_word_length")):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise ValueError(
                    f"gopher_quality.{low} is {least}, more than {high} ({most}); "
                    f"no document could pass. Lower {low} or raise {high}."
                )
        if self.min_stop_words is not None and self.min_stop_words > len(set(self.stop_words)):
            raise ValueError(
                f"gopher_quality.min_stop_words is {self.min_stop_words}, more than there are stop_words "
                f"({len(set(self.stop_words))}); no document could pass. Lower min_stop_words or name more stop_words."
            )

    def edit(self, texts: TextBatch) -> None:
        """Nothing is cut."""

    def measure(self, texts: TextBatch) -> dict[str, pa.Array]:
        """Counts and shares, one for each threshold."""
        proper = texts.words[~texts.is_punctuation]
        words = texts.count(proper.document)
        hashes, ellipses = texts.per_document(texts.positions("#")), _ellipses(texts)
        lines = texts.count(texts.lines.document)
        return {
            "words": texts.column(words),
            "mean_word_length": texts.share(texts.total(proper.document, proper.lengths), words),
            "symbol_ratio": texts.share(np.maximum(hashes, ellipses), texts.word_counts),
            "bullet_lines": texts.share(_bullet_lines(texts), lines),
            "ellipsis_lines": texts.share(_ellipsis_lines(texts), lines),
            "alphabetic_words": texts.share(texts.count(texts.words.document[texts.has_letter]), texts.word_counts),
            "stop_words": texts.column(self._stop_words(texts)),
        }

    def _stop_words(self, texts: TextBatch) -> Positions:
        found = np.zeros((len(texts), len(self.stop_words)), np.bool_)
        for number, code in enumerate(codes_of(sorted(set(self.stop_words)))):
            found[texts.words.document[texts.word_codes == code], number] = True
        return found.sum(axis=1)

    def rules(self) -> tuple[Rule, ...]:
        """The thresholds that are set, in the order of FineWeb's code."""
        rules = (
            Rule("too_few_words", "words", minimum=self.min_words),
            Rule("too_many_words", "words", maximum=self.max_words),
            Rule(
                "mean_word_length", "mean_word_length", minimum=self.min_mean_word_length,
                maximum=self.max_mean_word_length
            ),
            Rule("symbol_ratio", "symbol_ratio", maximum=self.max_symbol_ratio),
            Rule("bullet_lines", "bullet_lines", maximum=self.max_bullet_lines),
            Rule("ellipsis_lines", "ellipsis_lines", maximum=self.max_ellipsis_lines),
            Rule("alphabetic_words", "alphabetic_words", minimum=self.min_alphabetic_words),
            Rule("stop_words", "stop_words", minimum=self.min_stop_words),
        )  # fmt: skip
        return tuple(rule for rule in rules if rule.minimum is not None or rule.maximum is not None)

    def measuring(self) -> dict[str, object]:
        """The stop words that are looked for."""
        return {"stop_words": list(self.stop_words)}


def _ellipses(texts: TextBatch) -> Positions:
    """`text.count("...") + text.count("…")` of every document."""
    dots = texts.positions(".")
    first = np.flatnonzero(np.diff(dots, prepend=-2) > 1)
    triples = np.diff(np.append(first, len(dots))) // 3
    document = texts.document_of(dots[first])
    return texts.total(document, triples) + texts.per_document(texts.positions(ELLIPSIS))


def _bullet_lines(texts: TextBatch) -> Positions:
    lines = texts.stripped(texts.lines)
    bullets = np.isin(texts.code_points[lines.start], [ord(bullet) for bullet in BULLETS])
    return texts.count(lines.document[bullets & (lines.lengths > 0)])


def _ellipsis_lines(texts: TextBatch) -> Positions:
    lines = texts.stripped(texts.lines)
    return texts.count(lines.document[texts.ends_with_ellipsis(lines) | texts.ends_with(lines, ELLIPSIS)])
