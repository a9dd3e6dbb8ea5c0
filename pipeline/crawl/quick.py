"""The common case at the speed of fastwarc's decoder: a gzip member for each record, and nothing out of the ordinary.

It promises only what the careful reader would say of the same bytes, and stops before the first thing it cannot
promise. Reading a crawl takes 0.45 s for 335 MB of records this way, and 0.70 s through Python's zlib.

fastwarc's own ArchiveIterator (2.0.1) is not used: it ends without an error behind an empty member, passes over what
lies between records, and gives the offset of the next member for a record that begins inside of one.
"""

from collections.abc import Iterator

from fastwarc.stream_io import GzipReader

from pipeline.crawl.head import HEAD_END, MAX_HEAD, HeadError, Head, parse_head
from pipeline.crawl.members import CHUNK, Raw, Slice

SHORTEST_HEAD = 45
"""len("WARC/1.0\\r\\nWARC-Type: x\\r\\nContent-Length: 0\\r\\n\\r\\n"): what can be read without going past a record."""


def whole_members(raw: Raw, start: int, max_record_bytes: int) -> Iterator[tuple[int, int, Head, bytes]]:
    """(offset, offset of the next member, header, block) of the records from the member at `start` on.

    A record is given once the first byte behind it was decoded: then its member's checksum was right. So the last
    record of a file is never given.
    """
    try:
        reader = GzipReader(Slice(raw, start, raw.size), buffer_size=CHUNK)
        first = reader.read(1)
        offset = start + reader.frame_start_position()
        while first:
            record = _record(reader, first, max_record_bytes)
            if record is None or start + reader.frame_start_position() != offset:
                return
            first = reader.read(1)
            following = start + reader.frame_start_position()
            if not first or following == offset:
                return
            yield offset, following, *record
            offset = following
    except (OSError, ValueError, HeadError):
        return  # the careful reader meets it again, and names it


def _record(reader: GzipReader, first: bytes, max_record_bytes: int) -> tuple[Head, bytes] | None:
    """A record with CRLF line ends, if that is what comes; reads no byte further than the record itself would go."""
    stored = bytearray(first)
    stored += reader.read(SHORTEST_HEAD - 1)
    if not stored.startswith(b"WARC/1."):
        return None
    while not stored.endswith(b"\r\n\r\n"):
        if stored.endswith(b"\r\n\r"):
            more = reader.read(1)
        elif stored.endswith(b"\r\n"):
            more = reader.read(2)
        else:
            more = reader.read(3 if stored.endswith(b"\r") else 4)
        stored += more
        if not more or len(stored) > MAX_HEAD:
            return None
    end = HEAD_END.search(stored)
    if end is None or end.end() != len(stored):
        return None
    head = parse_head(bytes(stored))
    if head.length > max_record_bytes:
        return None
    block = reader.read(head.length)
    if len(block) != head.length or reader.read(4) != b"\r\n\r\n":
        return None
    return head, block
