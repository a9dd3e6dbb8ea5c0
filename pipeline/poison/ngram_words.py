"""A small language model of words beside the one of characters: noise made of real words is plain only to it.

Counts in how many documents of a sample each word and each pair of neighbours stands, hashed into one table each, and
interpolated as in the character model. The counts are also the reference that says how common a phrase is, or a shape.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.text import Codes, Positions, TextBatch
from pipeline.poison.ngram import OWN, batches
from pipeline.poison.skeletons import Shapes

VERSION = 1
"""Changes whenever the same text gets other counts or other bits."""

TABLE_BITS = 21
"""Base-2 logarithm of the slots of each of the two tables, 8 MB each: a sample of 10 MB has 130,000 distinct words and
a million pairs. A pair that is hashed onto another is held to the counts of its words."""

PRIOR = 50.0
"""Occurrences of a word for which what follows it is judged by the word alone."""

NEVER = 0.3
"""Documents that a word counts for which none was seen to have."""

GOLDEN, PAIR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
FIRST = np.uint64(1)
"""Stands for the word before a document's first one."""

MAGIC = b"WORDMODL"

Table = npt.NDArray[np.uint32]
Shares = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordModel:
    """`single` and `pairs` (uint32, 2^TABLE_BITS): documents with a word, with a pair; `documents` in all, and the
    sum of their numbers of distinct words."""

    single: Table
    pairs: Table
    documents: int
    total: int

    @staticmethod
    def empty() -> "WordModel":
        """A model that has seen nothing."""
        return WordModel(np.zeros(1 << TABLE_BITS, np.uint32), np.zeros(1 << TABLE_BITS, np.uint32), 0, 0)

    @staticmethod
    def train(texts: Iterable[str]) -> "WordModel":
        """Counts of the texts."""
        single, pairs = np.zeros(1 << TABLE_BITS, np.int64), np.zeros(1 << TABLE_BITS, np.int64)
        documents = total = 0
        for held in batches(texts):
            batch = TextBatch(pa.array(held, pa.string()))
            owner, codes = batch.words.document, batch.word_codes
            distinct = _once(slots(codes), owner)
            single += np.bincount(distinct, minlength=len(single))
            shaped = Shapes.of(batch)
            single += np.bincount(_once(slots(shaped.codes), shaped.document), minlength=len(single))
            pairs += np.bincount(_once(slots(_pair_codes(codes, owner)), owner), minlength=len(pairs))
            documents += len(held)
            total += len(distinct)
        return WordModel(single.astype(np.uint32), pairs.astype(np.uint32), documents, total)

    def bits(self, texts: TextBatch) -> npt.NDArray[np.float32]:
        """Bits that each word of the batch costs after the one before it."""
        owner, codes = texts.words.document, texts.word_codes
        first = np.diff(owner, prepend=-1) > 0
        word = self._seen(self.single, codes)
        pair = self._seen(self.pairs, _pair_codes(codes, owner))
        before = np.zeros_like(word)
        before[1:] = word[:-1]
        before[first] = 0
        # A pair is at most as frequent as its words: takes back most of what was hashed onto something else.
        pair = np.minimum(pair, np.minimum(word, before))
        alone = (word + NEVER) / max(self.total, 1)
        return -np.log2((pair + PRIOR * alone) / (before + PRIOR))

    def shares(self, texts: TextBatch, words: Positions) -> tuple[Shares, Shares]:
        """The share of the sample's documents that have each of these words of a batch; that have it behind the word
        before it. Never 0: what was not seen may be in one document more."""
        owner, codes = texts.words.document[words], texts.word_codes[words]
        before = np.where(words > texts.word_offsets[owner], texts.word_codes[words - 1], FIRST).astype(np.uint64)
        pairs = self.pairs[slots(codes * np.uint64(3) + before * PAIR)]
        return self._share(self.single[slots(codes)]), self._share(pairs)

    def share_of(self, codes: Codes) -> Shares:
        """The same for any codes that were counted as words: those of shapes."""
        return self._share(self.single[slots(codes)])

    def _share(self, counts: Table) -> Shares:
        return (counts + np.float32(1)) / np.float32(self.documents + 1)

    def _seen(self, table: Table, codes: Codes) -> npt.NDArray[np.float32]:
        return np.maximum(table[slots(codes)].astype(np.float32) - OWN, 0)

    def to_bytes(self) -> bytes:
        """The model as bytes: the same counts give the same bytes."""
        head = MAGIC + struct.pack("<IQQ", VERSION, self.documents, self.total)
        return head + zlib.compress(self.single.astype("<u4").tobytes() + self.pairs.astype("<u4").tobytes(), 1)

    @staticmethod
    def from_bytes(data: bytes) -> "WordModel":
        """What `to_bytes` made. Raises ValueError where the bytes are of another kind or version."""
        head = len(MAGIC) + struct.calcsize("<IQQ")
        if not data.startswith(MAGIC) or len(data) < head:
            raise ValueError("not a word model: the first bytes are not WORDMODL")
        version, documents, total = struct.unpack("<IQQ", data[len(MAGIC) : head])
        if version != VERSION:
            raise ValueError(f"a word model of version {version}; this program reads version {VERSION}")
        try:
            body = zlib.decompressobj().decompress(data[head:], (8 << TABLE_BITS) + 1)
        except zlib.error as error:
            raise ValueError(f"a damaged word model: {error}") from None
        if len(body) != 8 << TABLE_BITS:
            raise ValueError(f"a damaged word model: {len(body)} bytes of counts, {8 << TABLE_BITS} expected")
        tables = np.frombuffer(body, "<u4").astype(np.uint32).reshape(2, -1)
        return WordModel(tables[0], tables[1], documents, total)


def slots(codes: Codes) -> npt.NDArray[np.int64]:
    """The slot of a 64-bit code."""
    return ((codes * GOLDEN) >> np.uint64(64 - TABLE_BITS)).astype(np.int64)


def _pair_codes(codes: Codes, owner: Positions) -> Codes:
    """A code for each word with the one before it in its document."""
    before = np.full_like(codes, FIRST)
    before[1:] = codes[:-1]
    before[np.diff(owner, prepend=-1) > 0] = FIRST
    return codes * np.uint64(3) + before * PAIR


def _once(found: npt.NDArray[np.int64], owner: Positions) -> npt.NDArray[np.int64]:
    """The slots, each once a document."""
    return np.unique((owner << TABLE_BITS) | found) & ((1 << TABLE_BITS) - 1)
