"""Instructions that a page addresses to a model rather than to its readers, found sentence by sentence.

Two steps, both fitted by benchmarks/poison_fit: a linear model over hashed words and over sequences of concepts (the
hashing trick, Weinberger et al. 2009), then a small network that weighs its scores with the set of concepts in the
window and with what the document is about, because pages about such attacks quote them.
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
from pipeline.poison.instruction_inputs import (
    ABOUT,
    DENSITY,
    Doubles,
    Floats,
    Inputs,
    Windows,
    linear_parts,
    on_grid,
)
from pipeline.poison.invisible_seen import see_through

VERSION = 4
DATA = Path(__file__).parent / "data" / "instructions.npz"

SURE, WEAK = 0.9, 0.5
"""Scores from which a window is `instructions` or `instructions_weak`; the fit calibrates scores to these."""

FLOOR = 1.0
"""Sum of linear scores below which the network is not asked: three windows in four of clean pages, and one in a
thousand of those in attacks that it would find."""

AT_ONCE = 1 << 15
"""Windows whose inputs are made at a time: 40 MB, where those of a text of 8 million characters would be 5.6 GB."""

PLACES = 8
"""Findings a document at most."""

NEAR, EXTENT, GAP = 0.2, 8, 2
"""Score of a sentence that goes with a finding beside it, or GAP - 1 sentences away, and how many to either side."""


@dataclass(frozen=True)
class Model:
    """What the fit writes; arrays only. `weights` has 2**bits int8 entries; `concepts` names the lexicon's bits."""

    bits: int
    weights: npt.NDArray[np.int8]
    scale: float
    lexicon: Lexicon
    keys: Codes
    concepts: tuple[str, ...]
    hidden: Doubles
    hidden_bias: Doubles
    output: Doubles
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
                hidden=data["hidden"].astype(np.float64),
                hidden_bias=data["hidden_bias"].astype(np.float64),
                output=data["output"].astype(np.float64),
                output_bias=float(data["output_bias"]),
                slope=float(data["slope"]),
                shift=float(data["shift"]),
            )

    def features(self, texts: TextBatch) -> Features:
        """The batch as this model reads it."""
        return Features(texts, self.lexicon, self.keys)

    def logits(self, inputs: Floats) -> Floats:
        """Of windows: inputs (windows, columns) -> (windows,), calibrated so that the sigmoid is the score.

        The same for a window whatever stands beside it in the batch: with factors that end at GRID all products and
        sums are exact, in whichever order a matrix product adds.
        """
        layer = np.maximum(on_grid(inputs) @ on_grid(self.hidden) + self.hidden_bias, 0)
        logits = (on_grid(layer) @ on_grid(self.output) + self.output_bias) * self.slope + self.shift
        return logits.astype(np.float32)


@cache
def model() -> Model:
    """The model that comes with the program, read once a process."""
    return Model.load()


@dataclass(frozen=True)
class Scored:
    """A batch's windows with their scores between 0 and 1."""

    features: Features
    windows: Windows
    inputs: Inputs
    scores: Floats


def window_scores(texts: TextBatch, fitted: Model | None = None) -> Scored:
    """Every window of the batch with its score by a model (else the one that comes with the program).

    What the linear scores call harmless has the score 0. What would be found in a text that is not about attacks is
    weak at least in one that is, so that talk about security hides nothing.
    """
    fitted = fitted or model()
    features = fitted.features(texts)
    windows = Windows.of(features)
    parts = on_grid(linear_parts(features, fitted.weights, fitted.bits) * fitted.scale).astype(np.float32)
    inputs = Inputs(features, parts, fitted.concepts)
    scores = np.zeros(len(windows), np.float32)
    seen = np.flatnonzero(inputs.likely(windows) >= FLOOR)
    for start in range(0, len(seen), AT_ONCE):
        some = seen[start : start + AT_ONCE]
        columns = inputs.of(windows[some])
        scores[some] = _sigmoid(fitted.logits(columns))
        about = np.flatnonzero(columns[:, DENSITY] >= 100 * ABOUT)
        columns = columns[about]
        columns[:, DENSITY] = 0
        alone = _sigmoid(fitted.logits(columns))
        scores[some[about]] = np.maximum(scores[some[about]], np.where(alone >= WEAK, WEAK, 0))
    return Scored(features, windows, inputs, scores)


def _sigmoid(logits: Floats) -> Floats:
    return (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)


def score(texts: TextBatch, fitted: Model | None = None) -> Floats:
    """How much each document's worst window reads as instructions to a model, from 0 to 1; 0 without words.

    Invisible characters are seen through.
    """
    scored = window_scores(see_through(texts).texts, fitted)
    worst = np.zeros(len(texts), np.float32)
    np.maximum.at(worst, scored.windows.document, scored.scores)
    return worst


def score_strings(strings: Sequence[str]) -> Floats:
    """`score` of strings."""
    return score(TextBatch(pa.array(list(strings), pa.string())))


def find(texts: TextBatch) -> Findings:
    """The windows from WEAK up, the worst first, PLACES a document at most. Invisible characters are seen through.

    Each with the sentences beside it that are suspicious too (from NEAR up, alone), so that what is cut out is the
    whole of an attack; windows that lie in it are not found again. What an article about attacks quotes is weak at
    most; there the whole of a quotation goes, from one mark to the other, where it reads as instructions by itself.
    """
    through = see_through(texts)
    seen = through.texts
    scored = window_scores(seen)
    spans = _windows_found(scored)
    _add_quotations(spans, scored)
    findings = Findings()
    for document, found in sorted(spans.items()):
        begin = int(seen.begin[document])
        for start, end, value, is_sure in _merged(found):
            rule = "instructions" if is_sure else "instructions_weak"
            evidence = seen.joined[start : min(end, start + EVIDENCE)]
            findings.add(document, rule, start - begin, end - begin, value, evidence)
    return Findings(through.restored(findings.rows))


Span = tuple[int, int, float, bool]
"""Start and end in the batch, score, and whether it is `instructions`."""


def _windows_found(scored: Scored) -> dict[int, list[Span]]:
    """The windows of each document with what is suspicious beside them; they do not overlap."""
    features, windows, scores = scored.features, scored.windows, scored.scores
    found: dict[int, list[Span]] = {}
    taken: dict[int, list[tuple[int, int]]] = {}
    likely = np.flatnonzero(scores >= WEAK)
    suspicious = scores[: len(features.unit_start)] >= NEAR  # windows of one sentence come first
    order = likely[np.lexsort((likely, -scores[likely]))]
    for at, is_quoted in zip(order.tolist(), scored.inputs.is_mention(windows[order]).tolist(), strict=True):
        document, first, behind = int(windows.document[at]), int(windows.first[at]), int(windows.behind[at])
        places = taken.setdefault(document, [])
        if len(places) >= PLACES or any(first < other[1] and other[0] < behind for other in places):
            continue
        first, behind = _extended(first, behind, suspicious, features.unit_document, places)
        places.append((first, behind))
        start = int(features.start[features.unit_start[first]])
        end = int(features.end[features.unit_end[behind - 1] - 1])
        is_sure = bool(scores[at] >= SURE) and not is_quoted
        found.setdefault(document, []).append((start, end, float(scores[at]), is_sure))
    return found


def _add_quotations(spans: dict[int, list[Span]], scored: Scored) -> None:
    """Adds the quotations of texts about attacks, each judged as if it were all that its page says.

    Beside talk about attacks a quoted attack has a low score. From WEAK up one is found; from NEAR up it is where
    something in it is.
    """
    texts = scored.features.texts
    quotations = scored.inputs.quoted()
    alone = score_strings([texts.joined[a + 1 : b - 1] for a, b in zip(quotations.start, quotations.end, strict=True)])
    windows = {document: list(found) for document, found in spans.items()}
    for at in np.flatnonzero(alone >= NEAR).tolist():
        document, start, end = int(quotations.document[at]), int(quotations.start[at]), int(quotations.end[at])
        if alone[at] >= WEAK or any(first < end and start < last for first, last, *_ in windows.get(document, [])):
            spans.setdefault(document, []).append((start, end, float(alone[at]), False))


def _merged(spans: list[Span]) -> list[Span]:
    """Spans in order, those that overlap as one."""
    merged: list[Span] = []
    for start, end, value, is_sure in sorted(spans):
        if merged and start < merged[-1][1]:
            first, last, worst, other = merged[-1]
            merged[-1] = (first, max(last, end), max(worst, value), other or is_sure)
        else:
            merged.append((start, end, value, is_sure))
    return merged


def _extended(
    first: int, behind: int, suspicious: npt.NDArray[np.bool_], document: Positions, taken: list[tuple[int, int]]
) -> tuple[int, int]:
    """A run of units with the suspicious ones of its document beside it, EXTENT to either side, none of them taken."""
    lowest = max([first - EXTENT, 0, *(other[1] for other in taken if other[1] <= first)])
    highest = min([behind + EXTENT, len(document), *(other[0] for other in taken if other[0] >= behind)])
    lowest = max(lowest, int(np.searchsorted(document, document[first])))
    highest = min(highest, int(np.searchsorted(document, document[first], side="right")))
    while first > lowest and suspicious[max(first - GAP, lowest) : first].any():
        first -= 1
    while behind < highest and suspicious[behind : min(behind + GAP, highest)].any():
        behind += 1
    return first, behind
