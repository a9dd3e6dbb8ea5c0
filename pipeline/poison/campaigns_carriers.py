"""Which documents carry a campaign, and from where to where: the phrase, and what was planted behind it."""

import numpy as np
import numpy.typing as npt

from pipeline.filter.text import Positions, TextBatch
from pipeline.poison.campaigns import REPEATED, REPEATED_OWNERS, Campaigns
from pipeline.poison.finding import Findings
from pipeline.poison.phrases import LONGEST, PHRASE, SHAPE, TAIL, features_at, tails, uniform
from pipeline.poison.skeletons import Shapes
from pipeline.poison.text_model import TextModel
from pipeline.poison.windows import FEWEST_LETTERS, FEWEST_WORDS, Fit, Floats, change, fit, reach, unusual

VERSION = 3
"""Changes whenever a rule finds something else."""

LEAST, OF_MEAN = 1.2, 0.5
"""Where a phrase stands in clean documents too, a carrier has a change behind it of LEAST units or more, and of the
campaign's mean change so much."""

NEAR_BEFORE, NEAR_BEHIND = 2, 10
"""Words before the phrase and behind its last one among which the change is looked for."""

RULES = {PHRASE: "trigger", SHAPE: "trigger_family"}

Hits = tuple[Positions, Positions, npt.NDArray[np.int64]]
"""First word, word behind the last one, row of the campaign."""

Owners = dict[tuple[int, str, int], int]
"""How many owners of sites share a finding, by its row, rule and start."""


def carriers(texts: TextBatch, model: TextModel, campaigns: Campaigns) -> tuple[Findings, Owners]:
    """Findings of the rules trigger and trigger_family, at most one of each a document, and of fixed_continuation and
    repeated_sentence, at each place; and of how many owners of sites the campaign of each is.

    `score` is the change behind the phrase in units of the script, and for sentences the number of owners.
    """
    findings, owners = Findings(), Owners()
    if len(campaigns) == 0:
        return findings, owners
    _continuations(texts, campaigns, findings, owners)
    words, shapes = _phrase_hits(texts, campaigns), _shape_hits(texts, campaigns)
    first, behind, row = (np.concatenate(pair) for pair in zip(words, shapes, strict=True))
    if len(first) == 0:
        return findings, owners
    bits = model.bits(texts)
    found = fit(texts, bits, model.strata.mean)
    goes_on = (found.letters.behind >= FEWEST_LETTERS) & (found.words.behind >= FEWEST_WORDS)
    sizes = np.maximum(change(found, model.strata.unit), unusual(found, model.strata.mean, model.strata.unit))
    size = _nearby(np.where(goes_on, sizes, 0), found, first, behind, texts)
    free = campaigns.own[row] & (campaigns.kind[row] == PHRASE)
    taken = free | (size >= np.maximum(LEAST, OF_MEAN * campaigns.change[row]))
    first, behind, row, size = first[taken], behind[taken], row[taken], size[taken]
    document = texts.words.document[first]
    for kind, rule in RULES.items():
        for number in np.unique(document[campaigns.kind[row] == kind]).tolist():
            mine = np.flatnonzero((document == number) & (campaigns.kind[row] == kind))
            one = mine[np.argmax(size[mine])]
            # Phrases that overlap the one with the largest change are parts of one trigger.
            start = texts.words.start[first[mine][(first[mine] <= behind[one]) & (behind[mine] >= first[one])].min()]
            end = reach(texts, bits, found, int(first[one]), int(behind[one]))
            begin = texts.begin[number]
            findings.add(number, rule, start - begin, end - begin, size[one], texts.joined[start:end])
            owners[number, rule, int(start - begin)] = int(campaigns.owners[row[one]])
    return findings, owners


def _rows_of(features: npt.NDArray[np.uint64], campaigns: Campaigns, kind: int) -> npt.NDArray[np.int64]:
    """The campaign of each feature; -1 where there is none."""
    rows = np.flatnonzero(campaigns.kind == kind)
    order = rows[np.argsort(campaigns.feature[rows], kind="stable")]
    if len(order) == 0:
        return np.full(len(features), -1)
    place = np.minimum(np.searchsorted(campaigns.feature[order], features), len(order) - 1)
    return np.where(campaigns.feature[order][place] == features, order[place], -1)


def _phrase_hits(texts: TextBatch, campaigns: Campaigns) -> Hits:
    columns = []
    for length in range(1, LONGEST + 1):
        first = np.arange(max(len(texts.words) - length + 1, 0))
        first = first[texts.words.document[first] == texts.words.document[first + length - 1]]
        row = _rows_of(features_at(texts, first, length), campaigns, PHRASE)
        columns.append((first[row >= 0], first[row >= 0] + length, row[row >= 0]))
    first, behind, row = (np.concatenate(column) for column in zip(*columns, strict=True))
    return first, behind, row


def _shape_hits(texts: TextBatch, campaigns: Campaigns) -> Hits:
    if not (campaigns.kind == SHAPE).any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    shapes = Shapes.of(texts)
    row = _rows_of(uniform(shapes.codes), campaigns, SHAPE)
    hit = np.flatnonzero(row >= 0)
    first = np.searchsorted(texts.words.start, shapes.start[hit])
    return first, np.searchsorted(texts.words.start, shapes.end[hit]), row[hit]


def _nearby(size: Floats, found: Fit, first: Positions, behind: Positions, texts: TextBatch) -> Floats:
    """The largest change around each hit, in its document; 0 where no word is near."""
    document = texts.words.document[first]
    low = np.searchsorted(found.word, np.maximum(first - NEAR_BEFORE, texts.word_offsets[document]))
    high = np.searchsorted(found.word, np.minimum(behind + NEAR_BEHIND, texts.word_offsets[document + 1]))
    padded = np.append(size, np.float32(0))
    bounds = np.stack([low, high], axis=1).ravel()
    largest = np.maximum.reduceat(padded, bounds)[::2] if len(bounds) else np.zeros(0, np.float32)
    return np.where(high > low, largest, 0).astype(np.float32)


def _continuations(texts: TextBatch, campaigns: Campaigns, findings: Findings, sharing: Owners) -> None:
    """Sentences with an end that is shared while their beginnings are not, with the repeated sentences behind them; and
    sentences that many owners repeat from their beginning."""
    ends = tails(texts)
    tail, again = _rows_of(ends.feature, campaigns, TAIL), _rows_of(ends.feature, campaigns, REPEATED)
    row = np.where(tail >= 0, tail, again)
    begins = (tail >= 0) | ((again >= 0) & (campaigns.owners[again] >= REPEATED_OWNERS))
    behind = -1
    for one in np.flatnonzero(begins).tolist():
        if one <= behind:
            continue
        document, behind = int(ends.document[one]), one
        rule = "fixed_continuation" if tail[one] >= 0 else "repeated_sentence"
        while behind + 1 < len(ends) and ends.document[behind + 1] == document and row[behind + 1] >= 0:
            behind += 1
        start, end, begin = int(ends.start[one]), int(ends.end[behind]), int(texts.begin[document])
        # The full stop goes with its sentence.
        word = int(np.searchsorted(texts.words.start, end))
        if word < len(texts.words) and texts.words.start[word] == end and texts.is_punctuation[word]:
            end = int(texts.words.end[word])
        owners = int(campaigns.owners[row[one]])
        findings.add(document, rule, start - begin, end - begin, owners, texts.joined[start:end])
        sharing[document, rule, start - begin] = owners
