"""The Arrow schema of a batch of documents, and the two names that a document has.

A document's public `id` never changes; its `address` is where it lies in this run.
"""

import hashlib
from typing import NamedTuple

import pyarrow as pa

ROW_BITS = 32
"""An address is a file number (high 32 bits) and a row in that file (low 32 bits)."""

LINEAGE = pa.schema(
    [
        ("id", pa.binary(16)),
        ("address", pa.uint64()),
        ("url", pa.string()),
        ("canonical_url", pa.string()),
        ("host", pa.string()),
        ("warc_file", pa.string()),
        ("warc_offset", pa.int64()),
        ("record_id", pa.string()),
        ("payload_digest", pa.string()),
        ("date", pa.string()),
        ("content_type", pa.string()),
        ("charset", pa.string()),
        ("digest_verified", pa.bool_()),
    ]
)
"""Where a document came from. `warc_offset` is in bytes of the file as stored (compressed)."""

HIDDEN = pa.schema([("hidden_chars", pa.int64()), ("hidden_score", pa.float32()), ("hidden_excerpt", pa.string())])
"""What a page hides from people: how many characters were left out of its text, and of all that it hides the passage
that reads most like instructions to a model, with its score. Null where nothing was looked for or found."""

SCHEMA = pa.schema(
    [*LINEAGE, ("language", pa.string()), ("language_score", pa.float32()), *HIDDEN, ("text", pa.string())]
)
"""A kept document as the extract step leaves it; later steps add measured columns behind these."""

VERDICT = pa.schema([("reason", pa.string()), ("kept_address", pa.uint64()), ("similarity", pa.float32())])
"""What a removed document carries besides: why, and for a duplicate the twin that was kept."""

SPANS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))
"""Byte ranges of a text's UTF-8 form before an edit, which the edit cut out."""


class Address(NamedTuple):
    """Where a document lies in a run: the number of its file, and its row there."""

    file: int
    row: int


def pack_address(file: int, row: int) -> int:
    """The 64-bit form of an address, which sorts as (file, row) does."""
    return (file << ROW_BITS) | row


def unpack_address(address: int) -> Address:
    """The file number and the row of a packed address."""
    return Address(address >> ROW_BITS, address & ((1 << ROW_BITS) - 1))


def document_id(record_id: str, payload_digest: str) -> bytes:
    """The 16-byte public id: BLAKE2b-128 of the WARC record id and the payload's digest."""
    return hashlib.blake2b(f"{record_id}\n{payload_digest}".encode(), digest_size=16).digest()


def document_hash(ids: pa.Array) -> pa.Array:
    """Ids -> uint64: the first 8 bytes, big-endian, by which documents are dealt and ordered."""
    import numpy as np

    buffer = ids.buffers()[1]
    raw = np.frombuffer(buffer, dtype=">u8")[ids.offset * 2 :: 2][: len(ids)] if buffer is not None else np.empty(0)
    return pa.array(raw.astype(np.uint64))
