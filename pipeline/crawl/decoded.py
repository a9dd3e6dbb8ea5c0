"""An archive as one run of decoded bytes that knows where in the stored file each of them could be read again.

The reader of records walks over it by windows, so that memory does not grow with a record or a member.
"""

import re
from typing import Protocol

from pipeline.crawl.members import CHUNK, RECORD, Codec, Member, MemberError, Raw

LINE_ENDS = re.compile(rb"[\r\n]*")


class Decoded(Protocol):
    """Decoded bytes with a position.

    `window()` gives bytes at the position and `advance()` moves over them; an empty window is a stop: `fault`,
    `boundary` (the next member starts a record, which nothing before it may swallow), or else the end of the file.
    """

    @property
    def offset(self) -> int:
        """Where the stored file can be opened to read what is at the position: the start of its member, if any."""

    @property
    def fresh(self) -> bool:
        """Whether reading at `offset` begins here: only line ends lie between."""

    @property
    def fault(self) -> MemberError | None:
        """Why the member at `offset` cannot be decoded any further."""

    @property
    def boundary(self) -> bool:
        """Whether the member at `offset` starts a record that was not begun yet."""

    def window(self, limit: int = CHUNK) -> bytes:
        """At most `limit` bytes from the position on; how many is the same on every run."""

    def advance(self, count: int) -> None:
        """Move over bytes that a window showed."""

    def skip(self, count: int) -> int:
        """Move over up to `count` bytes without keeping any; how many there were before a stop."""

    def begin(self) -> None:
        """Let the record behind a boundary be read."""

    def mark(self) -> int | None:
        """A position for `back_to`, or None where it would have to be decoded again."""

    def back_to(self, mark: int | None, data: bytes | None, offset: int) -> bool:
        """Go back to the mark, or by `data`, the bytes just read, of the member at `offset`; False: it stays."""

    def recover(self) -> None:
        """After a fault: move to the next member that starts a record, or to the end of the file."""


class Plain:
    """An uncompressed archive: every byte can be read again."""

    fresh = True
    fault: MemberError | None = None
    boundary = False

    def __init__(self, raw: Raw, start: int) -> None:
        self._raw = raw
        self.offset = start
        self._buffer, self._used = b"", 0

    def window(self, limit: int = CHUNK) -> bytes:
        if limit > CHUNK:
            return self._raw.read(self.offset, min(limit, 16 * CHUNK))
        if len(self._buffer) - self._used < min(limit, 256):
            self._buffer, self._used = self._raw.read(self.offset, CHUNK), 0
        return self._buffer[self._used : self._used + limit]

    def advance(self, count: int) -> None:
        self.offset += count
        self._used += count

    def skip(self, count: int) -> int:
        count = min(count, self._raw.size - self.offset)
        self.advance(count)
        return count

    def begin(self) -> None:
        """No boundary is ever in the way."""

    def mark(self) -> int | None:
        return self.offset

    def back_to(self, mark: int | None, data: bytes | None, offset: int) -> bool:
        if mark is None:
            return False
        self.advance(mark - self.offset)
        self._buffer, self._used = b"", 0
        return True

    def recover(self) -> None:
        """Nothing is compressed, so there are no faults."""


class Members:
    """The members of a compressed archive, one after the other; a record may begin in one and end in a later one."""

    def __init__(self, raw: Raw, codec: Codec, start: int) -> None:
        self._raw, self._codec = raw, codec
        self._enter(start)

    def _enter(self, start: int) -> None:
        self._start = start
        self._member: Member | None = None
        self._buffer, self._used = b"", 0
        self._unread, self._unread_used, self._unread_offset = b"", 0, start
        self._fresh = True
        self.fault: MemberError | None = None
        self.boundary = False

    @property
    def offset(self) -> int:
        return self._unread_offset if self._unread else self._start

    @property
    def fresh(self) -> bool:
        return self._fresh and not self._unread

    def window(self, limit: int = CHUNK) -> bytes:
        if self._unread:
            return self._unread[self._unread_used : self._unread_used + limit]
        while self._used == len(self._buffer):
            if self.fault or not self._fill():
                return b""
        return b"" if self.boundary else self._buffer[self._used : self._used + limit]

    def _fill(self) -> bool:
        """Decode some more, of the next member if need be; False at the end of the file."""
        try:
            if self._member is None:
                return self._open()
            assert self._member is not None
            self._buffer, self._used = self._member.read(CHUNK), 0
            if not self._buffer:
                assert self._member.end is not None
                self._enter(self._member.end)
        except MemberError as fault:
            self.fault = fault
        return True

    def _open(self) -> bool:
        if self._start >= self._raw.size:
            return False
        if not self._codec.is_member(self._raw, self._start):
            bad = f"no {self._codec.name} member begins at offset {self._start:,}"
            raise MemberError(self._codec.name, bad)
        self._member = self._codec.open(self._raw, self._start)
        self._buffer, self._used = self._member.read(CHUNK), 0
        self.boundary = RECORD.match(self._buffer) is not None
        return True

    def advance(self, count: int) -> None:
        if self._unread:
            self._unread_used += count
            if self._unread_used == len(self._unread):
                self._unread, self._unread_used = b"", 0
            return
        end = self._used + count
        if self._fresh and LINE_ENDS.fullmatch(self._buffer, self._used, end) is None:
            self._fresh = False
        self._used = end

    def skip(self, count: int) -> int:
        left = count
        while left and (data := self.window(left)):
            self.advance(len(data))
            left -= len(data)
        return count - left

    def begin(self) -> None:
        self.boundary = False

    def mark(self) -> int | None:
        return None

    def back_to(self, mark: int | None, data: bytes | None, offset: int) -> bool:
        if data is None:
            return False
        self._unread, self._unread_used = data + self._unread[self._unread_used :], 0
        self._unread_offset = offset
        return True

    def recover(self) -> None:
        found = self._codec.find_record(self._raw, self._start + 1)
        self._enter(self._raw.size if found is None else found)
