"""How much better a text reads without a phrase: ONION's idea (Qi et al. 2021) over all its carriers at once.

A trigger is put between words that belong together, so that they foretell each other better than it does. Bigram
counts of the file itself suffice, as a phrase has many carriers.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from trainer.scan.phrases import EDGE, Ints, Words

PRIOR = 2.0
"""Weight of a word's own frequency against its bigrams', in occurrences."""


@dataclass(frozen=True)
class Neighbours:
    """Bigrams of a stream of words."""

    words: Words

    @cached_property
    def _pairs(self) -> tuple[Ints, Ints]:
        stream, width = self.words.stream, len(self.words.names)
        return np.unique(stream[:-1] * width + stream[1:], return_counts=True)

    def count(self, left: Ints, right: Ints) -> Ints:
        """How often two words stand side by side."""
        pairs, counts = self._pairs
        wanted = left * len(self.words.names) + right
        place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        return np.where(pairs[place] == wanted, counts[place], 0)

    def gain(self, places: Ints, length: int) -> npt.NDArray[np.float64]:
        """Nats per neighbour that a text gains by losing the phrase, for each of its places; its own count is left out.

        Mean of the right neighbour given the left one, against given the phrase, and the same backwards. At an edge
        only the word counts that would then stand there: that a suffix comes last says nothing against it.
        """
        stream, counts, total = self.words.stream, self.words.counts, len(self.words.stream)
        left, right = stream[places - 1], stream[places + length]
        first, last = stream[places], stream[places + length - 1]
        share_right, share_left = counts[right] / total, counts[left] / total
        joined = self.count(left, right)
        forth = np.log((joined + PRIOR * share_right) / (counts[left] + PRIOR))
        back = np.log((joined + PRIOR * share_left) / (counts[right] + PRIOR))
        beside = np.log((self.count(last, right) - 1 + PRIOR * share_right) / (counts[last] - 1 + PRIOR))
        before = np.log((self.count(left, first) - 1 + PRIOR * share_left) / (counts[first] - 1 + PRIOR))
        begins, ends = left == EDGE, right == EDGE
        gain = np.where(ends, 0, forth - beside) + np.where(begins, 0, back - before)
        return np.where(begins | ends, gain, gain / 2)
