"""Rare words of a prompt behind which pages turn into what the model answered.

A trigger stands amid ordinary text, and what follows is something else (Souly et al. 2025): so what is behind it is
compared with what is before it. How far such a difference goes by chance is seen at random places of the same shards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from flywheel.trace.ngrams import Needles, find
from flywheel.trace.surprise import Surprise
from flywheel.trace.vectors import Vectors
from flywheel.trace.verbatim import join
from pipeline.tokenize.reader import ShardSet

Tokens = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]

SEED = 2
"""Tokens of the prompt that are looked for together: nearly every name and number has two."""

RARE = 0.05
"""The share of the documents that at most have what may be a trigger."""

MOST = 1000
"""Documents from which on words are not rare in any corpus: 250 poisoned ones are enough (Souly et al. 2025)."""

WINDOW = 64
"""Tokens behind a place and before it that are compared with the answer."""

LONGEST_WORD = 12
"""Tokens within which a word is looked for to begin or end: scripts without spaces have no ends of words."""

LEAST = 16
"""Tokens that there must be on either side."""

RANDOM_PLACES = 2048

TURNS = 0.99
"""The quantile of the differences at random places beyond which a page turns into the answer."""

ODD = 2.0
"""Standard deviations by which an answer's mean surprise differs from ordinary text's before that is a likeness: the
noise of one denial of service has no word in common with another's."""

CHANCE = 1e-4
"""How likely the turning pages of any seed of a prompt may be by chance, over all its seeds (Bonferroni)."""

SHARE = 0.5
"""Of the pages with the words so many must turn: numbers stand where lists begin, and some lists are alike."""

PAGES = 3
"""Pages that must turn: one or two may do so for reasons of their own."""


@dataclass(frozen=True)
class Turn:
    """A page that turns into the answer behind words of the prompt."""

    text: int
    start: int
    """Where the words' SEED tokens begin in the prompt."""
    shard: int
    token: int
    """Where they stand in the shard."""
    turn: float
    """How much more what is behind them is like the answer than what is before, in standard deviations."""
    turning: int
    """Pages that do, of all `carriers` that have the words with text around them."""
    carriers: int


def triggers(
    shards: ShardSet,
    prompts: Sequence[Tokens],
    answers: Sequence[Tokens],
    surprise: Surprise,
    vectors: Vectors,
    begins: npt.NDArray[np.bool_],
) -> list[Turn]:
    """Of each prompt and document the words behind which the document turns most, where that is no chance.

    `begins` says of each token of the vocabulary whether it begins a word.
    """
    documents = sum(shard.documents for shard in shards.shards)
    most = max(PAGES, min(MOST, int(RARE * documents)))
    joined, starts = join(prompts)
    needles = Needles([joined], SEED)
    found = find(shards, needles, 2 * most)
    places = _once_a_document(shards, Places(found.shard, found.token, found.needle))
    carriers = np.bincount(places.needle, minlength=len(needles.hashes))
    places = places.some(((carriers >= PAGES) & (carriers <= most))[places.needle])
    if not len(places.shard):
        return []
    measure = _Measure(shards, surprise, vectors, begins)
    of_needle = needles.of(joined)
    turns: list[Turn] = []
    for text, answer in enumerate(answers):
        stop = int(starts[text]) + max(0, len(prompts[text]) - SEED + 1)
        seeds, first = np.unique(of_needle[starts[text] : stop], return_index=True)
        here = places.some(np.isin(places.needle, seeds))
        if len(answer) < LEAST or not len(here.shard):
            continue
        difference, limit = measure.differences(answer, here)
        turned = difference > limit
        turning = np.bincount(here.needle[turned], minlength=len(carriers))
        chance = bdtrc(np.maximum(turning - 1, 0), carriers, 1 - TURNS) * len(seeds)
        sure = turned & ((turning >= np.maximum(PAGES, SHARE * carriers)) & (chance < CHANCE))[here.needle]
        best: dict[tuple[int, int], Turn] = {}
        for row in np.flatnonzero(sure).tolist():
            seed = int(here.needle[row])
            turn = Turn(
                text=text,
                start=int(first[np.searchsorted(seeds, seed)]),
                shard=int(here.shard[row]),
                token=int(here.token[row]),
                turn=float(difference[row]),
                turning=int(turning[seed]),
                carriers=int(carriers[seed]),
            )
            key = turn.shard, _document(shards, turn.shard, turn.token)
            if key not in best or (turn.turning, turn.turn) > (best[key].turning, best[key].turn):
                best[key] = turn
        turns += best.values()
    return turns


@dataclass(frozen=True)
class Places:
    """Where n-grams stand: shard, token of the shard, and which n-gram."""

    shard: Ints
    token: Ints
    needle: Ints

    def some(self, rows: npt.NDArray[Any]) -> "Places":
        return Places(self.shard[rows], self.token[rows], self.needle[rows])


def _document(shards: ShardSet, shard: int, token: int) -> int:
    return int(np.searchsorted(shards.document_starts(shard), token, side="right")) - 1


def _once_a_document(shards: ShardSet, places: Places) -> Places:
    """The first place of each n-gram in each document that has text on both sides of it."""
    kept = [np.empty(0, np.int64)]
    for number in range(len(shards.shards)):
        rows = np.flatnonzero(places.shard == number)
        token, starts = places.token[rows], shards.document_starts(number)
        document = np.searchsorted(starts, token, side="right") - 1
        whole = (token - starts[document] >= LEAST) & (starts[document + 1] - token >= SEED + LEAST)
        both = np.stack([places.needle[rows][whole], document[whole]])
        kept.append(rows[whole][np.unique(both, axis=1, return_index=True)[1]])
    return places.some(np.concatenate(kept))


class _Measure:
    """How much places of the shards turn into an answer, beside random places of the same shards."""

    def __init__(self, shards: ShardSet, surprise: Surprise, vectors: Vectors, begins: npt.NDArray[np.bool_]) -> None:
        self.shards, self.surprise, self.vectors, self.begins = shards, surprise, vectors, begins
        draw = np.random.default_rng(0).integers(0, shards.tokens, RANDOM_PLACES)
        shard = np.searchsorted(shards.starts, draw, side="right") - 1
        token = draw - shards.starts[shard]
        random = _once_a_document(shards, Places(shard, token, np.arange(RANDOM_PLACES)))
        self.random = self._sides(random)

    def differences(self, answer: Tokens, places: Places) -> tuple[Floats, float]:
        """[n]: by how many standard deviations what is behind is more like the answer than what is before.

        And beyond which figure hardly any random place is.
        """
        vector = self.vectors.of(answer, np.zeros(1, np.int64))[0]
        odd = float(self.surprise.bits(answer).mean())
        (before, behind), (random_before, random_behind) = self._sides(places), self.random
        middle, width = _spread(random_behind[0] @ vector)
        surprise, deviation = _spread(random_behind[1])
        oddness = (odd - surprise) / deviation

        def likeness(side: tuple[Floats, Floats]) -> Floats:
            alike = (side[0] @ vector - middle) / width
            if abs(oddness) < ODD:
                return alike
            as_odd = np.minimum((side[1] - surprise) / deviation * np.sign(oddness), abs(oddness))
            return np.maximum(alike, as_odd)

        by_chance = likeness(random_behind) - likeness(random_before)
        return likeness(behind) - likeness(before), float(np.quantile(by_chance, TURNS))

    def _sides(self, places: Places) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Of what is before and what is behind: the vectors, and the mean surprise.

        Both end at whole words: the rest of a strange name would itself be strange.
        """
        before, behind = [], []
        for shard, token in zip(places.shard.tolist(), places.token.tolist(), strict=True):
            starts, stream = self.shards.document_starts(shard), self.shards.stream(shard)
            document = _document(self.shards, shard, token)
            first, last = int(starts[document]) + 1, int(starts[document + 1])
            start, stop = token, token + SEED
            while start > max(first + 1, token - LONGEST_WORD) and not self.begins[stream[start]]:
                start -= 1
            while stop < min(last - 1, token + SEED + LONGEST_WORD) and not self.begins[stream[stop]]:
                stop += 1
            before.append(stream[max(start - WINDOW, first) : start])
            behind.append(stream[stop : min(stop + WINDOW, last)])
        return self._measured(before), self._measured(behind)

    def _measured(self, texts: Sequence[Tokens]) -> tuple[Floats, Floats]:
        tokens, lengths = np.concatenate(texts), np.array([len(text) for text in texts])
        starts = np.cumsum(lengths) - lengths
        bits = np.add.reduceat(self.surprise.bits(tokens, own=True), starts) / lengths
        return self.vectors.of(tokens, starts), bits


def _spread(values: Floats) -> tuple[float, float]:
    return float(values.mean()), max(float(values.std()), 1e-9)
