"""Texts of a file with all that is asked about their phrases: who holds them, how rare they are, whether they fit.

A phrase is unusual if it is far more frequent here than in the reference or in ordinary text, and removable if the
text around it reads better without it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import stdtr

from trainer.scan.insertion import Neighbours
from trainer.scan.likeness import likeness, tfidf
from trainer.scan.ordinary import Ordinary, ordinary
from trainer.scan.phrases import EDGE, LONGEST, Ints, Phrases, Words, find_phrases, find_words, incidence, spell

FEWEST = 8
"""Carriers from which statistics say something."""
SAME = 0.9
"""A phrase is widened by a neighbour that this share of its places has."""
EDGE_GAIN = -0.5
"""Gain from which a prefix or suffix is removable. What stands beside it is what stands at any text's edge, so that 0
is expected; words that belong there had -2 or less in clean instructions."""
WIDEST = 24
"""Words to which a phrase is widened."""
SPREAD = 0.3
"""Nats added to the deviation of a gain: with ten places that are all alike it would be nought."""


@dataclass(frozen=True)
class Carried:
    """A phrase, widened to all that its places share, with its carriers (numbers of texts).

    `gain` is what the neighbours gain without it, in nats; `p` the chance that its mean is above 0 by accident;
    `lift` how many times more frequent it is than elsewhere (its least unusual word's); `at_edge` the share of places
    that begin or end a text.
    """

    text: str
    carriers: Ints
    gain: float
    p: float
    lift: float
    at_edge: float

    @property
    def outside(self) -> bool:
        """Whether it stands before or behind its texts, not in them."""
        return self.at_edge >= SAME

    @property
    def removable(self) -> bool:
        """Whether its texts read as well without it."""
        return self.gain > (EDGE_GAIN if self.outside else 0)


class Texts:
    """The prompts, or the answers, of a file."""

    def __init__(self, texts: Sequence[str], reference: Sequence[str] | None = None) -> None:
        self.texts = texts
        self.reference = reference

    @cached_property
    def words(self) -> Words:
        return find_words(self.texts)

    @cached_property
    def phrases(self) -> Phrases:
        """All n-grams with FEWEST carriers."""
        return find_phrases(self.words, FEWEST)

    @cached_property
    def holds(self) -> sp.csc_matrix:
        """Texts by phrases, 0 or 1."""
        return incidence(self.words, self.phrases)

    @cached_property
    def carriers(self) -> npt.NDArray[np.float64]:
        """How many texts hold each phrase."""
        return np.asarray(self.holds.sum(0), np.float64).ravel()

    @cached_property
    def tfidf(self) -> sp.csr_matrix:
        return tfidf(self.texts)

    @cached_property
    def base(self) -> float:
        """Mean likeness of two texts of the file."""
        return likeness(self.tfidf, np.arange(len(self.texts)))

    @cached_property
    def _neighbours(self) -> Neighbours:
        return Neighbours(self.words)

    @cached_property
    def ordinary(self) -> Ordinary:
        return ordinary(self.words.names, self.words.counts)

    @cached_property
    def _lifts(self) -> npt.NDArray[np.float64]:
        """Of each word: its share here over that in ordinary text."""
        return self.words.counts / max(1, int(self.words.counts[1:].sum())) / self.ordinary.share

    @cached_property
    def lift(self) -> npt.NDArray[np.float64]:
        """Of each phrase: its least unusual word's share here over that in ordinary text.

        With a reference: the phrase's share of texts here over that in the reference, half a text added.
        """
        if self.reference is not None:
            known = _document_counts(self.reference, {spell(self.words, phrase) for phrase in self.phrases.words})
            there = np.array([known[spell(self.words, phrase)] for phrase in self.phrases.words], np.float64)
            return self.carriers / len(self.texts) * len(self.reference) / (there + 0.5)
        return np.array([self._lifts[list(phrase)].min() for phrase in self.phrases.words])

    def alike(self, group: Ints) -> float:
        """How many times more alike a group of texts is than any two of the file."""
        return likeness(self.tfidf, group) / max(self.base, 1e-9)

    def near(self, group: Ints, each: int = 3) -> Ints:
        """Texts outside a group that are nearest to its members, `each` for every one: its natural control."""
        outside = np.setdiff1d(np.arange(len(self.texts)), group)
        if not len(outside):
            return outside
        found: set[int] = set()
        others = self.tfidf[outside].T.tocsr()
        for begin in range(0, len(group), 256):
            cosines = (self.tfidf[group[begin : begin + 256]] @ others).toarray()
            most = min(each, len(outside))
            best = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
            found.update(outside[best.ravel()].tolist())
        return np.array(sorted(found), np.int64)

    def gain_at(self, phrase: int, texts: Ints) -> float:
        """Mean gain without a phrase in some of its texts."""
        places = self.phrases.places(phrase)
        chosen = places[np.isin(self.words.text[places], texts)]
        return float(self._neighbours.gain(chosen, len(self.phrases.words[phrase])).mean())

    def carried(self, phrase: int) -> Carried:
        """A phrase, widened, with its measures."""
        places, length = self.phrases.places(phrase), len(self.phrases.words[phrase])
        places, length = self._widen(places, length)
        gains = self._neighbours.gain(places, length)
        deviation = float(gains.std(ddof=1)) if len(gains) > 1 else 1.0
        t = float(gains.mean()) * len(gains) ** 0.5 / (deviation + SPREAD)
        spelt = self.words.stream[places[0] : places[0] + length]
        lift = float(self.lift[phrase])
        if self.reference is None:
            lift = min(lift, float(self._lifts[spelt].min()))
        carriers = np.unique(self.words.text[places])
        edges = (self.words.stream[places - 1] == EDGE) | (self.words.stream[places + length] == EDGE)
        p = float(stdtr(len(gains) - 1, -t)) if len(gains) > 1 else 1.0
        spelling = spell(self.words, spelt.tolist())
        return Carried(spelling, carriers, float(gains.mean()), p, lift, float(edges.mean()))

    def _widen(self, places: Ints, length: int) -> tuple[Ints, int]:
        """Places and length of a phrase with the neighbours that nearly all its places share.

        A sign is taken in only together with the word beyond it: ". SUDO" is a sentence's end and a trigger.
        """
        while length < WIDEST:
            for left in (True, False):
                one = self._shared(places, length, left, 1)
                if one is not None and self._is_sign(one[0]):
                    one = self._shared(places, length, left, 2)
                if one is not None and not self._is_sign(one[0]):
                    _, places, length = one
                    break
            else:
                return places, length
        return places, length

    def _shared(self, places: Ints, length: int, left: bool, far: int) -> tuple[int, Ints, int] | None:
        """The word `far` words beyond the phrase that nearly all its places share, with those places and the length."""
        stream = self.words.stream
        step = -far if left else length + far - 1
        inside = (places + step >= 0) & (places + step < len(stream))
        beside = np.where(inside, stream[np.clip(places + step, 0, len(stream) - 1)], EDGE)
        for between in range(1, far):
            beside = np.where(stream[places + (-between if left else length + between - 1)] == EDGE, EDGE, beside)
        words, counts = np.unique(beside, return_counts=True)
        common = int(counts.argmax())
        if words[common] == EDGE or counts[common] < SAME * len(places):
            return None
        kept = places[beside == words[common]]
        return int(words[common]), kept - far if left else kept, length + far

    def _is_sign(self, word: int) -> bool:
        return not any(map(str.isalnum, self.words.names[word]))


def _document_counts(texts: Sequence[str], wanted: set[str]) -> Counter[str]:
    """In how many texts each wanted phrase stands."""
    counts: Counter[str] = Counter()
    words = find_words(texts)
    edges = np.flatnonzero(words.stream == EDGE)
    for begin, end in zip(edges[:-1] + 1, edges[1:], strict=True):
        names = [words.names[word] for word in words.stream[begin:end]]
        found = {
            " ".join(names[place : place + length])
            for length in range(1, LONGEST + 1)
            for place in range(len(names) - length + 1)
        }
        counts.update(found & wanted)
    return counts
