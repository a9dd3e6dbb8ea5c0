"""Which language each word speaks for, from the languages of a sample's documents.

A text that goes on in another language fits the models of characters and words as well as before, since they know all
languages of the corpus: only the words' language tells.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.text import Codes, TextBatch
from pipeline.poison.ngram import batches

VERSION = 1
"""Changes whenever the same text gives something else."""

TABLE_BITS = 18
"""Base-2 logarithm of the slots: 130,000 words of a sample fill a half."""

MOST, FEWEST = 24, 20
"""Languages that are told apart, the most frequent ones, each with FEWEST documents or more."""

SEEN, PURITY = 3, 0.7
"""Documents in which a word has to be seen; share of one language among its rates in all languages."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class WordLanguages:
    """`table` (uint8, 2^TABLE_BITS): a word's language, by its rank in the sample from 1; 0 where none is sure."""

    table: npt.NDArray[np.uint8]

    @staticmethod
    def empty() -> "WordLanguages":
        """No word speaks for a language."""
        return WordLanguages(np.zeros(1 << TABLE_BITS, np.uint8))

    @staticmethod
    def train(texts: Sequence[str], languages: Sequence[str]) -> "WordLanguages":
        """From texts and their languages ("" where that is not known)."""
        counts = Counter(language for language in languages if language)
        chosen = [name for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][:MOST]
        best = np.zeros(1 << TABLE_BITS)
        total = np.zeros(1 << TABLE_BITS)
        table = np.zeros(1 << TABLE_BITS, np.uint8)
        for number, name in enumerate(chosen, 1):
            if counts[name] < FEWEST:
                break
            seen = np.zeros(1 << TABLE_BITS, np.int64)
            for held in batches(text for text, language in zip(texts, languages, strict=True) if language == name):
                batch = TextBatch(pa.array(held, pa.string()))
                once = np.unique((batch.words.document[batch.has_letter] << TABLE_BITS) | _slots(_lettered(batch)))
                seen += np.bincount(once & ((1 << TABLE_BITS) - 1), minlength=len(seen))
            rate = seen / counts[name]
            total += rate
            better = (rate > best) & (seen >= SEEN)
            table[better] = number
            np.maximum(best, rate, out=best)
        table[best < PURITY * total] = 0
        return WordLanguages(table)

    def of(self, texts: TextBatch) -> npt.NDArray[np.uint8]:
        """The language of each word of a batch; 0 for punctuation and numbers."""
        found = self.table[_slots(texts.word_codes)]
        found[~texts.has_letter] = 0
        return found

    def to_bytes(self) -> bytes:
        """The table as bytes."""
        return zlib.compress(self.table.tobytes(), 1)

    @staticmethod
    def from_bytes(data: bytes) -> "WordLanguages":
        """What `to_bytes` made. Raises ValueError where the bytes are of another kind."""
        try:
            body = zlib.decompressobj().decompress(data, (1 << TABLE_BITS) + 1)
        except zlib.error as error:
            raise ValueError(f"a damaged table of words' languages: {error}") from None
        if len(body) != 1 << TABLE_BITS:
            raise ValueError(f"a damaged table of words' languages: {len(body)} bytes, {1 << TABLE_BITS} expected")
        return WordLanguages(np.frombuffer(body, np.uint8).copy())


def _lettered(batch: TextBatch) -> Codes:
    return batch.word_codes[batch.has_letter]


def _slots(codes: Codes) -> npt.NDArray[np.int64]:
    return ((codes * GOLDEN) >> np.uint64(64 - TABLE_BITS)).astype(np.int64)
