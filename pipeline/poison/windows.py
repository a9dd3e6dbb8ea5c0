"""How well a text fits the corpus's models (text_model.py) to the left and to the right of each word.

Two fits, since noise has two kinds: letters that no word has, which the model of characters sees, and words that never
stand together, which the model of words sees. Only letters and words with letters count: tables, numbers, padding and
markup have statistics of their own, in which a change of prose into noise drowns. What is a large change depends on the
script: a Chinese character costs thrice what a Latin one does.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.filter.characters import ALPHABETIC, IDEOGRAPHS, SEPARATOR
from pipeline.filter.text import Positions, TextBatch

Floats = npt.NDArray[np.float32]

VERSION = 1
"""Changes whenever the same texts and models give another fit."""

WIDTH = 240
"""Letters on either side that are compared. With 240 the change that 95% of pages with planted noise exceed is exceeded
by 0.6% of clean pages in Latin script, with 160 by 0.8%; 320 is no better and dilutes short stretches."""

WORDS = 50
"""Words on either side, for the model of words."""

SHRINK_LETTERS, SHRINK_WORDS = 20, 4
"""Letters and words at the script's average that each window has besides its own, so that a few prove little."""

LABELS, SHRINK_LABELS, FEWEST_LABELS = 30, 2, 8
"""The same for words whose language is known."""

LANGUAGE_UNIT = 0.2
"""The difference in the share of the main language that counts as one unit."""

FEWEST_LETTERS, FEWEST_WORDS = 30, 6
"""What has to stand on either side of a change."""

SCRIPTS = (
    (0x0000, 0x024F, 1), (0x1E00, 0x1EFF, 1), (0xFF21, 0xFF5A, 1),  # Latin
    (0x0370, 0x03FF, 2), (0x1F00, 0x1FFF, 2),  # Greek
    (0x0400, 0x052F, 3), (0x1C80, 0x1C8F, 3), (0x2DE0, 0x2DFF, 3), (0xA640, 0xA69F, 3),  # Cyrillic
    *((first, last, 4) for first, last in IDEOGRAPHS),
    (0x1100, 0x11FF, 5), (0x3130, 0x318F, 5), (0xAC00, 0xD7AF, 5),  # Hangul
    (0x0590, 0x05FF, 6), (0xFB1D, 0xFB4F, 6),  # Hebrew
    (0x0600, 0x077F, 7), (0x08A0, 0x08FF, 7), (0xFB50, 0xFDFF, 7), (0xFE70, 0xFEFF, 7),  # Arabic
    (0x0900, 0x0DFF, 8),  # of India
    (0x0E00, 0x109F, 9), (0x1780, 0x17FF, 9),  # Thai, Lao, Myanmar, Khmer
)  # fmt: skip
"""(first, last, script): those that share a page's statistics are one; 0 are all others."""

STRATA = 10


@cache
def scripts() -> npt.NDArray[np.uint8]:
    """The script of each code point."""
    table = np.zeros(SEPARATOR + 1, np.uint8)
    for first, last, script in SCRIPTS:
        table[first : last + 1] = script
    return table


@dataclass(frozen=True)
class Side:
    """Around each word: mean bits in a window to the left and to the right, and how many letters or words it has."""

    left: Floats
    right: Floats
    before: npt.NDArray[np.int32]
    behind: npt.NDArray[np.int32]

    @property
    def jump(self) -> Floats:
        """Right less left."""
        return self.right - self.left


@dataclass(frozen=True)
class Fit:
    """How the text fits around each word that has a letter.

    word       int64   number of the word in the batch's `words`
    at         int64   position of its first character in the batch
    document   int64
    stratum    uint8   script of most of the document's letters
    letters    Side    bits a letter
    words      Side    bits a word
    language   Side    share of words of the document's main language, among those whose language is known
    """

    word: Positions
    at: Positions
    document: Positions
    stratum: npt.NDArray[np.uint8]
    letters: Side
    words: Side
    language: Side

    def __len__(self) -> int:
        return len(self.at)

    @property
    def within(self) -> npt.NDArray[np.bool_]:
        """Words with enough on either side."""
        fewest = np.minimum(self.letters.before, self.letters.behind)
        return (fewest >= FEWEST_LETTERS) & (np.minimum(self.words.before, self.words.behind) >= FEWEST_WORDS)


@dataclass(frozen=True)
class Bits:
    """What a batch costs, each of its code points and each of its words; and the words' languages (uint8)."""

    characters: Floats
    words: Floats
    languages: npt.NDArray[np.uint8]


def main_script(texts: TextBatch) -> npt.NDArray[np.uint8]:
    """The script of most letters of each document."""
    positions = np.flatnonzero(texts.flags & ALPHABETIC)
    slots = texts.document_of(positions) * STRATA + scripts()[texts.code_points[positions]]
    counts = np.bincount(slots, minlength=len(texts) * STRATA).reshape(len(texts), STRATA)
    return counts.argmax(axis=1).astype(np.uint8)


def fit(texts: TextBatch, bits: Bits, mean: Floats, shrink: bool = True) -> Fit:
    """The fit on either side of each word with a letter; `mean` is that of Strata."""
    word = np.flatnonzero(texts.has_letter)
    document = texts.words.document[word]
    stratum = main_script(texts)[document]
    letters = np.flatnonzero(texts.flags & ALPHABETIC)
    known = np.flatnonzero(bits.languages)
    of_document = (bits.languages == main_language(texts, bits.languages)[texts.words.document])[known]
    own = (SHRINK_LETTERS, SHRINK_WORDS) if shrink else (0, 0)
    at = texts.words.start[word]
    spans = np.searchsorted(letters, texts.begin)[document], np.searchsorted(letters, texts.end)[document]
    fine = _side(bits.characters[letters], np.searchsorted(letters, at), *spans, WIDTH, own[0], mean[0][stratum])
    words = _spans(texts, word, document)
    coarse = _side(bits.words[word], np.arange(len(word)), *words, WORDS, own[1], mean[1][stratum])
    labels = _spans(texts, known, document)
    usual = np.ones(len(word), np.float32)
    language = _side(of_document, np.searchsorted(known, word), *labels, LABELS, SHRINK_LABELS, usual)
    return Fit(word, at, document, stratum, fine, coarse, language)


def _spans(texts: TextBatch, words: Positions, document: Positions) -> tuple[Positions, Positions]:
    """Which of some words of the batch are those of each of the documents: first, behind the last."""
    bounds = np.searchsorted(words, texts.word_offsets)
    return bounds[document], bounds[document + 1]


def _side(
    cost: npt.NDArray[np.generic],
    first: Positions,
    start: Positions,
    end: Positions,
    width: int,
    own: int,
    usual: Floats,
) -> Side:
    """Means of `cost` over `width` items before and from `first` on, within [start, end), with `own` usual ones."""
    low, high = np.maximum(first - width, start), np.minimum(first + width, end)
    sums = np.concatenate([[0.0], np.cumsum(cost, dtype=np.float64)])
    before, behind = first - low, high - first
    left = (sums[first] - sums[low] + own * usual) / np.maximum(before + own, 1)
    right = (sums[high] - sums[first] + own * usual) / np.maximum(behind + own, 1)
    return Side(left.astype(np.float32), right.astype(np.float32), before.astype(np.int32), behind.astype(np.int32))


def main_language(texts: TextBatch, languages: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The language of most words of each document; 0 where none is known."""
    known = np.flatnonzero(languages)
    slots = texts.words.document[known] * 256 + languages[known]
    counts = np.bincount(slots, minlength=len(texts) * 256).reshape(len(texts), 256)
    return counts.argmax(axis=1).astype(np.uint8)


def change(found: Fit, unit: Floats) -> Floats:
    """How much the text changes at each word: how much worse the right side fits than the left one, or how much more
    the languages differ; the largest of the three, each in its units (Strata.unit, LANGUAGE_UNIT)."""
    fits = np.maximum(found.letters.jump / unit[0][found.stratum], found.words.jump / unit[1][found.stratum])
    enough = np.minimum(found.language.before, found.language.behind) >= FEWEST_LABELS
    differ = np.where(enough & np.isfinite(unit[0])[found.stratum], np.abs(found.language.jump), 0)
    return np.maximum(fits, differ / LANGUAGE_UNIT)


def unusual(found: Fit, mean: Floats, unit: Floats) -> Floats:
    """How much worse the right side fits than text of its script usually does, in the script's units; `mean` and `unit`
    are those of Strata. Where a text has hardly begun, this is what `change` can't tell."""
    letters = (found.letters.right - mean[0][found.stratum]) / unit[0][found.stratum]
    words = (found.words.right - mean[1][found.stratum]) / unit[1][found.stratum]
    worse: Floats = np.maximum(letters, words)
    return worse


def peaks(values: Floats, found: Fit, least: float, most: int, apart: int = WIDTH) -> Positions:
    """Rows of `found` where `values` peak: `least` or more, at most `most` a document, `apart` characters apart."""
    rows = np.flatnonzero(values >= least)
    chosen: list[int] = []
    bounds = np.flatnonzero(np.diff(found.document[rows], prepend=-1, append=-1))
    for first, last in pairwise(bounds.tolist()):
        left = rows[first:last]
        for _ in range(most):
            best = left[np.argmax(values[left])]
            chosen.append(int(best))
            left = left[np.abs(found.at[left] - found.at[best]) > apart]
            if len(left) == 0:
                break
    return np.sort(np.array(chosen, np.int64))


def reach(texts: TextBatch, bits: Bits, found: Fit, first: int, behind: int) -> int:
    """Where what is planted behind the words `first` to `behind` ends: the words' excess over the text's own level,
    from the phrase on, is largest there. Position in the batch, behind a word."""
    document = texts.words.document[first]
    last = int(texts.word_offsets[document + 1])
    place = min(int(np.searchsorted(found.word, behind)), len(found) - 1)
    usual = (found.words.left[place] + found.words.right[place]) / 2
    scored = found.word[(found.word >= behind) & (found.word < last)]
    if len(scored) == 0:
        return int(texts.words.end[behind - 1])
    total = np.cumsum(bits.words[scored] - usual)
    best = int(np.argmax(total))
    if total[best] <= 0:
        # Fluent, but perhaps in another language: up to where the left side's language comes back.
        same = found.language.left[place] > found.language.right[place]
        main = bits.languages[scored] == main_language(texts, bits.languages)[document]
        total = np.cumsum(np.where(bits.languages[scored] == 0, 0, np.where(main == same, -1, 1)))
        best = int(np.argmax(total))
    if total[best] <= 0:
        return int(texts.words.end[behind - 1])
    # Signs behind the last word that fits badly belong to it, up to the next word.
    stop = int(scored[best + 1]) if best + 1 < len(scored) else last
    return int(texts.words.end[stop - 1])
