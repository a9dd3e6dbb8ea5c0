"""Runs of letters that are looked at for look-alikes: where they stand, and their letters without marks.

Where they stand is found over the whole batch at once, so that Python sees only the few words that mix scripts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.filter.text import TextBatch
from pipeline.filter.words import Positions
from pipeline.poison.characters_tables import LATIN, MARK, PLAIN, STYLED, SYMBOL, invisible, lookalikes, scripts

LONGEST = 64
"""Letters beyond which a run of letters is no word."""


@dataclass(frozen=True)
class Places:
    """Where words stand in the batch: starts and ends, neither empty nor overlapping from the start of the next."""

    start: Positions
    end: Positions

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> "Places":
        return Places(self.start[chosen], self.end[chosen])

    def joined(self, others: "Places") -> "Places":
        """These and others."""
        return Places(np.concatenate([self.start, others.start]), np.concatenate([self.end, others.end]))

    def scripts(self, texts: TextBatch) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """(lowest, highest) number of a script among each word's letters."""
        kinds = scripts()[texts.code_points]
        bounds = np.stack([self.start, self.end], axis=1).ravel()  # every other stretch is a word
        lowest = np.minimum.reduceat(np.where(kinds > MARK, kinds, np.uint8(255)), bounds)[::2]
        return lowest, np.maximum.reduceat(kinds, bounds)[::2]

    def all_look_alike(self, texts: TextBatch) -> npt.NDArray[np.bool_]:
        """Which words have only letters that look like an ASCII letter that they are not."""
        codes = texts.code_points
        plain = np.concatenate(([0], np.cumsum((scripts()[codes] > MARK) & (lookalikes()[codes] == 0))))
        found: npt.NDArray[np.bool_] = plain[self.end] == plain[self.start]
        return found


@dataclass(frozen=True)
class Word:
    """A run of letters: where it stands in the batch, its letters without marks, their scripts, which of them look
    like an ASCII letter that they are not, and what it looks like."""

    start: int
    end: int
    letters: str
    scripts: npt.NDArray[np.uint8]
    looks: npt.NDArray[np.bool_]
    folded: str

    @property
    def latin(self) -> npt.NDArray[np.bool_]:
        """Which letters are Latin."""
        return self.scripts == LATIN

    @property
    def for_show(self) -> bool:
        """Whether all letters are letters for show."""
        return bool((self.scripts == STYLED).all())

    @property
    def reads_latin(self) -> bool:
        """Whether all letters are Latin ones or look like them."""
        return bool((self.latin | self.looks).all())


def around_letters(texts: TextBatch, positions: Positions) -> Places:
    """The runs of letters, marks and invisible characters around letters, in order; long ones in parts."""
    if not len(positions):
        return Places(positions, positions)
    codes = texts.code_points
    outside = np.flatnonzero((scripts()[codes] == SYMBOL) & (invisible()[codes] == PLAIN))
    cut = np.searchsorted(outside, positions)
    start, end = np.maximum(outside[cut - 1] + 1, positions - LONGEST), np.minimum(outside[cut], positions + LONGEST)
    chosen, behind = [], -1
    for number, (position, stop) in enumerate(zip(positions.tolist(), end.tolist(), strict=True)):
        if position >= behind:
            chosen.append(number)
            behind = stop
    return Places(start[chosen], end[chosen])


def words_at(texts: TextBatch, places: Places) -> Iterator[Word]:
    """The words at these places."""
    for start, end in zip(places.start.tolist(), places.end.tolist(), strict=True):
        codes = texts.code_points[start:end]
        kinds = scripts()[codes]
        letter = kinds > MARK
        letters, own = codes[letter], kinds[letter]
        looks = lookalikes()[letters]
        folded = np.where(looks > 0, looks, letters).astype(np.uint32)
        yield Word(start, end, _text(letters), own, looks > 0, _text(folded))


def _text(codes: npt.NDArray[np.uint32]) -> str:
    return codes.tobytes().decode("utf-32-le")
