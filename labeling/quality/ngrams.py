"""Which phrases of one to three words stand in some answers of a sample and not in others, of many samples at once.

Phrases that few samples can have are dropped before they are kept, by counting them in buckets first (Park, Chen and
Yu 1995). Of a text four bytes a word stay, and of all texts at most MOST places of phrases.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labeling.quality.rates import Ints

LONGEST = 3
"""Words of a phrase."""

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]+|_+")
"""Letters and digits, or a run of signs, invisible ones among them."""

MOST = 6_000_000
"""Places of phrases that are kept. Of more, the phrases that stand in the most samples are left out: what is common in
a project is least likely a planted phrase. 33,000 samples with two answers of 100 words drawn from only 50 had twice as
many."""

_CHUNK = 512
"""Samples at a time."""
_BITS = 48
"""Of a phrase's hash: of 20 million phrases less than one pair is expected to share one."""
_BUCKETS = 1 << 22
_ODD = np.uint64(0x9E3779B97F4A7C15)

Hashes = npt.NDArray[np.uint64]
Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Carriers:
    """One row for each sample and phrase that stands in some of its answers only, by sample."""

    sample: Int32s
    gram: Int32s
    """Counts in `hashes`."""
    mask: Int32s
    """Bit i is set where the answer i has the phrase."""
    hashes: Hashes
    most: int
    """Phrases of more samples than that were left out."""


class Texts:
    """The words of all answers. `add` samples in any order, then ask for `carriers`."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._samples: list[int] = []
        self._words: list[list[Int32s]] = []

    def add(self, sample: int, answers: Sequence[str]) -> None:
        """Raises ValueError for more answers than a mask has bits."""
        if len(answers) > 15:
            raise ValueError(f"{len(answers)} answers; expected at most 15")
        numbers = self._numbers
        self._samples.append(sample)
        self._words.append(
            [
                np.array([numbers.setdefault(w, len(numbers)) for w in WORD.findall(text.casefold())], np.int32)
                for text in answers
            ]
        )

    def carriers(self, fewest: int) -> Carriers:
        """Phrases that at least `fewest` samples have in some of their answers."""
        buckets = np.zeros(_BUCKETS, np.int32)
        for start in range(0, len(self._samples), _CHUNK):
            _, hashes, _ = self._chunk(start)
            np.add.at(buckets, (hashes % _BUCKETS).astype(np.int64), 1)
        full = np.bincount(buckets[buckets >= fewest])
        below = np.cumsum(full * np.arange(len(full)))  # places in buckets of this size and smaller ones
        most = int(np.searchsorted(below, MOST, "right")) - 1 if len(below) and below[-1] > MOST else len(self._samples)
        found = []
        for start in range(0, len(self._samples), _CHUNK):
            places, grams, masks = self._chunk(start)
            held = buckets[(grams % _BUCKETS).astype(np.int64)]
            inside = (held >= fewest) & (held <= most)
            found.append((places[inside].astype(np.int32), grams[inside], masks[inside].astype(np.int32)))
        if not found:
            empty = np.zeros(0, np.int32)
            return Carriers(empty, empty, empty, np.zeros(0, np.uint64), most)
        place, hashes, mask = (np.concatenate(part) for part in zip(*found, strict=True))
        found.clear()  # here memory is at its peak
        order = np.argsort(hashes)
        hashes = hashes[order]
        first = np.append(True, hashes[1:] != hashes[:-1])
        starts = np.flatnonzero(first)
        sizes = np.diff(np.append(starts, len(hashes)))
        enough = sizes >= fewest
        kept = np.repeat(enough, sizes)
        gram = (np.cumsum(first & kept, dtype=np.int32) - 1)[kept]
        order, names = order[kept], hashes[starts[enough]]
        sample = np.array(self._samples, np.int32)[place[order]]
        by_sample = np.argsort(sample, kind="stable")
        return Carriers(sample[by_sample], gram[by_sample], mask[order][by_sample], names, most)

    def spell(self, hash: np.uint64, sample: int) -> str:
        """The words of a phrase, from a sample that has it. Raises KeyError where it has not."""
        names = list(self._numbers)
        for words in self._words[self._samples.index(sample)]:
            for length, grams in enumerate(_grams(words), 1):
                at = np.flatnonzero(grams == hash)
                if len(at):
                    return " ".join(names[word] for word in words[at[0] : at[0] + length])
        raise KeyError(sample)

    def _chunk(self, start: int) -> tuple[Ints, Hashes, Ints]:
        """Of the samples from `start`: (place of the sample, hash, mask) of what stands in some of its answers."""
        keys, answers, sizes = [], [], []
        for place, words in enumerate(self._words[start : start + _CHUNK]):
            sizes.append(len(words))
            for answer, one in enumerate(words):
                grams = np.concatenate(_grams(one))
                keys.append(grams | (np.uint64(place) << np.uint64(_BITS)))
                answers.append(np.full(len(grams), 1 << answer, np.int64))
        key = np.concatenate(keys) if keys else np.zeros(0, np.uint64)
        if not len(key):
            return np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.int64)
        bit = np.concatenate(answers)
        order = np.argsort(key)
        key, bit = key[order], bit[order]
        first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        mask, key = np.bitwise_or.reduceat(bit, first), key[first]
        number = (key >> np.uint64(_BITS)).astype(np.int64)
        some = mask != (1 << np.array(sizes, np.int64)[number]) - 1
        return number[some] + start, key[some] & np.uint64((1 << _BITS) - 1), mask[some]


def _grams(words: Int32s) -> list[Hashes]:
    """Hashes of the phrases of one word, of two, up to LONGEST, by where they begin."""
    word = _mixed(words.astype(np.uint64) + np.uint64(1))
    grams, last = [], word
    for length in range(1, LONGEST + 1):
        if length > 1:
            last = _mixed(last[: len(words) - length + 1] * np.uint64(3) + word[length - 1 :])
        grams.append(last >> np.uint64(64 - _BITS))
    return grams


def _mixed(values: Hashes) -> Hashes:
    """splitmix64's last steps (Steele, Lea and Flood 2014)."""
    values = values * _ODD
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
