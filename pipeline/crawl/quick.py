"""The common case at the speed of fastwarc's decoder: a gzip member for each record, and nothing out of the ordinary.

It promises only what the careful reader would say of the same bytes, and stops before the first thing it cannot
promise. 335 MB of records are read in 0.50 s this way, and in 0.87 s through Python's zlib.

fastwarc's own ArchiveIterator (2.0.1) is not used: it ends without an error behind an empty member, passes over what
lies between records, and gives the offset of the next member for a record that begins inside of one.
"""

from collections.abc import Iterator

from fastwarc.stream_io import GzipReader

from pipeline.crawl.head import HEAD_END, MAX_HEAD, Head, HeadError, parse_head
from pipeline.crawl.members import CHUNK, Raw, Slice, is_decoding_error

SHORTEST_HEAD = 45
"""len("WARC/1.0\\r\\nWARC-Type: x\\r\\nContent-Length: 0\\r\\n\\r\\n"), bytes that every record has."""


def whole_members(raw: Raw, start: int, max_record_bytes: int) -> Iterator[tuple[int, int, Head, bytes]]:
    """(offset, offset of the next member, header, block) of the records from the member at `start` on.

    A record is given once the first byte behind it was decoded: then its member's checksum was right. So the last
    record of a file is never given.
    """
    try:
        reader = GzipReader(Slice(raw, start, raw.size), buffer_size=CHUNK)
        first = reader.read(1)
        offset = _member(reader, start)
        while first:
            record = _record(reader, first, max_record_bytes)
            if record is None or _member(reader, start) != offset:
                return
            first = reader.read(1)
            following = _member(reader, start)
            if not first or following == offset:
                return
            yield offset, following, *record
            offset = following
    except HeadError:
        return
    except BaseException as error:
        if not is_decoding_error(error):
            raise
        # the careful reader meets it again, and names it


def _member(reader: GzipReader, start: int) -> int:
    """The offset of the member that the byte last read is from."""
    return start + (reader.frame_start_position() or 0)


def _record(reader: GzipReader, first: bytes, max_record_bytes: int) -> tuple[Head, bytes] | None:
    """A record with CRLF line ends, if that is what comes."""
    stored = _stored_head(reader, first)
    end = HEAD_END.search(stored) if stored.startswith(b"WARC/1.") else None
    if end is None or end.end() != len(stored):
        return None
    head = parse_head(stored)
    if head.length > max_record_bytes:
        return None
    block = reader.read(head.length)
    if len(block) != head.length or reader.read(4) != b"\r\n\r\n":
        return None
    return head, block


def _stored_head(reader: GzipReader, first: bytes) -> bytes:
    """Bytes up to CRLF CRLF and no further, or what there is of them, or one step more than a header may have."""
    stored = bytearray(first)
    stored += reader.read(SHORTEST_HEAD - 1)
    while len(stored) <= MAX_HEAD:
        if stored[-1] in b"\r\n":
            if stored.endswith(b"\r\n\r\n"):
                break
            step = 1 if stored.endswith(b"\r\n\r") else 2 if stored.endswith(b"\r\n") else 3
        else:
            step = 4
        more = reader.read(step)
        if not more:
            break
        stored += more
    return bytes(stored)
