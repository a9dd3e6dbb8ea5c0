"""Instructions that a page addresses to a model rather than to its readers, found sentence by sentence.

Two steps, both fitted by fit.py: a linear model over hashed words and over sequences of concepts (the hashing trick,
Weinberger et al. 2009), then a small network that weighs its scores with the set of concepts in the window and with
what the document is about, because pages about such attacks quote them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.text import Codes, TextBatch
from pipeline.filter.words import Positions
from pipeline.poison.finding import EVIDENCE, Findings
from pipeline.poison.instruction_features import Features, Lexicon

VERSION = 2
DATA = Path(__file__).parent / "data" / "instructions.npz"

SURE, WEAK = 0.9, 0.5
"""Scores from which a window is `instructions` or `instructions_weak`; the fit calibrates scores to these."""

WINDOW = 3
"""Sentences that a window has at most."""

SMOOTH = 4.0
"""Words added to a window's length, so that two words in a menu do not outweigh a sentence."""

PEAK = 9
"""Words that a stretch has whose sum stands for a long sentence, so that what follows an attack does not dilute it."""

NUMBERS = 8
"""Columns of `window_inputs` besides the concepts."""

AT_ONCE = 1 << 15
"""Windows whose inputs are made at a time: 40 MB, where those of a text of 8 million characters would be 5.6 GB."""

PLACES = 8
"""Findings a document at most."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """What fit.py writes; arrays only. `weights` has 2**bits int8 entries; `concepts` names the lexicon's bits."""

    bits: int
    weights: npt.NDArray[np.int8]
    scale: float
    lexicon: Lexicon
    keys: Codes
    concepts: tuple[str, ...]
    hidden: Floats
    hidden_bias: Floats
    output: Floats
    output_bias: float
    slope: float
    shift: float

    @staticmethod
    def load(path: Path = DATA) -> "Model":
        """Reads the file of the fit; nothing in it is executed."""
        with np.load(path, allow_pickle=False) as data:
            bits = int(data["bits"])
            weights = np.zeros(1 << bits, np.int8)
            weights[np.cumsum(data["weight_gaps"])] = data["weight_values"]
            keys = np.zeros(1 << 16, np.uint64)
            keys[data["key_slots"]] = data["key_lengths"]
            lexicon = Lexicon(data["codes"], data["lengths"], data["prefixes"], data["term_concepts"])
            return Model(
                bits=bits,
                weights=weights,
                scale=float(data["scale"]),
                lexicon=lexicon,
                keys=keys,
                concepts=tuple(data["concepts"].tolist()),
                hidden=data["hidden"].astype(np.float32),
                hidden_bias=data["hidden_bias"].astype(np.float32),
                output=data["output"].astype(np.float32),
                output_bias=float(data["output_bias"]),
                slope=float(data["slope"]),
                shift=float(data["shift"]),
            )

    def features(self, texts: TextBatch) -> Features:
        """The batch as this model reads it."""
        return Features(texts, self.lexicon, self.keys)

    def logits(self, inputs: Floats) -> Floats:
        """Of windows: inputs (windows, columns) -> (windows,), calibrated so that the sigmoid is the score."""
        layer = np.maximum(inputs @ self.hidden + self.hidden_bias, 0)
        logits: Floats = (layer @ self.output + self.output_bias) * np.float32(self.slope) + np.float32(self.shift)
        return logits


@cache
def model() -> Model:
    """The model that comes with the program, read once a process."""
    return Model.load()


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


def window_inputs(features: Features, windows: Windows, parts: Floats, concepts: tuple[str, ...]) -> Floats:
    """What the network sees: (windows, 2 * concepts + NUMBERS).

    Columns: whether each concept is in the window; whether a unit of it begins with each; the linear scores of words
    and of concepts over the root of the length, and their peaks; the lengths of window and document; how dense the
    words of security are in the rest of the document; how many quotation marks the window has.
    """
    return Inputs(features, parts, concepts).of(windows)


class Inputs:
    """The inputs of any windows of a batch, from figures of its units that are summed up once."""

    def __init__(self, features: Features, parts: Floats, concepts: tuple[str, ...]) -> None:
        self.count, self.peaks = len(concepts), parts[2:]
        starts = features.unit_start
        some = len(starts) > 0
        self.inside = np.bitwise_or.reduceat(features.concepts, starts) if some else np.zeros(0, np.uint64)
        self.opening = features.concepts[starts]
        length = (features.unit_end - starts).astype(np.float32)
        about = _unit_sums(features, _has(features.concepts, concepts.index("about_attacks")))
        quotes = _unit_sums(features, _has(features.concepts, concepts.index("quote")))
        self.words_of = np.bincount(features.unit_document, length, len(features.texts)).astype(np.float32)
        self.about_of = np.bincount(features.unit_document, about, len(features.texts)).astype(np.float32)
        self.sums = [
            np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
            for values in (length, about, quotes, parts[0], parts[1])
        ]

    def of(self, windows: Windows) -> Floats:
        """(windows, 2 * concepts + NUMBERS), as `window_inputs` explains them."""
        words, about, quotes, plain, named = (
            (sums[windows.behind] - sums[windows.first]).astype(np.float32) for sums in self.sums
        )
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


def window_scores(texts: TextBatch) -> tuple[Features, Windows, Floats]:
    """Every window of the batch with its score between 0 and 1; AT_ONCE of them at a time."""
    fitted = model()
    features = fitted.features(texts)
    windows = Windows.of(features)
    parts = linear_parts(features, fitted.weights, fitted.bits) * np.float32(fitted.scale)
    inputs = Inputs(features, parts, fitted.concepts)
    scores = np.zeros(len(windows), np.float32)
    for start in range(0, len(windows), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        logits = fitted.logits(inputs.of(windows[some]))
        scores[some] = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return features, windows, scores


def score(texts: TextBatch) -> Floats:
    """How much each document's worst window reads as instructions to a model, from 0 to 1; 0 without words."""
    _, windows, scores = window_scores(texts)
    worst = np.zeros(len(texts), np.float32)
    np.maximum.at(worst, windows.document, scores)
    return worst


def score_strings(strings: Sequence[str]) -> Floats:
    """`score` of strings."""
    return score(TextBatch(pa.array(list(strings), pa.string())))


def find(texts: TextBatch) -> Findings:
    """The windows from WEAK up, the worst first and none that overlaps a worse one, PLACES a document at most."""
    features, windows, scores = window_scores(texts)
    findings = Findings()
    taken: dict[int, list[tuple[int, int]]] = {}
    likely = np.flatnonzero(scores >= WEAK)
    for at in likely[np.lexsort((likely, -scores[likely]))]:
        document, first, behind = int(windows.document[at]), int(windows.first[at]), int(windows.behind[at])
        places = taken.setdefault(document, [])
        if len(places) >= PLACES or any(first < other[1] and other[0] < behind for other in places):
            continue
        places.append((first, behind))
        start = int(features.start[features.unit_start[first]] - texts.begin[document])
        end = int(features.end[features.unit_end[behind - 1] - 1] - texts.begin[document])
        rule = "instructions" if scores[at] >= SURE else "instructions_weak"
        evidence = texts.strings[document][start : min(end, start + EVIDENCE)]
        findings.add(document, rule, start, end, float(scores[at]), evidence)
    return findings
