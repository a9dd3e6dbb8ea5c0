"""What the instruction detector sees of a text: folded words, and the concepts that they name in any language.

A concept ("ignore", "earlier", "rules", "language model", "your answer") is a list of terms per language, so that what
is learned from one language holds in the others; the idea is that of multilingual lexicons in place of embeddings.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.filter.characters import LETTER, SEPARATOR
from pipeline.filter.text import Codes, TextBatch, code_of, inverse_powers, powers
from pipeline.filter.words import Positions

Number = TypeVar("Number", np.uint64, np.int64)

STEM = 6
"""Characters of a word that pairs and triples of words see: inflections of a word share them in most languages."""

UNIT = 50
"""Words after which a sentence without an end is cut, so that a list or a table has windows too."""

WITHIN_WORDS = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Burmese and Khmer, written without spaces: each of their letters counts as a word."""

KEY = 3
"""Characters by which a table says which lengths of terms can begin at a word."""

MIX = tuple(np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
"""Odd multipliers (those of xxHash) that make one hash of the hashes of neighbours."""


@cache
def fold_table() -> npt.NDArray[np.uint32]:
    """What each code point is compared as: small, without accents or compatibility forms; a digit is 0."""
    table = np.arange(SEPARATOR + 1, dtype=np.uint32)
    for code in (*range(0x30000), 0x1D400):
        table[code] = _fold(chr(code))
    for code in range(0x1D400, 0x1D800):
        table[code] = _fold(chr(code))
    return table


def _fold(character: str) -> int:
    if character in "ıİ’‘`":
        return ord("i" if character in "ıİ" else "'")
    decomposed = unicodedata.normalize("NFKD", character)
    if len(decomposed) == 1 or all(unicodedata.category(mark) == "Mn" for mark in decomposed[1:]):
        small = decomposed[0].lower()
        character = small if len(small) == 1 else character
    if unicodedata.category(character) == "Nd":
        return ord("0")
    return ord(character)


def fold(text: str) -> str:
    """A text as the detector compares it, one character for each."""
    table = fold_table()
    return "".join(chr(table[ord(character)]) for character in text)


@dataclass(frozen=True)
class Lexicon:
    """Terms as hashes: `codes` (sorted), whether each is a `prefix` of words, its length, and its concept's bit."""

    codes: Codes
    length: npt.NDArray[np.uint8]
    prefix: npt.NDArray[np.bool_]
    concepts: Codes

    @staticmethod
    def of(terms: Iterable[tuple[str, int]]) -> "Lexicon":
        """From (term, number of its concept below 64); a term that ends in * is the beginning of a word.

        A term that several concepts share has the bits of all of them.
        """
        bits: dict[tuple[int, int, bool], int] = {}
        for term, concept in terms:
            bare = fold(term.removesuffix("*"))
            key = (code_of(bare), len(bare), term.endswith("*"))
            bits[key] = bits.get(key, 0) | 1 << concept
        rows = sorted((*key, concepts) for key, concepts in bits.items())
        columns = list(zip(*rows, strict=True))
        return Lexicon(
            np.array(columns[0], np.uint64),
            np.array(columns[1], np.uint8),
            np.array(columns[2], np.bool_),
            np.array(columns[3], np.uint64),
        )


class Words:
    """A batch's words, folded. Positions are the batch's, as in TextBatch."""

    def __init__(self, texts: TextBatch) -> None:
        self.texts = texts

    @cached_property
    def _prefix_codes(self) -> Codes:
        folded = fold_table()[self.texts.code_points]
        size = len(folded)
        codes = np.zeros(size + 1, np.uint64)
        terms = np.multiply(folded, powers(size)[:size], dtype=np.uint64)
        terms += powers(size)[:size]
        np.cumsum(terms, out=codes[1:])
        return codes

    def hashes(self, start: Positions, end: Positions) -> Codes:
        """Of the folded text between positions; the same as `code_of(fold(text))`."""
        inverse = inverse_powers(len(self.texts.code_points))
        return (self._prefix_codes[end] - self._prefix_codes[start]) * inverse[start]

    @cached_property
    def _span(self) -> tuple[Positions, Positions]:
        """Where the words start and end, those of scripts without spaces taken apart."""
        words, codes = self.texts.words, self.texts.code_points
        extra = np.zeros(len(codes), np.bool_)
        if len(words) and codes[:-1].max() >= WITHIN_WORDS[0][0]:
            for first, last in WITHIN_WORDS:
                extra |= (codes >= first) & (codes <= last)
            extra &= self.texts.kinds == LETTER
        if not extra.any():
            return words.start, words.end
        start = np.union1d(words.start, np.flatnonzero(extra))
        after = np.append(start[1:], len(codes))
        owner = np.searchsorted(words.start, start, side="right") - 1
        return start, np.minimum(after, words.end[owner])

    @property
    def start(self) -> Positions:
        """Of each word."""
        return self._span[0]

    @property
    def end(self) -> Positions:
        """Of each word."""
        return self._span[1]

    @cached_property
    def document(self) -> Positions:
        """Whose each word is."""
        return self.texts.document_of(self.start)


class Features(Words):
    """A batch's words, units, n-grams and concepts as the detector reads them."""

    def __init__(self, texts: TextBatch, lexicon: Lexicon, keys: npt.NDArray[np.uint64]) -> None:
        super().__init__(texts)
        self.lexicon = lexicon
        self.keys = keys

    # -- units -----------------------------------------------------------------------------------------------------

    @cached_property
    def sentence_start(self) -> Positions:
        """The words, by number, with which sentences begin."""
        if len(self.start) == 0:
            return np.zeros(0, np.int64)
        first = self.texts.words.start[self.texts.sentence_starts]
        return np.searchsorted(self.start, first)

    @cached_property
    def unit_start(self) -> Positions:
        """The words with which units begin: sentences, and every UNIT words inside long ones."""
        sentence = self.sentence_start
        lengths = np.diff(sentence, append=len(self.start))
        parts = -(-lengths // UNIT)
        first = np.repeat(sentence, parts)
        number = np.arange(len(first)) - np.repeat(np.cumsum(parts) - parts, parts)
        return first + number * UNIT

    @cached_property
    def unit_end(self) -> Positions:
        """Behind the last word of each unit."""
        return np.append(self.unit_start[1:], len(self.start))

    @cached_property
    def unit_document(self) -> Positions:
        """Whose each unit is."""
        return self.document[self.unit_start]

    @cached_property
    def _sentence_of(self) -> Positions:
        """The sentence of each word, by number."""
        marks = np.zeros(len(self.start), np.int64)
        marks[self.sentence_start] = 1
        return np.cumsum(marks)

    # -- n-grams ---------------------------------------------------------------------------------------------------

    def ngrams(self, bits: int) -> list[npt.NDArray[np.int64]]:
        """For each kind of n-gram, the bucket (below 2**bits, or -1) of the one that begins at each word.

        Kinds: the word, pairs and triples of neighbouring stems, and pairs with one word between them; none of them
        crosses the end of a sentence.
        """
        word = self.hashes(self.start, self.end)
        stem = self.hashes(self.start, np.minimum(self.end, self.start + STEM))
        one, two = _shifted(stem, 1), _shifted(stem, 2)
        near = self._sentence_of == _shifted(self._sentence_of, 1)
        far = self._sentence_of == _shifted(self._sentence_of, 2)
        return [
            _bucket(word, 1, bits),
            np.where(near, _bucket(stem * MIX[0] + one * MIX[1], 2, bits), -1),
            np.where(far, _bucket(stem * MIX[0] + one * MIX[1] + two * MIX[2], 3, bits), -1),
            np.where(far, _bucket(stem * MIX[1] + two * MIX[0], 4, bits), -1),
        ]

    def concept_ngrams(self, bits: int) -> tuple[Positions, list[npt.NDArray[np.int64]]]:
        """(words, buckets): pairs and triples of concepts that follow each other in a sentence, other words skipped."""
        word = np.flatnonzero(self.concepts)
        concept = self.concepts[word]
        sentence = self._sentence_of[word]
        one, two = _shifted(concept, 1), _shifted(concept, 2)
        near = sentence == _shifted(sentence, 1)
        far = sentence == _shifted(sentence, 2)
        return word, [
            np.where(near, _bucket(concept * MIX[0] + one * MIX[1], 5, bits), -1),
            np.where(far, _bucket(concept * MIX[0] + one * MIX[1] + two * MIX[2], 6, bits), -1),
        ]

    # -- concepts --------------------------------------------------------------------------------------------------

    @cached_property
    def concepts(self) -> Codes:
        """The concepts that a term beginning at each word names, as a set of bits."""
        found = np.zeros(len(self.start), np.uint64)
        if len(found) == 0:
            return found
        last = len(self.texts.code_points) - 1
        key = self.hashes(self.start, np.minimum(self.start + KEY, last))
        lengths = self.keys[_slot(key)]
        short = np.zeros(len(found), np.uint64)
        for length in range(1, KEY):
            short |= self._of_length(np.arange(len(found)), length)
        found |= short
        present = np.bitwise_or.reduce(lengths)
        for length in range(KEY, 64):
            if int(present) >> length & 1:
                at = np.flatnonzero(lengths >> np.uint64(length) & np.uint64(1))
                found[at] |= self._of_length(at, length)
        return found

    def _of_length(self, words: Positions, length: int) -> Codes:
        """The concepts of the terms of one length that begin at these words."""
        lexicon = self.lexicon
        start = self.start[words]
        end = np.minimum(start + length, len(self.texts.code_points) - 1)
        code = self.hashes(start, end)
        at = np.minimum(np.searchsorted(lexicon.codes, code), len(lexicon.codes) - 1)
        result = np.zeros(len(words), np.uint64)
        hits = np.flatnonzero((lexicon.codes[at] == code) & (lexicon.length[at] == length))
        ends = self._is_end
        for step in (0, 1):  # a term can stand in the lexicon as a whole word and as a prefix
            place = np.minimum(at[hits] + step, len(lexicon.codes) - 1)
            same = (lexicon.codes[place] == code[hits]) & (lexicon.prefix[place] | ends[end[hits]])
            result[hits] |= np.where(same, lexicon.concepts[place], 0).astype(np.uint64)
        return result

    @cached_property
    def _is_end(self) -> npt.NDArray[np.bool_]:
        marks = np.zeros(len(self.texts.code_points) + 1, np.bool_)
        marks[self.end] = True
        return marks


def length_keys(terms: Iterable[str]) -> npt.NDArray[np.uint64]:
    """A table over hashes of KEY characters: the lengths (as bits) of the terms that begin with them."""
    keys = np.zeros(1 << 16, np.uint64)
    for term in terms:
        bare = fold(term.removesuffix("*"))
        if not 0 < len(bare) < 64:
            raise ValueError(f"the term {term!r} has {len(bare)} characters; 1 to 63 can be looked up")
        if len(bare) >= KEY:
            keys[int(_slot(np.array([code_of(bare[:KEY])], np.uint64))[0])] |= np.uint64(1 << len(bare))
    return keys


def _slot(codes: Codes) -> npt.NDArray[np.int64]:
    return (codes * MIX[0] >> np.uint64(48)).astype(np.int64)


def _shifted(values: npt.NDArray[Number], by: int) -> npt.NDArray[Number]:
    """The value of the word `by` words on; behind the end, the largest of the type, which no sentence has."""
    filler = np.iinfo(values.dtype).max
    return np.concatenate([values[by:], np.full(min(by, len(values)), filler, values.dtype)])


def _bucket(codes: Codes, kind: int, bits: int) -> npt.NDArray[np.int64]:
    mixed = codes * MIX[0] + np.uint64(kind * int(MIX[1]) % (1 << 64))
    mixed ^= mixed >> np.uint64(29)
    mixed *= MIX[2]
    return (mixed >> np.uint64(64 - bits)).astype(np.int64)
