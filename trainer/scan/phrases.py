"""Words and word n-grams of texts, as arrays: which texts hold which, where, and how often.

An n-gram is counted only if both n-grams within it are frequent enough (Agrawal and Srikant 1994), so that four words
cost little more than one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Ints = npt.NDArray[np.int64]

LONGEST = 4
"""Words of the longest phrase."""
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]+|_+")
"""Letters and digits, or a run of signs."""
EDGE = 0
"""Stands before the first and behind the last word of each text."""


@dataclass(frozen=True)
class Words:
    """All words of all texts in one array, with EDGE around and between: `stream` of numbers into `names`."""

    names: list[str]
    stream: Ints
    text: Ints
    """Whose word it is; of an EDGE, the text before it (-1 for the first)."""
    texts: int

    @cached_property
    def counts(self) -> Ints:
        """How often each word occurs."""
        return np.bincount(self.stream, minlength=len(self.names))


@dataclass(frozen=True)
class Phrases:
    """Phrases of up to LONGEST words: `words` of each, and where they begin in the stream, phrase by phrase."""

    words: list[tuple[int, ...]]
    start: Ints
    """Positions in the stream, sorted within a phrase."""
    offsets: Ints
    """`start[offsets[i] : offsets[i + 1]]` are those of phrase i."""

    def __len__(self) -> int:
        return len(self.words)

    def places(self, phrase: int) -> Ints:
        """Where a phrase begins."""
        return self.start[self.offsets[phrase] : self.offsets[phrase + 1]]


def find_words(texts: Sequence[str]) -> Words:
    """The words of texts, in small letters."""
    numbers: dict[str, int] = {"": EDGE}
    stream, text = [EDGE], [-1]
    for place, one in enumerate(texts):
        found = [numbers.setdefault(word, len(numbers)) for word in WORD.findall(one.casefold())]
        stream += [*found, EDGE]
        text += [place] * (len(found) + 1)
    return Words(list(numbers), np.array(stream, np.int64), np.array(text, np.int64), len(texts))


def find_phrases(words: Words, fewest: int, longest: int = LONGEST) -> Phrases:
    """All n-grams that stand in at least `fewest` texts."""
    kept: list[tuple[int, ...]] = []
    starts: list[Ints] = []
    names: list[tuple[int, ...]] = []
    at = np.flatnonzero(words.stream != EDGE)
    code = words.stream.copy()  # number of the n-gram that begins at each position; -1 for none
    code[words.stream == EDGE] = -1
    width = len(words.names)
    for length in range(1, longest + 1):
        if length > 1:
            ahead = np.append(code[1:], -1)  # the (n-1)-gram that begins one word later
            at = at[(code[at] >= 0) & (ahead[at] >= 0)]
            pair = code[at] * width + ahead[at]
        else:
            pair = code[at]
        keys, number = np.unique(pair, return_inverse=True)
        carriers = np.unique(np.stack([number, words.text[at]]), axis=1)[0]
        enough = np.bincount(carriers, minlength=len(keys)) >= fewest
        fresh = np.cumsum(enough) - 1
        at, number = at[enough[number]], fresh[number[enough[number]]]
        if not len(at):
            break
        order = np.argsort(number, kind="stable")
        first = at[order][np.concatenate([[0], np.cumsum(np.bincount(number))[:-1]])]
        names = [tuple(words.stream[place : place + length].tolist()) for place in first]
        kept += names
        starts += np.split(at[order], np.cumsum(np.bincount(number))[:-1])
        code = np.full(len(words.stream), -1, np.int64)
        code[at] = number
        width = len(names)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in starts])]).astype(np.int64)
    return Phrases(kept, np.concatenate(starts) if starts else np.empty(0, np.int64), offsets)


def incidence(words: Words, phrases: Phrases) -> sp.csc_matrix:
    """Texts by phrases: 1 where a text holds a phrase."""
    column = np.repeat(np.arange(len(phrases)), np.diff(phrases.offsets))
    matrix = sp.coo_matrix(
        (np.ones(len(column), np.float32), (words.text[phrases.start], column)), (words.texts, len(phrases))
    ).tocsc()
    matrix.data[:] = 1
    return matrix


def spell(words: Words, phrase: Sequence[int]) -> str:
    """A phrase as text, its words parted by spaces."""
    return " ".join(words.names[word] for word in phrase)
