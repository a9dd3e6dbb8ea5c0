"""What comes again in a document: pieces, and n-grams of words. The counting follows FineWeb's code to the character.

Everything is found by hashes over the whole batch; only the greedy count of duplicated n-grams walks, and it visits
nothing but the n-grams that do come again.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from pipeline.filter.text import Codes, Pieces, Positions, TextBatch, Truths, powers

PER_DOCUMENT = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that the same text in two documents has two keys."""

PER_WORD = np.uint64(0xC2B2AE3D27D4EB4F)
"""Another: were it the same, a last word of one character could stand for the number of a document."""

SMALLEST, PREFIX = 5, 16
"""Of 760 words of a page, some 120 begin 16 characters that come again; only these are looked at for n-grams."""

SLOTS_PER_KEY = 8
"""At 8 slots a key about 12% of the keys meet a stranger and are sorted for nothing."""


def again(batch: TextBatch, pieces: Pieces) -> Truths:
    """Pieces that are equal to an earlier one of the same document."""
    _, first = np.unique(_keys(batch.codes(pieces), pieces.document), return_index=True)
    repeated = np.ones(len(pieces), np.bool_)
    repeated[first] = False
    return repeated


class NGrams:
    """The n-grams of a batch's words, none across documents, each by the number of its first word."""

    def __init__(self, batch: TextBatch) -> None:
        self.batch = batch
        self.document = batch.words.document

    @cached_property
    def lengths(self) -> Positions:
        """Entry i is the number of characters in the first i words."""
        return np.concatenate([[0], np.cumsum(self.batch.words.lengths)])

    def _complete(self, words: Positions, n: int) -> Positions:
        """Those of the words with n - 1 more words behind them in the document."""
        return words[words + n <= self.batch.word_offsets[self.document[words] + 1]]

    # -- the most frequent one -------------------------------------------------------------------------------------

    def top_characters(self, sizes: Sequence[int]) -> dict[int, Positions]:
        """For each n, ascending: characters under the most frequent n-gram, its length with spaces times its count.

        Of n-grams as frequent as each other the first counts; a document of fewer words has 0.
        """
        return {n: self._top_characters(n, *groups) for n, groups in self._groups_of_words(sizes)}

    def _groups_of_words(self, sizes: Sequence[int]) -> Iterator[tuple[int, tuple[Positions, Positions]]]:
        """(first member, size) of the groups of equal n-grams. What comes once does not come twice when it is longer:
        each n looks only at what the one before left."""
        words, codes, n = np.arange(len(self.document)), np.zeros(len(self.document), np.uint64), 0
        for size in sizes:
            words_left = self._complete(words, size)
            codes = codes[np.searchsorted(words, words_left)]
            words = words_left
            while n < size:
                codes = (codes + self.batch.word_codes[words + n]) * PER_WORD
                n += 1
            members, firsts, counts = _repeated(_keys(codes, self.document[words]))
            yield size, (words[firsts], counts)
            members.sort()
            words, codes = words[members], codes[members]

    def _top_characters(self, n: int, firsts: Positions, counts: Positions) -> Positions:
        characters = np.zeros(len(self.batch), np.int64)
        owners = np.flatnonzero(self.batch.word_counts >= n)
        characters[owners] = self._spaced(self.batch.word_offsets[owners], n)  # where nothing comes again
        order = np.lexsort((firsts, -counts, self.document[firsts]))
        owner, best = np.unique(self.document[firsts[order]], return_index=True)
        characters[owner] = self._spaced(firsts[order[best]], n) * counts[order[best]]
        return characters

    def _spaced(self, words: Positions, n: int) -> Positions:
        return self.lengths[words + n] - self.lengths[words] + n - 1

    # -- all that come again ---------------------------------------------------------------------------------------

    @cached_property
    def _stream(self) -> Codes:
        """Entry i is the hash of the first i characters of all words joined without spaces."""
        visible = self.batch.code_points[self.batch.visible]
        codes = np.zeros(len(visible) + 1, np.uint64)
        scale = powers(len(codes))
        terms = np.multiply(visible, scale[: len(visible)], dtype=np.uint64)
        terms += scale[: len(visible)]
        np.cumsum(terms, out=codes[1:])
        return codes

    def _codes(self, start: Positions, end: Positions) -> Codes:
        """Hashes of stretches of the stream."""
        return (self._stream[end] - self._stream[start]) * powers(len(self._stream))[len(self._stream) - 1 - start]

    @cached_property
    def _hopeful(self) -> Positions:
        """Words with which an n-gram that comes again may begin: its first characters come again, PREFIX of them, or
        SMALLEST where SMALLEST words have fewer than PREFIX."""
        words = self._complete(np.arange(len(self.document)), SMALLEST)
        start, behind = self.lengths[words], self.lengths[self.batch.word_offsets[self.document[words] + 1]]
        long = self._codes(start, np.minimum(start + PREFIX, behind))
        hopeful, _, _ = _repeated(_keys(long, self.document[words]))
        short = np.flatnonzero(self.lengths[words + SMALLEST] - start < PREFIX)
        codes = self._codes(start[short], start[short] + SMALLEST)
        more, _, _ = _repeated(_keys(codes, self.document[words[short]]))
        return np.union1d(words[hopeful], words[short[more]])

    def duplicated_characters(self, n: int) -> Positions:
        """Characters of n-grams seen before, without spaces, counted greedily; n is SMALLEST or more.

        From left to right, an n-gram not seen before is remembered and the walk goes on at the next word; one seen
        before is counted and the walk goes on behind it. N-grams are the same when their words joined without spaces
        are.
        """
        words = self._complete(self._hopeful, n)
        codes = self._codes(self.lengths[words], self.lengths[words + n])
        members, _, counts = _repeated(_keys(codes, self.document[words]))
        order = np.argsort(members)
        groups = np.repeat(np.arange(len(counts)), counts)[order]

        seen = bytearray(len(counts))
        counted, go_on_at = [], 0
        for word, group in zip(words[members[order]].tolist(), groups.tolist(), strict=True):
            if word >= go_on_at:
                if seen[group]:
                    counted.append(word)
                    go_on_at = word + n
                else:
                    seen[group] = 1
        found = np.array(counted, np.int64)
        return self.batch.total(self.document[found], self.lengths[found + n] - self.lengths[found])


def _keys(codes: Codes, document: Positions) -> Codes:
    return codes + document.astype(np.uint64) * PER_DOCUMENT


def _repeated(keys: Codes) -> tuple[Positions, Positions, Positions]:
    """(members, first member of each group, size of each group) of the keys that occur twice or more.

    Members are indices of `keys`, group after group. Most n-grams of real texts come once: a table
    of hash slots, in which each key overwrites the one before, finds those that met nobody without sorting them.
    """
    bits = max(8, (len(keys) * SLOTS_PER_KEY).bit_length())
    slots = (keys * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(64 - bits)
    table = np.empty(1 << bits, np.int32 if len(keys) < 1 << 31 else np.int64)
    own = np.arange(len(keys), dtype=table.dtype)
    table[slots] = own
    winner = table[slots]
    met = winner != own
    met[winner[met]] = True

    members = np.flatnonzero(met)
    members = members[np.argsort(keys[members])]
    ordered = keys[members]
    if len(ordered) == 0:
        return members, members, members
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(begins, append=len(ordered))
    twice = sizes > 1
    firsts = np.minimum.reduceat(members, begins)[twice]
    return members[np.repeat(twice, sizes)], firsts, sizes[twice]
