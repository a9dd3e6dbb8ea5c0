"""A batch of texts with the views that the rules read: words, lines, paragraphs, sentences; each made at most once.

All documents stand in one array of code points, so that a statistic over the batch is a few NumPy operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.characters import (
    ALPHABETIC,
    LINE_BREAK,
    SENTENCE_END,
    SEPARATOR,
    SPACE,
    UPPER,
    WORDLIKE,
    tables,
)
from pipeline.filter.words import Positions, find_words

Codes = npt.NDArray[np.uint64]
Truths = npt.NDArray[np.bool_]

BASE = 0x9E6C63D0676A9A99
"""Base of the polynomial hash modulo 2^64, odd and arbitrary. Among 10^5 texts 64 bits collide once in 10^9 batches."""

ABBREVIATIONS = """
Mr Mrs Ms Dr Prof Rev Hon Gen Sen Rep Gov Col Capt Lt Sgt St Mt Jr Sr vs Inc Ltd Co Corp Bros e.g i.e cf al Fig fig Vol
vol pp approx dept est Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Nr bzw z.B d.h ca usw
""".split()
"""Words whose full stop does not end a sentence; nor does the one after a single capital letter, except I."""


@dataclass(frozen=True)
class Pieces:
    """Stretches of the batch: `start` and `end` as positions in the batch's code points, and whose they are."""

    start: Positions
    end: Positions
    document: Positions

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | Positions) -> "Pieces":
        return Pieces(self.start[chosen], self.end[chosen], self.document[chosen])

    @property
    def lengths(self) -> Positions:
        """In characters."""
        return self.end - self.start


class TextBatch:
    """Texts (null counts as empty) and their views. Positions count characters from the start of the whole batch."""

    def __init__(self, texts: pa.Array | pa.ChunkedArray) -> None:
        whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        self.texts: pa.Array = whole.cast(pa.string())
        self.valid: Truths = np.asarray(self.texts.is_valid().to_numpy(zero_copy_only=False), np.bool_)

    def __len__(self) -> int:
        return len(self.texts)

    # -- characters ------------------------------------------------------------------------------------------------

    @cached_property
    def strings(self) -> list[str]:
        """The texts as Python strings."""
        return [text or "" for text in self.texts.to_pylist()]

    @cached_property
    def joined(self) -> str:
        """All texts, with a newline before, between and behind them: one character a position."""
        return "\n".join(["", *self.strings, ""])

    @cached_property
    def lowered(self) -> str:
        """`joined` in lower case, character by character: the one letter that would become two, İ, is left."""
        return self.joined.replace("\u0130", "\0").lower()

    @cached_property
    def characters(self) -> Positions:
        """Length of each document in code points."""
        return np.fromiter(map(len, self.strings), np.int64, len(self))

    @cached_property
    def begin(self) -> Positions:
        """Position of each document's first character."""
        return self.end - self.characters

    @cached_property
    def end(self) -> Positions:
        """Position behind each document's last character, where a separator stands."""
        return np.cumsum(self.characters + 1)

    @cached_property
    def code_points(self) -> npt.NDArray[np.uint32]:
        """`joined` as numbers, with SEPARATOR around and between the documents."""
        code_points = np.frombuffer(self.joined.encode("utf-32-le"), np.uint32).copy()
        code_points[0] = SEPARATOR
        code_points[self.end] = SEPARATOR
        return code_points

    @cached_property
    def flags(self) -> npt.NDArray[np.uint8]:
        """What each character is; see characters.py."""
        return tables().flags[self.code_points]

    @cached_property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """What each character is to the word splitter; see characters.py."""
        return tables().kinds[self.code_points]

    @cached_property
    def visible(self) -> Truths:
        """Characters that are not white space."""
        return self.kinds != SPACE

    def positions(self, character: str) -> Positions:
        """Where a character stands."""
        return np.flatnonzero(self.code_points == ord(character))

    def document_of(self, positions: Positions) -> Positions:
        """Whose the characters are."""
        return np.searchsorted(self.begin, positions, side="right") - 1

    def find(self, needle: str) -> Positions:
        """Where a text without newlines stands in the lowered texts."""
        found, at = [], self.lowered.find(needle)
        while at >= 0:
            found.append(at)
            at = self.lowered.find(needle, at + 1)
        return np.array(found, np.int64)

    @cached_property
    def _prefix_codes(self) -> Codes:
        """Entry i is the hash of the first i characters: differences of two are hashes of what lies between."""
        size = len(self.code_points)
        codes = np.zeros(size + 1, np.uint64)
        terms = np.multiply(self.code_points, powers(size)[:size], dtype=np.uint64)
        terms += powers(size)[:size]  # so that U+0000 counts
        np.cumsum(terms, out=codes[1:])
        return codes

    def codes(self, pieces: Pieces) -> Codes:
        """A 64-bit hash of each piece's text, the same in every batch."""
        prefix, size = self._prefix_codes, len(self.code_points)
        return (prefix[pieces.end] - prefix[pieces.start]) * inverse_powers(size)[pieces.start]

    # -- words -----------------------------------------------------------------------------------------------------

    @cached_property
    def words(self) -> Pieces:
        """The words, signs of punctuation among them; see words.find_words."""
        start, end = find_words(self.code_points, self.kinds)
        counts = np.diff(np.searchsorted(start, np.append(self.begin, len(self.code_points))))
        return Pieces(start, end, np.repeat(np.arange(len(self)), counts))

    @cached_property
    def word_offsets(self) -> Positions:
        """Document d has the words word_offsets[d] to word_offsets[d + 1]."""
        return np.searchsorted(self.words.document, np.arange(len(self) + 1))

    @cached_property
    def word_counts(self) -> Positions:
        """Words a document, punctuation included."""
        return np.diff(self.word_offsets)

    @cached_property
    def word_codes(self) -> Codes:
        """A 64-bit hash of each word."""
        return self.codes(self.words)

    @cached_property
    def _word_flags(self) -> npt.NDArray[np.uint8]:
        """The flags of all characters of each word; the spaces behind it add none that a word is asked for."""
        if len(self.words) == 0:
            return np.zeros(0, np.uint8)
        return np.bitwise_or.reduceat(self.flags, self.words.start)

    @cached_property
    def has_letter(self) -> Truths:
        """Words with a letter."""
        return self._word_flags & ALPHABETIC != 0

    @cached_property
    def is_punctuation(self) -> Truths:
        """Words of nothing but punctuation."""
        return self._word_flags & WORDLIKE == 0

    @cached_property
    def after_space(self) -> Truths:
        """Words with white space or nothing before them: where `str.split` splits."""
        follows = np.ones(len(self.words), np.bool_)
        follows[1:] = self.words.start[1:] != self.words.end[:-1]
        return follows

    def words_within(self, pieces: Pieces) -> tuple[Positions, Positions]:
        """(first, behind the last) of the words of each piece; pieces that do not cut words."""
        starts = self.words.start
        return np.searchsorted(starts, pieces.start), np.searchsorted(starts, pieces.end)

    def stripped(self, pieces: Pieces) -> Pieces:
        """Pieces without the white space at their ends, as `str.strip` leaves them; empty ones stay at their start."""
        first, behind = self.words_within(pieces)
        some = first < behind
        start, end = pieces.start.copy(), pieces.start.copy()
        start[some] = self.words.start[first[some]]
        end[some] = self.words.end[behind[some] - 1]
        return Pieces(start, end, pieces.document)

    def ends_with(self, pieces: Pieces, characters: str) -> Truths:
        """Pieces whose last character is one of these."""
        last = self.code_points[pieces.end - 1]
        return (pieces.lengths > 0) & np.isin(last, [ord(character) for character in characters])

    def ends_with_ellipsis(self, pieces: Pieces) -> Truths:
        """Pieces that end with three full stops."""
        dots = pieces.lengths >= 3
        for back in (1, 2, 3):
            dots &= self.code_points[pieces.end - back] == ord(".")
        return dots

    # -- lines -----------------------------------------------------------------------------------------------------

    @cached_property
    def newlines(self) -> Positions:
        """Where the newlines (U+000A) of the documents stand."""
        return self.positions("\n")

    @cached_property
    def _newline_runs(self) -> tuple[Positions, Positions]:
        apart = np.diff(self.newlines, prepend=-1) > 1
        ends_apart = np.diff(self.newlines, append=len(self.code_points) + 1) > 1
        return self.newlines[apart], self.newlines[ends_apart] + 1

    @cached_property
    def documents(self) -> Pieces:
        """Each document whole."""
        return Pieces(self.begin, self.end, np.arange(len(self)))

    @cached_property
    def newline_pieces(self) -> Pieces:
        """`text.split("\\n")` of every document."""
        return self._between(self.documents, self.newlines, self.newlines + 1)

    @cached_property
    def newline_run_pieces(self) -> Pieces:
        """Documents split at runs of newlines, so that only a first and a last piece can be empty."""
        return self._between(self.documents, *self._newline_runs)

    @cached_property
    def paragraphs(self) -> Pieces:
        """Documents without the white space at their ends, split at two newlines or more."""
        start, end = self._newline_runs
        long = end - start >= 2
        return self._between(self.stripped(self.documents), start[long], end[long])

    @cached_property
    def lines(self) -> Pieces:
        """`text.splitlines()` of every document."""
        breaks = np.flatnonzero(self.flags & LINE_BREAK)
        pair = (self.code_points[breaks] == 13) & (self.code_points[breaks + 1] == 10)  # \r\n is one break
        second = np.zeros(len(breaks), np.bool_)
        second[1:] = pair[:-1]
        pieces = self._between(self.documents, breaks[~second], (breaks + 1 + pair)[~second])
        return pieces[pieces.start < self.end[pieces.document]]

    def _between(self, wholes: Pieces, cut_start: Positions, cut_end: Positions) -> Pieces:
        """What lies between cuts in each document's piece; cuts outside of it are ignored."""
        document = self.document_of(cut_start)
        inside = (cut_start >= wholes.start[document]) & (cut_start < wholes.end[document])
        start = np.concatenate([wholes.start, cut_end[inside]])
        end = np.concatenate([cut_start[inside], wholes.end])
        start.sort(kind="stable")
        end.sort(kind="stable")
        return Pieces(start, end, self.document_of(start))

    # -- sentences -------------------------------------------------------------------------------------------------

    @cached_property
    def sentence_starts(self) -> Positions:
        """The words, by number, with which sentences begin.

        A line begins one; so does the first word that is not punctuation after a sentence end (. ! ? and the like of
        other scripts; not an ellipsis, an initial, an abbreviation). The rule is that of spaCy's sentencizer.
        """
        words = self.words
        if len(words) == 0:
            return np.zeros(0, np.int64)
        enders = self.is_punctuation & (self.flags[words.start] & SENTENCE_END != 0)
        dots = np.flatnonzero(enders & (self.code_points[words.start] == ord(".")))
        enders[dots[(words.lengths[dots] > 1) | self._abbreviated(dots)]] = False
        first, behind = self.words_within(self.lines)
        begins_line = np.zeros(len(words), np.bool_)
        begins_line[first[first < behind]] = True
        candidates = np.flatnonzero(begins_line | ~self.is_punctuation)
        ends_before = (np.cumsum(enders) - enders)[candidates]
        return candidates[begins_line[candidates] | (np.diff(ends_before, prepend=0) > 0)]

    def _abbreviated(self, dots: Positions) -> Truths:
        """Full stops, by number of word, right behind an initial or an abbreviation."""
        words, before = self.words, dots - 1
        touching = (dots > 0) & ~self.after_space[dots]
        letter = self.flags[words.start[before]] & UPPER != 0
        initial = (words.lengths[before] == 1) & letter & (self.code_points[words.start[before]] != ord("I"))
        return touching & (initial | np.isin(self.word_codes[before], _abbreviation_codes()))

    @cached_property
    def sentences(self) -> Positions:
        """Sentences a document; a line without words has none."""
        return self.count(self.words.document[self.sentence_starts])

    # -- columns ---------------------------------------------------------------------------------------------------

    def count(self, documents: Positions) -> Positions:
        """How often each document is named."""
        return np.bincount(documents, minlength=len(self))

    def per_document(self, positions: Positions) -> Positions:
        """How many of the positions, which ascend, lie in each document."""
        return np.searchsorted(positions, self.end) - np.searchsorted(positions, self.begin)

    def total(self, documents: Positions, amounts: Positions) -> Positions:
        """The sum of the amounts of each document."""
        return np.bincount(documents, weights=amounts, minlength=len(self)).astype(np.int64)

    def column(self, values: npt.NDArray[np.generic], known: Truths | bool = True) -> pa.Array:
        """One value a document; null where it is not known or there is no text."""
        return pa.array(values, mask=~(self.valid & known))

    def share(self, part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> pa.Array:
        """part / whole as float64; null where there is no whole."""
        some = whole != 0
        return self.column(np.divide(part, whole, out=np.zeros(len(self)), where=some), some)


def split_words(text: str) -> list[str]:
    """The words of one text."""
    words = TextBatch(pa.array([text])).words
    return [text[start - 1 : end - 1] for start, end in zip(words.start, words.end, strict=True)]


def split_sentences(text: str) -> list[str]:
    """The sentences of one text, without the white space around them."""
    batch = TextBatch(pa.array([text]))
    starts = batch.words.start[batch.sentence_starts] - 1
    ends = np.append(starts[1:], len(text))[: len(starts)]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def code_of(text: str) -> int:
    """The hash that `TextBatch.codes` gives a piece with this text."""
    return sum((ord(character) + 1) * pow(BASE, i, 1 << 64) for i, character in enumerate(text)) % (1 << 64)


def codes_of(texts: Sequence[str]) -> Codes:
    """Hashes of several texts."""
    return np.array([code_of(text) for text in texts], np.uint64)


@cache
def _abbreviation_codes() -> Codes:
    return codes_of(ABBREVIATIONS)


KEPT_POWERS = 1 << 22
"""Powers that a process keeps (32 MB each way); a longer batch computes its own."""


def powers(size: int) -> Codes:
    """BASE to the power of 0, 1, 2, ... modulo 2^64: `size` of them or more."""
    return _kept_powers(BASE, size)


def inverse_powers(size: int) -> Codes:
    """The same for BASE's inverse, with which a hash taken at one position is moved to the first."""
    return _kept_powers(pow(BASE, -1, 1 << 64), size)


def _kept_powers(base: int, size: int) -> Codes:
    return _powers(base, size) if size > KEPT_POWERS else _powers_cached(base, max(1 << 16, 1 << size.bit_length()))


def _powers(base: int, size: int) -> Codes:
    factors = np.full(size, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


_powers_cached = cache(_powers)
