"""Reads web archives: WARC 1.0 and 1.1, plain or compressed with gzip, lz4 or zstd, whole or damaged.

Every byte is accounted for: what is not a record is an unreadable span. Memory is bounded whatever the file says.
"""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterator
from typing import IO

from pipeline.crawl.decoded import Decoded, Members, Plain
from pipeline.crawl.members import CHUNK, Codec, Raw, gzip_codec, lz4_codec, zstd_codec
from pipeline.crawl.quick import whole_members
from pipeline.crawl.records import (
    NEXT_RECORD,
    CarefulReader,
    Event,
    Ignored,
    Record,
    Unreadable,
    capture,
    row_numbers,
)

__all__ = ["Ignored", "Record", "Unreadable", "file_kind", "read_warc", "verify_digest"]

MAX_RECORD_BYTES = 8 << 20
"""Common Crawl cuts its captures at 5 MB since 2025 (1 MB before); a longer page is no text."""

PATIENCE = 64
"""Each stop of the quick reader costs 8 of its patience, each record that it gives earns 1 back."""

FOREIGN = {
    "arc": "this is ARC, the format before WARC; convert it: warcio recompress in.arc.gz out.warc.gz",
    "wacz": "this is a zip file (WACZ?); unzip it and read the files in its archive/ folder",
}


def file_kind(head: bytes) -> str:
    """What a file is, by its first bytes (1,024 are enough).

    One of "empty", "warc", "gzip", "lz4", "zstd", "arc" (compressed or not), "wacz" (any zip file), "unknown".
    """
    if not head:
        return "empty"
    if gzip_codec().magic.match(head):
        try:
            start = zlib.decompressobj(31).decompress(head, 32)
        except zlib.error:
            start = b""
        return "arc" if start.startswith(b"filedesc://") else "gzip"
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "wacz"
    if head.startswith(b"\x04\x22\x4d\x18"):
        return "lz4"
    if head.startswith((b"\x28\xb5\x2f\xfd", b"\x5d\x2a\x4d\x18")):
        return "zstd"
    if re.match(rb"[\r\n]*WARC/", head, re.IGNORECASE):
        return "warc"
    return "arc" if head.startswith(b"filedesc://") else "unknown"


def read_warc(
    stream: IO[bytes],
    *,
    offset: int = 0,
    row: int = 0,
    stop: int | None = None,
    max_record_bytes: int = MAX_RECORD_BYTES,
) -> Iterator[Event]:
    """The captures (`Record`), `Unreadable` spans and `Ignored` records of an archive, in the order of the file.

    `stream` is any seekable binary file of the bytes as stored: through Beam, open it with
    `compression_type=CompressionTypes.UNCOMPRESSED`, or it will decompress by file name.

    Reading from the `offset` and `row` of any `Record` that is `seekable` gives the same events as reading from the
    start gives from there on. `stop` ends before the event of that row; ignored records behind the last row still
    come, so that the splits of a file, [row, stop) each, have every event once.

    A block over `max_record_bytes` is never held; memory stays within a few times that, whatever a member inflates
    to. Bad content never raises: it becomes `Unreadable`, and reading goes on at the next record, which is the next
    member that begins with one or, inside of decoded bytes, the next line that begins `WARC/1.`. A record whose block
    is not followed by two line ends, another record or the end of its member has a wrong Content-Length and is
    unreadable; so is one whose gzip checksum is wrong. Errors of the stream itself (OSError) pass through.
    """
    for event in _events(Raw(stream), offset, row, max_record_bytes):
        if stop is not None and not isinstance(event, Ignored) and event.row >= stop:
            return
        yield event


def _events(raw: Raw, offset: int, row: int, max_record_bytes: int) -> Iterator[Event]:
    kind = file_kind(raw.read(0, 1024))
    if kind in FOREIGN:
        yield Unreadable(row, 0, raw.size, FOREIGN[kind], kind)
        return
    codec = _codec(raw, kind)
    rows = row_numbers(row)
    patience = PATIENCE if codec and codec.name == "gzip" else 0
    while True:
        if patience > 0:
            patience -= 8
            for start, following, head, block in whole_members(raw, offset, max_record_bytes):
                offset = following
                patience = min(PATIENCE, patience + 1)
                yield capture(rows, start, True, head, block)
        source: Decoded = Members(raw, codec, offset) if codec else Plain(raw, offset)
        reader = CarefulReader(source, raw.size, rows, max_record_bytes)
        while not (patience > 0 and source.boundary and source.offset > offset):
            event = reader.next_event()
            if event is None:
                return
            yield event
        offset = source.offset


def _codec(raw: Raw, kind: str) -> Codec | None:
    """How the file is compressed; None if it is not. A file with a damaged beginning is what its first record is."""
    if kind == "gzip":
        return gzip_codec()
    if kind == "lz4":
        return lz4_codec()
    if kind == "zstd":
        return zstd_codec(raw)
    if kind == "unknown":
        member = gzip_codec().find_record(raw, 0)
        if member is not None and not _has_record(raw, member):
            return gzip_codec()
    return None


def _has_record(raw: Raw, end: int) -> bool:
    """Whether an uncompressed record begins before `end`."""
    return any(NEXT_RECORD.search(raw.read(at, CHUNK + 9)[: end - at]) for at in range(0, end, CHUNK))


ALGORITHMS = {"sha1": 20, "sha256": 32, "sha512": 64, "md5": 16}
"""Digest algorithms that crawlers write, and their length in bytes."""


def verify_digest(declared: str | None, raw_payload: bytes, decoded: bytes) -> bool | None:
    """Whether a declared payload digest ("sha1:BASE32", or hex) is that of the payload; None where it cannot be told.

    The standard means the payload as it was transferred; many crawlers write the digest of what they decoded, so
    either is taken. Unknown algorithms and digests of the wrong length tell nothing.
    """
    algorithm, colon, value = (declared or "").strip().partition(":")
    algorithm = algorithm.strip().lower().replace("-", "")
    length = ALGORITHMS.get(algorithm)
    expected = _digest_bytes(value.strip(), length) if colon and length else None
    if expected is None:
        return None
    payloads = (raw_payload,) if raw_payload == decoded else (raw_payload, decoded)
    return any(hashlib.new(algorithm, payload, usedforsecurity=False).digest() == expected for payload in payloads)


def _digest_bytes(value: str, length: int) -> bytes | None:
    try:
        if len(value) == 2 * length:
            return bytes.fromhex(value)
        padded = value.rstrip("=").upper()
        data = base64.b32decode(padded + "=" * (-len(padded) % 8))
    except (ValueError, binascii.Error):
        return None
    return data if len(data) == length else None
