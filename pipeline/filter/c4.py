"""Lines that are not text are cut, and pages that are not text dropped: Raffel et al. 2020 (C4), section 2.2.

The order of the checks inside a line is that of FineWeb's code, which differs from C4's own in its numbers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
from annotated_types import Ge
from pydantic import ConfigDict

from pipeline.filter.edit import keep_lines
from pipeline.filter.text import Pieces, Positions, TextBatch, Truths
from pipeline.stage import Rule

Count = Annotated[int, Ge(0)]

CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
END_MARKS = ".?!\"'"
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

LONG_WORD, NO_END_MARK, FEW_WORDS, JAVASCRIPT, POLICY = range(1, 6)
COLUMNS = {
    LONG_WORD: "lines_long_word",
    NO_END_MARK: "lines_no_end_mark",
    FEW_WORDS: "lines_few_words",
    JAVASCRIPT: "lines_javascript",
    POLICY: "lines_policy",
}
"""Why a line is cut, in the order of the checks, and the column that counts it."""


@dataclass(frozen=True)
class C4:
    """Cut lines and citations; drop documents with filler or code, or too few sentences left. None turns a rule off.

    White space at the ends of lines goes as well. Words are split at white space here.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    terminal_punctuation: bool = False  # C4 has True
    """Cut lines that do not end in . ? ! " or ' or that end in an ellipsis."""
    min_words_per_line: Count | None = 3  # C4's code has 5, its paper 3
    max_word_length: Count | None = 1000
    """Cut lines with a longer word, in characters."""
    min_sentences: Count | None = 5  # C4's code has 3, its paper 5
    """Sentences in the lines that are left."""
    cut_javascript: bool = True
    """Cut lines that mention JavaScript."""
    cut_policy: bool = True
    """Cut lines about terms of use, privacy and cookies."""
    cut_citations: bool = True
    """Cut Wikipedia's [1], [edit] and [citation needed]."""
    drop_lorem_ipsum: bool = True
    drop_curly_bracket: bool = True

    def edit(self, texts: TextBatch) -> tuple[pa.Array, pa.Array, dict[str, pa.Array]]:
        """Lines and citations cut; counts of lines cut by reason and of citations cut from the lines that stay.

        `lorem_ipsum` and `curly_bracket` are looked for in the lines that reach these checks. Between two lines that
        stay one line break stays, a newline if there is one.
        """
        lines = Lines(texts, cut_citations=self.cut_citations)
        reasons = np.zeros(len(lines.raw), np.uint8)

        def give(reason: int, found: Truths) -> None:
            reasons[(reasons == 0) & found] = reason

        if self.max_word_length is not None:
            give(LONG_WORD, lines.with_word_over(self.max_word_length))
        if self.terminal_punctuation:
            give(NO_END_MARK, ~lines.ends)
        if self.min_words_per_line is not None:
            give(FEW_WORDS, lines.word_counts < self.min_words_per_line)
        lorem_ipsum = (reasons == 0) & lines.mention("lorem ipsum")
        if self.cut_javascript:
            give(JAVASCRIPT, lines.mention("javascript"))
        curly_bracket = (reasons == 0) & lines.bracketed
        if self.cut_policy:
            give(POLICY, lines.mention(*POLICIES))

        edited, spans = keep_lines(texts, lines.raw, lines.stripped, reasons == 0, lines.citations.pieces)
        document = lines.raw.document
        columns = {"lines": texts.column(texts.count(document))}
        for reason, name in COLUMNS.items():
            columns[name] = texts.column(texts.count(document[reasons == reason]))
        cited = lines.citations.line[reasons[lines.citations.line] == 0]
        columns["citations"] = texts.column(texts.count(document[cited]))
        columns["lorem_ipsum"] = texts.column(texts.count(document[lorem_ipsum]) > 0)
        columns["curly_bracket"] = texts.column(texts.count(document[curly_bracket]) > 0)
        return edited, spans, columns

    def measure(self, texts: TextBatch) -> dict[str, pa.Array]:
        """Sentences left."""
        return {"sentences": texts.column(texts.sentences)}

    def rules(self) -> tuple[Rule, ...]:
        """Filler and code, then the number of sentences."""
        rules = []
        if self.drop_lorem_ipsum:
            rules.append(Rule("lorem_ipsum", "lorem_ipsum", maximum=0))
        if self.drop_curly_bracket:
            rules.append(Rule("curly_bracket", "curly_bracket", maximum=0))
        if self.min_sentences is not None:
            rules.append(Rule("too_few_sentences", "sentences", minimum=self.min_sentences))
        return tuple(rules)

    def measuring(self) -> dict[str, object]:
        """What decides which lines stay."""
        names = (
            "terminal_punctuation", "min_words_per_line", "max_word_length",
            "cut_javascript", "cut_policy", "cut_citations",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


class Citations(NamedTuple):
    """Where the citations stand, and in which line (by number) each of them."""

    pieces: Pieces
    line: Positions


@dataclass
class Lines:
    """The lines of a batch as the checks see them: without white space at their ends, and without citations.

    Few lines have a citation; only for those is a string built.
    """

    texts: TextBatch
    cut_citations: bool

    @cached_property
    def raw(self) -> Pieces:
        """The lines between line breaks."""
        return self.texts.lines

    @cached_property
    def stripped(self) -> Pieces:
        """The lines without the white space at their ends."""
        return self.texts.stripped(self.raw)

    @cached_property
    def citations(self) -> Citations:
        """What CITATION matches, where it is to be cut."""
        spans = []
        if self.cut_citations and "[" in self.texts.joined:
            spans = [match.span() for match in CITATION.finditer(self.texts.joined)]
        start, end = np.array(spans, np.int64).reshape(-1, 2).T
        return Citations(Pieces(start, end, self.texts.document_of(start)), self._line_of(start))

    @cached_property
    def _without_citations(self) -> dict[int, str]:
        """What is left of the lines that have citations."""
        start, end = self.stripped.start, self.stripped.end
        numbers = np.unique(self.citations.line).tolist()
        return {number: CITATION.sub("", self.texts.joined[start[number] : end[number]]) for number in numbers}

    def _line_of(self, positions: Positions) -> Positions:
        return np.searchsorted(self.raw.start, positions, side="right") - 1

    def _but_where_cited(self, found: Truths, test: Callable[[str], bool]) -> Truths:
        for number, line in self._without_citations.items():
            found[number] = test(line)
        return found

    @cached_property
    def word_counts(self) -> Positions:
        """`len(line.split())`, citations counted."""
        first, behind = self.texts.words_within(self.raw)
        before = np.concatenate([[0], np.cumsum(self.texts.after_space)])
        return before[behind] - before[first]

    def with_word_over(self, length: int) -> Truths:
        """Lines with a longer word, citations counted."""
        words = self.texts.words
        first = np.flatnonzero(self.texts.after_space)
        ends = words.end[np.append(first[1:], len(words))[: len(first)] - 1]
        found = np.zeros(len(self.raw), np.bool_)
        found[self._line_of(words.start[first[ends - words.start[first] > length]])] = True
        return found

    @cached_property
    def ends(self) -> Truths:
        """Lines that end with an end mark and not with an ellipsis."""
        texts, lines = self.texts, self.stripped
        found = texts.ends_with(lines, END_MARKS) & ~texts.ends_with_ellipsis(lines)
        return self._but_where_cited(found, lambda line: line.endswith(tuple(END_MARKS)) and not line.endswith("..."))

    @cached_property
    def bracketed(self) -> Truths:
        """Lines with a curly bracket."""
        found = np.zeros(len(self.raw), np.bool_)
        found[self._line_of(self.texts.positions("{"))] = True
        return found

    def mention(self, *needles: str) -> Truths:
        """Lines with one of the needles, in capital or small letters."""
        found = np.zeros(len(self.raw), np.bool_)
        for needle in needles:
            found[self._line_of(self.texts.find(needle))] = True
        return self._but_where_cited(found, lambda line: any(needle in line.lower() for needle in needles))
