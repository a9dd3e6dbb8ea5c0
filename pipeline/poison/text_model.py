"""The models of a corpus's own text, of its characters, words and languages, and what is usual under them by script.

What is a large change of fit (windows.py) depends on the script, so it is measured on the sample that the models learn
from.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.characters import ALPHABETIC
from pipeline.filter.text import TextBatch
from pipeline.poison.ngram import CharModel, batches
from pipeline.poison.ngram_languages import WordLanguages
from pipeline.poison.ngram_words import WordModel
from pipeline.poison.windows import STRATA, Bits, Floats, fit, main_script

Counts = npt.NDArray[np.int64]

VERSION = 1
"""Changes whenever the same texts give another model."""

MAGIC = b"TEXTMODL"

BINS, BIN = 128, (0.0625, 0.125)
"""Jumps are counted in bins of so many bits a letter, and a word: up to 8 and 16."""

LEAST_LETTERS = 100_000
"""Letters of a script in the sample from which on its pages are judged."""

TYPICAL = 0.9
"""The share of all words whose jump is smaller than the unit in which the script's jumps are measured. It is far from
the tail that an attacker may fill, even where each tenth page is planted."""


@dataclass(frozen=True)
class Strata:
    """What is usual in each script, from a sample; the first axis is the model (characters, words).

    counts  int64    (2, STRATA)         letters, words
    bits    float64  (2, STRATA)         their sum
    jumps   int64    (2, STRATA, BINS)   how often right less left is so large

    All are sums, so that parts of a sample add up.
    """

    counts: Counts
    bits: npt.NDArray[np.float64]
    jumps: Counts

    @staticmethod
    def empty() -> "Strata":
        """Nothing seen."""
        return Strata(np.zeros((2, STRATA), np.int64), np.zeros((2, STRATA)), np.zeros((2, STRATA, BINS), np.int64))

    @staticmethod
    def measure(texts: TextBatch, bits: Bits) -> "Strata":
        """Of a batch."""
        script = main_script(texts)
        letters = np.flatnonzero(texts.flags & ALPHABETIC)
        counts, sums = [], []
        for places, owner, cost in (
            (letters, texts.document_of(letters), bits.characters),
            (np.flatnonzero(texts.has_letter), texts.words.document[texts.has_letter], bits.words),
        ):
            counts.append(np.bincount(script[owner], minlength=STRATA))
            sums.append(np.bincount(script[owner], weights=cost[places].astype(np.float64), minlength=STRATA))
        found = fit(texts, bits, np.zeros((2, STRATA), np.float32), shrink=False)
        inside = found.within
        jumps = np.zeros((2, STRATA, BINS), np.int64)
        for model, side in enumerate((found.letters, found.words)):
            size = np.minimum(np.abs(side.jump[inside]) / BIN[model], BINS - 1).astype(np.int64)
            slots = found.stratum[inside] * np.int64(BINS) + size
            jumps[model] = np.bincount(slots, minlength=STRATA * BINS).reshape(STRATA, BINS)
        return Strata(np.stack(counts), np.stack(sums), jumps)

    def merge(self, other: "Strata") -> "Strata":
        """Of both samples."""
        return Strata(self.counts + other.counts, self.bits + other.bits, self.jumps + other.jumps)

    @property
    def mean(self) -> Floats:
        """Bits a letter, and a word, in each script: (2, STRATA)."""
        return (self.bits / np.maximum(self.counts, 1)).astype(np.float32)

    @property
    def unit(self) -> Floats:
        """The size of a usual jump, bits: (2, STRATA); infinite where too little was seen."""
        sums = np.cumsum(self.jumps, axis=2)
        size = (np.argmax(sums >= TYPICAL * sums[:, :, -1:], axis=2) + 1) * np.array(BIN)[:, None]
        return np.where(self.counts[0] >= LEAST_LETTERS, size, np.inf).astype(np.float32)


@dataclass(frozen=True)
class TextModel:
    """The models of a corpus's text, and what is usual under them."""

    characters: CharModel
    words: WordModel
    languages: WordLanguages
    strata: Strata

    @staticmethod
    def train(texts: Sequence[str], languages: Sequence[str] | None = None) -> "TextModel":
        """From a sample, which is read four times, and the languages of its texts. Without these a change of language
        is not seen."""
        spoken = WordLanguages.empty() if languages is None else WordLanguages.train(texts, languages)
        untuned = TextModel(CharModel.train(texts), WordModel.train(texts), spoken, Strata.empty())
        strata = Strata.empty()
        for held in batches(texts):
            batch = TextBatch(pa.array(held, pa.string()))
            strata = strata.merge(Strata.measure(batch, untuned.bits(batch)))
        return replace(untuned, strata=strata)

    def to_bytes(self) -> bytes:
        """The model as bytes: the same counts give the same bytes."""
        sums = self.strata.counts.astype("<i8"), self.strata.bits.astype("<f8"), self.strata.jumps.astype("<i8")
        models = [self.characters.to_bytes(), self.words.to_bytes(), self.languages.to_bytes()]
        parts = [*models, b"".join(one.tobytes() for one in sums)]
        return MAGIC + struct.pack("<I4Q", VERSION, *map(len, parts)) + b"".join(parts)

    @staticmethod
    def from_bytes(data: bytes) -> "TextModel":
        """What `to_bytes` made. Raises ValueError where the bytes are of another kind or version."""
        head = len(MAGIC) + struct.calcsize("<I4Q")
        if not data.startswith(MAGIC) or len(data) < head:
            raise ValueError(f"not a text model: the first bytes are not {MAGIC.decode()}")
        version, *sizes = struct.unpack("<I4Q", data[len(MAGIC) : head])
        if version != VERSION:
            raise ValueError(f"a text model of version {version}; this program reads version {VERSION}")
        bounds = [head + sum(sizes[:number]) for number in range(len(sizes))]
        last, shape = bounds[3], 2 * STRATA
        if len(data) != last + sizes[3] or sizes[3] != 8 * shape * (2 + BINS):
            raise ValueError(f"a damaged text model: {len(data)} bytes, {last + sizes[3]} expected")
        counts = np.frombuffer(data, "<i8", shape, last).astype(np.int64).reshape(2, STRATA)
        bits = np.frombuffer(data, "<f8", shape, last + 8 * shape).astype(np.float64).reshape(2, STRATA)
        jumps = np.frombuffer(data, "<i8", shape * BINS, last + 16 * shape).astype(np.int64)
        strata = Strata(counts, bits, jumps.reshape(2, STRATA, BINS))
        characters, words, languages = (data[start:end] for start, end in pairwise(bounds))
        return TextModel(
            CharModel.from_bytes(characters), WordModel.from_bytes(words), WordLanguages.from_bytes(languages), strata
        )

    def bits(self, texts: TextBatch) -> Bits:
        """What a batch costs."""
        return Bits(self.characters.bits(texts.code_points), self.words.bits(texts), self.languages.of(texts))
