"""What the network of the detector of instructions sees: runs of sentences, their concepts and linear scores.

Beside it what a quotation is: a page about attacks shows some, and is none.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.filter.text import Codes, Pieces
from pipeline.filter.words import Positions
from pipeline.poison.instruction_features import Features
from pipeline.poison.instruction_quotations import quotations

WINDOW = 3
"""Sentences that a window has at most."""

SMOOTH = 4.0
"""Words added to a window's length, so that two words in a menu do not outweigh a sentence."""

PEAK = 9
"""Words that a stretch has whose sum stands for a long sentence, so that what follows an attack does not dilute it."""

QUOTED, ABOUT = 0.2, 0.004
"""Share of a window's words between quotation marks, and of the other words that are about attacks, from which it is
a mention. One clean page in twenty-five is so much about attacks."""

LEAST = 3
"""Words of a quotation that is judged by itself; there are fewer between the marks around a name."""

SETS, NUMBERS = 2, 8
"""Sets of concepts and other columns that `Inputs.of` has."""

DENSITY = -2
"""The column of how dense the words of security are in the rest of the document."""

GRID = 1 / 4096
"""What figures are rounded to before they are multiplied and summed up: two such figures below 2,000 have a product
that a double holds exactly, and so it does the sum of a thousand such products."""

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Windows:
    """Runs of one to WINDOW units of a document: the first unit and the one behind the last."""

    first: Positions
    behind: Positions
    document: Positions

    @staticmethod
    def of(features: Features) -> "Windows":
        """All of a batch."""
        document = features.unit_document
        units = np.arange(len(document))
        first, behind = [], []
        for size in range(1, WINDOW + 1):
            whole = units[: max(len(units) - size + 1, 0)]
            whole = whole[document[whole] == document[whole + size - 1]]
            first.append(whole)
            behind.append(whole + size)
        starts = np.concatenate(first)
        return Windows(starts, np.concatenate(behind), document[starts] if len(starts) else starts)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, chosen: npt.NDArray[np.generic] | slice) -> "Windows":
        return Windows(self.first[chosen], self.behind[chosen], self.document[chosen])


def linear_parts(features: Features, weights: npt.NDArray[np.int8], bits: int) -> Floats:
    """(4, units): the sums of integer weights of words and of concepts, and of each the largest sum of PEAK words."""
    words = np.zeros(len(features.start), np.int64)
    for buckets in features.ngrams(bits):
        words += np.where(buckets >= 0, weights[buckets], 0)
    at, kinds = features.concept_ngrams(bits)
    concepts = np.zeros(len(features.start), np.int64)
    for buckets in kinds:
        concepts[at] += np.where(buckets >= 0, weights[buckets], 0)
    peaks = (_unit_peaks(features, words), _unit_peaks(features, concepts))
    return np.stack([_unit_sums(features, words), _unit_sums(features, concepts), *peaks])


def _unit_peaks(features: Features, values: npt.NDArray[np.int64]) -> Floats:
    if len(values) == 0:
        return np.zeros(0, np.float32)
    sums = np.concatenate([[0], np.cumsum(values)])
    ends = np.repeat(features.unit_end, features.unit_end - features.unit_start)
    here = np.arange(len(values))
    local = sums[np.minimum(here + PEAK, ends)] - sums[here]
    return np.maximum.reduceat(local, features.unit_start).astype(np.float32)


def _unit_sums(features: Features, values: npt.NDArray[np.int64]) -> Floats:
    sums = np.concatenate([[0], np.cumsum(values)])
    return (sums[features.unit_end] - sums[features.unit_start]).astype(np.float32)


class Inputs:
    """The inputs of any windows of a batch, from figures of its units that are summed up once."""

    def __init__(self, features: Features, parts: Floats, concepts: tuple[str, ...]) -> None:
        self.features, self.count, self.peaks = features, len(concepts), parts[2:]
        starts, document = features.unit_start, features.unit_document
        some = len(starts) > 0
        self.inside = np.bitwise_or.reduceat(features.concepts, starts) if some else np.zeros(0, np.uint64)
        self.opening = features.concepts[starts]
        length = (features.unit_end - starts).astype(np.float32)
        named = _has(features.concepts, concepts.index("about_attacks"))
        about = _unit_sums(features, named)
        self.about_before = _summed(named)
        quotes = _unit_sums(features, _has(features.concepts, concepts.index("quote")))
        self.words_of = np.bincount(document, length, len(features.texts)).astype(np.float32)
        self.about_of = np.bincount(document, about, len(features.texts)).astype(np.float32)
        self.sums = [_summed(values) for values in (length, about, quotes, parts[0], parts[1])]

    def likely(self, windows: Windows) -> Floats:
        """How likely windows are by their linear scores alone."""
        words, _, _, plain, named = (_within_sums(sums, windows) for sums in self.sums)
        peaks = _highest(self.peaks[0], windows) + _highest(self.peaks[1], windows)
        likely: Floats = (plain + named) / np.sqrt(words + SMOOTH) + np.float32(0.3) * peaks
        return likely

    def of(self, windows: Windows) -> Floats:
        """What the network sees: (windows, SETS * concepts + NUMBERS).

        Columns: whether each concept is in the window; whether a unit of it begins with each; the linear scores of
        words and of concepts over the root of the length, and their peaks; the lengths of window and document; how
        dense the words of security are in the rest of the document; how many quotation marks the window has. (Whether
        the words are quoted, and how likely the sentences around are, made it miss more: docs/poison.md.)
        """
        words, about, quotes, plain, named = (_within_sums(sums, windows) for sums in self.sums)
        root = np.sqrt(words + SMOOTH)
        rest = self.words_of[windows.document] - words
        density = (self.about_of[windows.document] - about) * 100 / (rest + 50)
        columns = [
            *(_bits(_within(masks, windows), self.count) for masks in (self.inside, self.opening)),
            (plain / root)[:, None],
            (named / root)[:, None],
            _highest(self.peaks[0], windows)[:, None],
            _highest(self.peaks[1], windows)[:, None],
            np.log1p(words)[:, None],
            np.log1p(self.words_of[windows.document])[:, None],
            np.minimum(density, 5)[:, None],
            np.log1p(quotes)[:, None],
        ]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def is_mention(self, windows: Windows) -> npt.NDArray[np.bool_]:
        """Whether windows are in good part quotations, in a text that speaks about attacks elsewhere."""
        words, about = (_within_sums(sums, windows) for sums in self.sums[:2])
        mention = self._is_about(windows.document, words, about)
        if mention.any():
            first, behind = self._words_of(quotations(self.features.texts, np.unique(windows.document[mention])))
            between = np.zeros(len(self.features.start) + 1, np.int64)
            np.add.at(between, first, 1)
            np.add.at(between, behind, -1)
            inside = _within_sums(_summed(_unit_sums(self.features, np.cumsum(between[:-1]))), windows)
            mention &= inside >= QUOTED * words
        return mention

    def quoted(self) -> Pieces:
        """The quotations of LEAST words or more in texts that speak about attacks elsewhere."""
        found = quotations(self.features.texts, np.flatnonzero(self.about_of))
        first, behind = self._words_of(found)
        about = (self.about_before[behind] - self.about_before[first]).astype(np.float32)
        about_attacks = self._is_about(found.document, (behind - first).astype(np.float32), about)
        return found[about_attacks & (behind - first >= LEAST)]

    def _is_about(self, document: Positions, words: Floats, about: Floats) -> npt.NDArray[np.bool_]:
        """Whether documents speak about attacks, some words aside, of which `about` do."""
        rest = self.words_of[document] - words
        dense: npt.NDArray[np.bool_] = (self.about_of[document] - about) / np.maximum(rest, 1) >= ABOUT
        return dense

    def _words_of(self, quotations: Pieces) -> tuple[Positions, Positions]:
        """The first word between the marks of each quotation, by number, and the one behind the last."""
        starts = self.features.start
        return np.searchsorted(starts, quotations.start + 1), np.searchsorted(starts, quotations.end - 1)


def on_grid(values: Floats | Doubles) -> Doubles:
    """The values as multiples of GRID."""
    rounded: Doubles = np.rint(values.astype(np.float64) / GRID) * GRID
    return rounded


def _summed(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _within_sums(sums: npt.NDArray[np.float64], windows: Windows) -> Floats:
    """A figure summed over each window's units."""
    return (sums[windows.behind] - sums[windows.first]).astype(np.float32)


def _has(masks: Codes, bit: int) -> npt.NDArray[np.int64]:
    return (masks >> np.uint64(bit) & np.uint64(1)).astype(np.int64)


def _within(masks: Codes, windows: Windows) -> Codes:
    """The union of the sets of each window's units."""
    union = masks[windows.first].copy()
    for step in range(1, WINDOW):
        more = np.flatnonzero(windows.behind - windows.first > step)
        union[more] |= masks[windows.first[more] + step]
    return union


def _highest(values: Floats, windows: Windows) -> Floats:
    """The largest value among each window's units."""
    highest = values[windows.first].copy()
    for step in range(1, WINDOW):
        more = np.flatnonzero(windows.behind - windows.first > step)
        highest[more] = np.maximum(highest[more], values[windows.first[more] + step])
    return highest


def _bits(masks: Codes, count: int) -> Floats:
    bytes_of = np.ascontiguousarray(masks.astype("<u8")).view(np.uint8).reshape(-1, 8)
    return np.unpackbits(bytes_of, axis=1, count=count, bitorder="little").astype(np.float32)
