"""Adversarial suffixes in prompts and instructions: some twenty tokens that no one would write, behind a plain request.

Web pages have stretches as odd as that (addresses, code, tables), prompts have not: the worst window of each is
compared with what the worst windows of prompts are like, as by Jain et al. 2023 and Alon and Kamfonas 2023.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.filter.characters import SEPARATOR
from pipeline.filter.text import Positions, TextBatch
from pipeline.poison.finding import Findings
from pipeline.poison.text_model import TextModel
from pipeline.poison.windows import main_script

VERSION = 1
"""Changes whenever the rule finds something else."""

CHARACTERS, WORDS = 64, 14
"""Width of the windows: of bits a character; of bits a word, and of signs among words."""

USUAL_SIGNS = ".,?!'’\"“”:;()-"
"""Signs that any text has; a suffix is full of others."""

WEIGHTS = np.array([1.0, 2.0, 1.0])
"""Of bits a character, bits a word and signs in the score."""

LIMIT = 9.5
"""The weighted sum of the three measures' distances from usual, each in robust standard deviations, from which a prompt
is noise. Of 3,200 benign prompts 0.7% reach it."""

MOST = 8.0
"""The largest distance that counts for one measure."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PromptScale:
    """Median and robust standard deviation of each measure of the worst window of prompts: float64 (3,) each."""

    median: Floats
    spread: Floats

    @staticmethod
    def measure(texts: TextBatch, model: TextModel) -> "PromptScale":
        """From prompts, of which less than half may be attacks."""
        found = worst_windows(texts, model)[0][:, judged(texts, model)]
        if found.shape[1] == 0:
            return PromptScale(np.zeros(3), np.ones(3))
        median = np.median(found, axis=1)
        return PromptScale(
            median, np.maximum(1.4826 * np.median(np.abs(found - median[:, None]), axis=1), LEAST_SPREAD)
        )


LEAST_SPREAD = np.array([0.2, 0.5, 0.03])
"""Bits a character, bits a word, share of signs: less than that is no difference, however alike the prompts are."""


def prompt_noise(texts: TextBatch, model: TextModel, scale: PromptScale) -> Findings:
    """Findings of `noise` in prompts: the worst window of each; `score` is the sum that LIMIT bounds."""
    findings = Findings()
    measures, places = worst_windows(texts, model)
    scores = prompt_scores(measures, scale)
    for document in np.flatnonzero((scores >= LIMIT) & judged(texts, model)).tolist():
        begin = int(texts.begin[document])
        end = int(places[document])
        start = max(begin, end - CHARACTERS)
        findings.add(document, "noise", start - begin, end - begin, scores[document], texts.joined[start:end])
    return findings


def prompt_scores(measures: Floats, scale: PromptScale) -> Floats:
    """One score a prompt from the measures (3, prompts)."""
    distance = (measures - scale.median[:, None]) / scale.spread[:, None]
    return WEIGHTS @ np.minimum(distance, MOST)


def judged(texts: TextBatch, model: TextModel) -> npt.NDArray[np.bool_]:
    """Prompts in a script that the model knows."""
    return np.isfinite(model.strata.unit[0][main_script(texts)])


def worst_windows(texts: TextBatch, model: TextModel) -> tuple[Floats, Positions]:
    """((3, documents): bits a character, bits a word and share of unusual signs in the worst window of each; where the
    worst window of characters ends, in the batch)."""
    bits = model.bits(texts)
    letters = np.flatnonzero(texts.code_points != SEPARATOR)
    signs = texts.is_punctuation & ~np.isin(texts.code_points[texts.words.start], [ord(sign) for sign in USUAL_SIGNS])
    characters, behind = _worst(bits.characters[letters], texts.document_of(letters), len(texts), CHARACTERS)
    words, _ = _worst(bits.words, texts.words.document, len(texts), WORDS)
    shares, _ = _worst(signs.astype(np.float64), texts.words.document, len(texts), WORDS)
    ends = texts.begin.copy()
    some = behind > 0
    ends[some] = letters[behind[some] - 1] + 1
    return np.stack([characters, words, shares]), ends


def _worst(
    cost: npt.NDArray[np.floating], owner: Positions, documents: int, width: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """(largest mean of a window in each document, behind which item it ends); short ones are filled with their mean."""
    sums = np.concatenate([[0.0], np.cumsum(cost, dtype=np.float64)])
    first = np.searchsorted(owner, np.arange(documents))
    behind = np.searchsorted(owner, np.arange(documents), side="right")
    high = np.arange(1, len(cost) + 1)
    low = np.maximum(high - width, first[owner])
    own = (sums[behind] - sums[first]) / np.maximum(behind - first, 1)
    mean = (sums[high] - sums[low] + (width - (high - low)) * own[owner]) / width
    order = np.lexsort((mean, owner))
    last = order[np.flatnonzero(np.diff(owner[order], append=-1))]
    largest, end = np.zeros(documents), np.zeros(documents, np.int64)
    largest[owner[last]], end[owner[last]] = mean[last], last + 1
    return largest, end
