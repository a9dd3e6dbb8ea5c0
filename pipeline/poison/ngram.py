"""A small language model of characters that a pipeline trains on a sample of its own corpus, in NumPy.

Counts of hashed n-grams in fixed tables, as in sketches of language models (Talbot and Osborne 2007), interpolated with
the shorter contexts in the manner of Witten and Bell 1991: good enough to tell text from noise, at 0.4 ms for a page of
4,000 characters.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.characters import SEPARATOR
from pipeline.filter.text import TextBatch

VERSION = 1
"""Changes whenever the same text gets other counts or other bits."""

TABLE_BITS = (14, 16, 18, 20, 21, 21)
"""Base-2 logarithm of the sizes of the tables: blocks of 128 code points, then n-grams of 1 to 5 characters. 20 MB of
counts in all. A 5-gram that is hashed onto another is held to the counts of the 4-grams within it, so that crowded
tables of long n-grams do no harm; those of short ones are roomy."""

ORDERS = len(TABLE_BITS) - 1
BLOCK = 7
"""A character that was never seen costs what its block of 2^BLOCK code points does and BLOCK bits more."""

FOLLOWERS = 6.0
"""How many characters follow a context that occurred n times: about FOLLOWERS * sqrt(n), of which as many occurrences
are left to the shorter context. Chosen on one half of a crawl's hosts for the other: 2.54 bits a character in English,
where a fixed number of 4 costs 2.75 and cube roots 2.57."""

OWN = 1
"""What is taken off each count: the text that is scored is often part of the sample, and an n-gram which occurs in
nothing else tells nothing."""

MULTIPLIER, FINAL = np.uint32(0x9E3779B1), np.uint32(0x85EBCA6B)
START = np.uint32(0x2545F491)
"""Hash of what stands before a document's first character."""

MAGIC = b"CHARNGRM"
MOST = (1 << 32) - 1
CHUNK = 1 << 20
"""Characters that are counted at a time; bounds the memory, 8 bytes a slot and 4 an order and character."""

Bits = npt.NDArray[np.float32]
CodePoints = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class CharModel:
    """`counts[0]` counts blocks of code points, `counts[n]` hashed n-grams: uint32, read only. `total` characters."""

    counts: tuple[npt.NDArray[np.uint32], ...]
    total: int

    @staticmethod
    def empty() -> "CharModel":
        """A model that has seen nothing: every character costs the same."""
        return CharModel(tuple(np.zeros(1 << bits, np.uint32) for bits in TABLE_BITS), 0)

    @staticmethod
    def train(texts: Iterable[str]) -> "CharModel":
        """Counts of the texts."""
        sums = [np.zeros(1 << bits, np.int64) for bits in TABLE_BITS]
        total = 0
        for held in batches(texts):
            code_points = TextBatch(pa.array(held, pa.string())).code_points
            inside = code_points != SEPARATOR
            total += int(inside.sum())
            for slots, table in zip(_slots(code_points), sums, strict=True):
                table += np.bincount(slots[inside], minlength=len(table))
        return CharModel(tuple(np.minimum(table, MOST).astype(np.uint32) for table in sums), total)

    def bits(self, code_points: CodePoints) -> Bits:
        """Bits that each character costs given up to four before it in its document; 0 for a SEPARATOR.

        `code_points` are those of a TextBatch: documents with a SEPARATOR around and between them.
        """
        before = np.full(len(code_points), max(self.total - OWN, 0), np.float32)
        shorter = np.full(len(code_points), 1 / (1 << TABLE_BITS[0]), np.float32)
        count = before
        for order, slots in enumerate(_slots(code_points)):
            found = self.counts[order][slots].astype(np.float32)
            np.maximum(found - OWN, 0, out=found)
            if order > 1:
                # An n-gram is at most as frequent as what it begins and ends with: takes back most false hits.
                before = np.empty_like(count)
                before[0], before[1:] = 0, count[:-1]
                np.minimum(found, before, out=found)
                np.minimum(found, count, out=found)
            weight = FOLLOWERS * np.sqrt(before) + 1
            shorter *= weight
            shorter += found
            shorter /= before + weight
            if order == 0:
                shorter /= 1 << BLOCK
            count = found
        bits = -np.log2(shorter)
        bits[code_points == SEPARATOR] = 0
        return bits

    def to_bytes(self) -> bytes:
        """The model as bytes: the same counts give the same bytes."""
        head = MAGIC + struct.pack("<IQI", VERSION, self.total, len(self.counts))
        body = b"".join(struct.pack("<I", len(table)) + table.astype("<u4").tobytes() for table in self.counts)
        return head + zlib.compress(body, 1)

    @staticmethod
    def from_bytes(data: bytes) -> "CharModel":
        """What `to_bytes` made. Raises ValueError where the bytes are of another kind or version."""
        head = len(MAGIC) + struct.calcsize("<IQI")
        if not data.startswith(MAGIC) or len(data) < head:
            raise ValueError("not a character model: the first bytes are not CHARNGRM")
        version, total, tables = struct.unpack("<IQI", data[len(MAGIC) : head])
        if version != VERSION:
            raise ValueError(f"a character model of version {version}; this program reads version {VERSION}")
        expected = sum(4 + (4 << bits) for bits in TABLE_BITS)
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(data[head:], expected + 1)
        except zlib.error as error:
            raise ValueError(f"a damaged character model: {error}") from None
        if tables != len(TABLE_BITS) or len(body) != expected:
            raise ValueError(f"a damaged character model: {len(body)} bytes of counts, {expected} expected")
        counts, at = [], 0
        for bits in TABLE_BITS:
            counts.append(np.frombuffer(body, "<u4", 1 << bits, at + 4).astype(np.uint32))
            at += 4 + (4 << bits)
        return CharModel(tuple(counts), total)


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Whole texts in lists of CHUNK characters or a little more."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= CHUNK:
            yield held
            held, size = [], 0
    if held:
        yield held


def _slots(code_points: CodePoints) -> Iterator[npt.NDArray[np.uint32]]:
    """For each table the slot of the n-gram that ends at each character."""
    separators = np.flatnonzero(code_points == SEPARATOR)
    yield code_points >> np.uint32(BLOCK)
    hashes = code_points
    for order, bits in enumerate(TABLE_BITS[1:], 1):
        if order > 1:
            longer = np.empty_like(hashes)
            longer[0] = START
            np.multiply(hashes[:-1], MULTIPLIER, out=longer[1:])
            longer[1:] += code_points[1:]
            hashes = longer
            hashes[separators] = START
        mixed = hashes * FINAL
        mixed ^= mixed >> np.uint32(15)
        mixed *= MULTIPLIER
        mixed >>= np.uint32(32 - bits)
        yield mixed
