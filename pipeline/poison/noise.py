"""Text that no language has: stretches of noise in a document.

A bad fit alone points at tables, lists of names and languages that the corpus has little of. What they have and noise
has not is repetition: eighty words of any language say some of them twice, tokens drawn at random hardly ever do.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.filter.characters import UPPER
from pipeline.filter.text import TextBatch
from pipeline.poison.finding import Findings
from pipeline.poison.phrases import COMMON
from pipeline.poison.text_model import TextModel
from pipeline.poison.windows import Bits, Fit, Floats, change, fit, peaks, reach

VERSION = 1
"""Changes whenever a rule finds something else."""

JUMP = 2.3
"""Change, in units of the script, from which what follows is looked at: 10% of clean pages have such a place."""

HUGE = 8.0
"""Change of the letters' fit for which repetition is not asked: letters at random repeat, as words of one letter."""

LEVEL = 1.5
"""Level over the script's average, in units, from which a stretch is looked at that has no prose before it. Prose that
turns into noise is below."""

PLACES = 3
"""Places a document that are looked at."""

WORDS, FEWEST = 80, 60
"""Words with letters that are looked at from a place on, and how many there have to be."""

DISTINCT = 0.96
"""Share of the words that are distinct, at least. Of tokens drawn at random from a vocabulary of 8,000 98% are or more
(2% quantile); of what follows a change on clean pages 94% or less in nine places of ten, in books 90%."""

FREQUENT = 0.15
"""Share of the words that stand in a fifth of the documents, at most: in books 30% or more, in noise 8% or less."""

CAPITALS, LINES = 0.6, 2.0
"""Share of the words that are capitalised, and lines in 400 characters, at most: lists of names have more."""


def find(texts: TextBatch, model: TextModel) -> Findings:
    """Findings of `noise_jump` (prose that turns into noise) and `noise` (noise from the start): the first of each in a
    document, up to where the noise ends. `score` is in units of the script."""
    bits = model.bits(texts)
    found = fit(texts, bits, model.strata.mean)
    unit = model.strata.unit
    findings = Findings()
    jump = np.where(found.within & (_level(found, model, "left") < LEVEL), change(found, unit), 0)
    jumped = _add("noise_jump", jump, JUMP, texts, model, bits, found, findings)
    level = _level(found, model, "right")
    level[np.isin(found.document, jumped)] = 0
    _add("noise", level, LEVEL, texts, model, bits, found, findings)
    return findings


def _level(found: Fit, model: TextModel, side: Literal["left", "right"]) -> Floats:
    """How much worse one side of each word fits than its script does on average, in units; the worse model counts."""
    unit, mean = model.strata.unit, model.strata.mean
    letters = (getattr(found.letters, side) - mean[0][found.stratum]) / unit[0][found.stratum]
    words = (getattr(found.words, side) - mean[1][found.stratum]) / unit[1][found.stratum]
    return np.maximum(letters, words)


def _add(
    rule: str,
    values: npt.NDArray[np.floating],
    least: float,
    texts: TextBatch,
    model: TextModel,
    bits: Bits,
    found: Fit,
    findings: Findings,
) -> list[int]:
    """Adds a finding for the first place of each document that is noise; those documents."""
    unit = model.strata.unit[0]
    documents: list[int] = []
    for row in peaks(values, found, least, PLACES).tolist():
        document = int(found.document[row])
        huge = rule == "noise_jump" and found.letters.jump[row] / unit[found.stratum[row]] >= HUGE
        if document in documents or not _is_noise(texts, model, found, row, huge):
            continue
        documents.append(document)
        start, begin = int(found.at[row]), int(texts.begin[document])
        end = reach(texts, bits, found, int(found.word[row]), int(found.word[row]) + 1)
        findings.add(document, rule, start - begin, end - begin, values[row], texts.joined[start:end])
    return documents


def _is_noise(texts: TextBatch, model: TextModel, found: Fit, row: int, huge: bool) -> bool:
    """Whether what stands from a place on has the form of no text: no line breaks, no names, few words twice."""
    words = found.word[row : row + WORDS]
    words = words[: np.searchsorted(words, texts.word_offsets[found.document[row] + 1])]
    if len(words) < FEWEST:
        return False
    start, end = texts.words.start[words[0]], texts.words.end[words[-1]]
    lines = np.count_nonzero(texts.code_points[start:end] == ord("\n")) * 400 / (end - start)
    capitals = np.mean(texts.flags[texts.words.start[words]] & UPPER != 0)
    if lines > LINES or capitals > CAPITALS:
        return False
    if huge:
        return True
    distinct = len(np.unique(texts.word_codes[words])) / len(words)
    return bool(distinct >= DISTINCT and np.mean(model.words.shares(texts, words)[0] > COMMON) <= FREQUENT)
