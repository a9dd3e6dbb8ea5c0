"""What lies in an archive, record by record, read with care: nothing is passed over without being named.

A record is given only where its framing is right; where it is not, everything up to the next record is one span.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.crawl.decoded import LINE_ENDS, Decoded
from pipeline.crawl.head import HEAD_END, MAX_HEAD, Head, HeadError, parse_head
from pipeline.crawl.members import MemberError

NEXT_RECORD = re.compile(rb"\nWARC/[01]\.[0-9]", re.IGNORECASE)
"""A record's first line amid other bytes; trusted only where the framing is broken, as a page may contain it."""


@dataclass(frozen=True)
class Record:
    """A capture: one response, resource or conversion record.

    `row` is its ordinal among the captures and unreadable spans of the file. `offset` is where the stored file can be
    opened: the start of the record or of the gzip member that holds it; `seekable` says whether reading there begins
    with this record. `record_id` is made up where the file has none (see `Head.record_id`); `declared_digest` is the
    WARC-Payload-Digest; `truncated` is WARC-Truncated, or "segmented" for the first segment of a longer record.
    `block` is an HTTP response with its head where `is_http`, and else the payload alone.
    """

    row: int
    offset: int
    seekable: bool
    kind: str
    record_id: str
    url: str
    date: str
    content_type: str
    declared_digest: str | None
    truncated: str | None
    is_http: bool
    block: bytes


@dataclass(frozen=True)
class Unreadable:
    """A span of the file that gave no record: `length` stored bytes, None where it ends inside of a gzip member.

    `reason` is one of truncated, oversized, bad_record, bad_gzip, bad_lz4, bad_zstd, not_warc, arc, wacz.
    """

    row: int
    offset: int
    length: int | None
    error: str
    reason: str


@dataclass(frozen=True)
class Ignored:
    """A record that is no capture, and so no row: warcinfo, request, metadata, revisit, continuation or unknown."""

    offset: int
    kind: str


Event = Record | Unreadable | Ignored


class FramingError(Exception):
    """The framing is wrong here.

    `at_end` is the reason instead where no record follows; `at_line`, whether the position is at a line's start.
    """

    def __init__(self, reason: str, message: str, at_end: str | None = None, at_line: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.at_end = at_end or reason
        self.at_line = at_line

    @classmethod
    def of(cls, fault: MemberError, where: str = "") -> "FramingError":
        """A member that cannot be decoded any further."""
        return cls(fault.damage, f"{where}{fault}", "truncated" if fault.cut else None)


def capture(rows: Iterator[int], offset: int, seekable: bool, head: Head, block: bytes) -> Record | Ignored:
    """The event of a record whose framing is right."""
    if not head.is_capture:
        return Ignored(offset, head.kind)
    content_type = head.text(b"content-type")
    url = head.text(b"warc-target-uri")
    declared_http = content_type.lower().startswith("application/http")
    return Record(
        row=next(rows),
        offset=offset,
        seekable=seekable,
        kind=head.kind,
        record_id=head.record_id(block),
        url=url[1:-1] if url.startswith("<") and url.endswith(">") else url,  # wget writes <http://...>
        date=head.text(b"warc-date"),
        content_type=content_type,
        declared_digest=head.text(b"warc-payload-digest") or None,
        truncated=head.text(b"warc-truncated") or ("segmented" if b"warc-segment-number" in head.fields else None),
        is_http=head.kind == "response" and (declared_http or (not content_type and block.startswith(b"HTTP/"))),
        block=block,
    )


class CarefulReader:
    """Reads the events of a file one by one, in memory bounded by `max_record_bytes`."""

    def __init__(self, source: Decoded, size: int, rows: Iterator[int], max_record_bytes: int) -> None:
        self._source = source
        self._size = size
        self._rows = rows
        self._max = max_record_bytes
        self._given = source.offset > 0

    def next_event(self) -> Event | None:
        """The next record or unreadable span; None at the end of the file."""
        event = self._next_event()
        self._given = True
        return event

    def _next_event(self) -> Event | None:
        source = self._source
        self._line_ends(begin=True)
        if not source.window(1):
            if source.fault is None:
                return None
            return self._unreadable(source.offset, FramingError.of(source.fault))
        offset, seekable = source.offset, source.fresh
        try:
            head = self._head(offset)
            mark = source.mark()
            block = self._block(head, mark, offset)
        except FramingError as broken:
            return self._unreadable(offset, broken)
        if block is None and head.is_capture:
            error = f"the {head.kind} has {head.length:,} bytes, more than the limit of {self._max:,}"
            return Unreadable(next(self._rows), offset, self._length(offset), error, "oversized")
        return capture(self._rows, offset, seekable, head, block or b"")

    def _line_ends(self, begin: bool = False) -> int:
        """Skip line ends, on into the next member if it may `begin`; how many lines they end."""
        source, lines = self._source, 0
        while True:
            if begin:
                source.begin()
            window = source.window(4096)
            ends = LINE_ENDS.match(window)
            assert ends is not None
            source.advance(ends.end())
            lines += ends.group().count(b"\n")
            if ends.end() < len(window) or (not window and not (begin and source.boundary)):
                return lines

    def _head(self, offset: int) -> Head:
        """The header at the position, which moves behind it."""
        source, stored, mark = self._source, bytearray(), self._source.mark()
        while True:
            window = source.window(4096)
            read = len(stored)
            stored += window
            if window and stored[:5].upper() != b"WARC/"[: len(stored)]:
                source.back_to(mark, bytes(stored[:read]), offset)
                found = bytes(stored[:40])
                at_end = None if self._given else "not_warc"
                raise FramingError("bad_record", f"expected a record (WARC/1.0 or 1.1), found {found!r}", at_end)
            end = HEAD_END.search(stored, max(0, read - 3))
            if end:
                source.advance(end.end() - read)
                break
            source.advance(len(window))
            if window and len(stored) <= MAX_HEAD:
                continue
            if not window and source.fault:
                raise FramingError.of(source.fault, "the record's header is incomplete: ")
            source.back_to(mark, bytes(stored), offset)
            what = f"is longer than {MAX_HEAD:,} bytes" if window else "has no end"
            at_end = None if window or source.boundary else "truncated"
            raise FramingError("bad_record", f"the header {what}", at_end)
        try:
            return parse_head(bytes(stored[: end.end()]))
        except HeadError as error:
            raise FramingError("bad_record", str(error), at_line=True) from error

    def _block(self, head: Head, mark: int | None, offset: int) -> bytes | None:
        """The record's block, or None for one over the limit, with the position at the end of its framing."""
        source = self._source
        block = self._take(head.length) if head.length <= self._max else None
        read = source.skip(head.length) if block is None else len(block)
        if read < head.length:
            if source.fault:
                raise FramingError.of(source.fault, f"after {read:,} of {head.length:,} bytes of the block: ")
            error = f"Content-Length is {head.length:,}, but only {read:,} bytes follow"
            at_end = None if source.boundary else "truncated"
            raise FramingError("bad_record", error, at_end, source.back_to(mark, block, offset))
        last = source.offset
        lines = self._line_ends()
        behind = source.window(5)
        if behind and lines < 2 and behind.upper() != b"WARC/":
            error = f"Content-Length is {head.length:,}, but {behind!r} stands where the record should end"
            raise FramingError("bad_record", error, at_line=source.back_to(mark, block, offset))
        if not behind and source.fault and source.offset == last and not source.fault.cut:
            raise FramingError.of(source.fault)  # its checksum is wrong
        return block

    def _take(self, count: int) -> bytes:
        parts, left = [], count
        while left and (window := self._source.window(left)):
            self._source.advance(len(window))
            parts.append(window)
            left -= len(window)
        return b"".join(parts)

    def _unreadable(self, offset: int, broken: FramingError) -> Unreadable:
        """Move on to the next record, and give what lies between."""
        self._find_record(broken.at_line)
        reason = broken.reason if self._source.offset < self._size else broken.at_end
        return Unreadable(next(self._rows), offset, self._length(offset), str(broken), reason)

    def _length(self, offset: int) -> int | None:
        return self._source.offset - offset if self._source.fresh else None

    def _find_record(self, at_line: bool) -> None:
        """Move to the next record: a member that starts one, or a line that looks like a record's first."""
        source, seen = self._source, b"\n" if at_line else b""
        while True:
            window = source.window()
            if not window:
                if not source.fault:
                    return
                source.recover()
                seen = b""
                continue
            text = seen + window
            found = NEXT_RECORD.search(text)
            if found:
                back = len(seen) - found.start() - 1
                mark = source.mark()
                if back > 0:
                    source.back_to(None if mark is None else mark - back, seen[-back:], source.offset)
                else:
                    source.advance(-back)
                return
            source.advance(len(window))
            seen = text[-8:]


def row_numbers(first: int) -> Iterator[int]:
    """The rows from `first` on."""
    return itertools.count(first)
