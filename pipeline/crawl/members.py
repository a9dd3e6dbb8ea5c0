"""The compressed members (gzip) and frames (lz4, zstd) of an archive, each decoded on its own and in bounded memory.

One record a member is the convention that makes .warc.gz seekable: WARC 1.1, annex D.
"""

import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Protocol

from fastwarc.stream_io import Lz4Reader, ZstdReader

from pipeline.crawl.frames import FrameEnd, lz4_frame_end, zstd_frame_end

CHUNK = 1 << 16
"""Stored bytes that are fetched, and decoded bytes that are held, at a time."""

SCAN = 1 << 20
"""Stored bytes that are searched at a time for the next member after a fault."""

RECORD = re.compile(rb"[\r\n]*WARC/[01]\.", re.IGNORECASE)
"""How the decoded bytes of a member begin that starts a record (some writers put line ends before it)."""


class MemberError(Exception):
    """A member cannot be decoded any further: it is damaged or, where `cut`, the file seems to end within it."""

    def __init__(self, codec: str, message: str, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut
        self.damage = f"bad_{codec}"


class Raw:
    """The stored bytes of an archive: reads of an exact length at any offset, however the stream deals them out."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.size = stream.seek(0, io.SEEK_END)
        self._at = self.size

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from offset `at`; fewer only where the file ends. Errors of the stream pass through."""
        if at != self._at:
            self._stream.seek(at)
            self._at = at
        data = self._stream.read(size)
        while len(data) < size and (more := self._stream.read(size - len(data))):
            data += more
        self._at += len(data)
        return data


class Slice:
    """Stored bytes [start, end) as the file object that fastwarc's readers take.

    They turn an error of the stream into one of the format: `failure` keeps the stream's own.
    """

    def __init__(self, raw: Raw, start: int, end: int) -> None:
        self._raw, self._start, self._end, self._at = raw, start, end, start
        self.failure: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._at)
        try:
            data = self._raw.read(self._at, left if size < 0 else min(size, left))
        except OSError as error:
            self.failure = error
            raise
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = base + offset
        return self._at - self._start

    def tell(self) -> int:
        return self._at - self._start

    def close(self) -> None:
        """The archive stays open: it belongs to the caller."""


def is_decoding_error(error: BaseException) -> bool:
    """Whether a reader of fastwarc raised this for what it read.

    Its Rust code may also panic, as with a damaged zstd dictionary (2.0.1), and a panic is no Exception in Python.
    """
    return isinstance(error, (OSError, ValueError)) or type(error).__name__ == "PanicException"


class Member(Protocol):
    """One member being decoded."""

    end: int | None
    """The stored offset behind the member, once all of it was read."""

    def read(self, size: int) -> bytes:
        """The next `size` decoded bytes; fewer only before the end or a fault; b"" at the end.

        What can be decoded before a fault is given first, then MemberError is raised: the same bytes on every run.
        """


class GzipMember:
    """A gzip member decoded by zlib, whose errors, unlike fastwarc's, can be pinned to one byte."""

    def __init__(self, raw: Raw, start: int) -> None:
        self._raw, self._start, self._at = raw, start, start
        self._inflate = zlib.decompressobj(31)
        self._pending = b""
        self._fault: MemberError | None = None
        self.end: int | None = None

    def read(self, size: int) -> bytes:
        parts = []
        while size and self.end is None and not self._fault:
            if not self._pending:
                self._pending = self._raw.read(self._at, CHUNK)
                self._at += len(self._pending)
            data = self._decode(size)
            parts.append(data)
            size -= len(data)
        if parts and (data := b"".join(parts)):
            return data
        if self._fault:
            raise self._fault
        return b""

    def _decode(self, size: int) -> bytes:
        at_end_of_file, before = not self._pending, self._inflate.copy()
        try:
            data = self._inflate.decompress(self._pending, size)
        except zlib.error as error:
            self._fault = MemberError("gzip", f"the gzip member at offset {self._start:,} is damaged ({error})")
            return _up_to_the_error(before, self._pending)
        self._pending = self._inflate.unconsumed_tail
        if self._inflate.eof:
            self.end = self._at - len(self._inflate.unused_data)
        elif at_end_of_file and not data:
            cut = f"the gzip member at offset {self._start:,} is cut off by the end of the file"
            self._fault = MemberError("gzip", f"{cut}; fetch the file again if it should be longer", cut=True)
        return data


def _up_to_the_error(inflate: "zlib._Decompress", stored: bytes) -> bytes:
    """What decodes before an error: zlib withholds the output of a call that fails, so the last one is fed by bytes."""
    parts = []
    try:
        for i in range(len(stored)):
            parts.append(inflate.decompress(stored[i : i + 1]))
    except zlib.error:
        pass
    return b"".join(parts)


class FrameMember:
    """An lz4 or zstd frame, whose extent is read from its block lengths, decoded by fastwarc's reader."""

    def __init__(self, raw: Raw, start: int, name: str, find_end: FrameEnd, reader: Callable[[Slice], Any]) -> None:
        self.end: int | None = None
        self._name = name
        self._where = f"the {name} frame at offset {start:,}"
        self._end, self._is_data = find_end(raw.read, start, raw.size)
        self._slice = Slice(raw, start, raw.size if self._end is None else self._end)
        self._open = reader
        self._reader: Any = None

    def read(self, size: int) -> bytes:
        data = self._decode(size) if self._is_data else b""
        if not data:
            if self._end is None:
                raise self._fault("its last block is missing")
            self.end = self._end
        return data

    def _decode(self, size: int) -> bytes:
        try:
            self._reader = self._reader or self._open(self._slice)
            return bytes(self._reader.read(size))
        except BaseException as error:
            if self._slice.failure:
                raise self._slice.failure from error
            if not is_decoding_error(error):
                raise
            raise self._fault(str(error)) from error

    def _fault(self, error: str) -> MemberError:
        if self._end is None:
            what = f"{self._where} is cut off by the end of the file, or damaged ({error})"
            return MemberError(self._name, what, cut=True)
        return MemberError(self._name, f"{self._where} is damaged ({error})")


@dataclass(frozen=True)
class Codec:
    """A compression whose members can be told apart in the stored bytes: by `magic`, then by what they decode to."""

    name: str
    magic: re.Pattern[bytes]
    open: Callable[[Raw, int], Member]

    def is_member(self, raw: Raw, at: int) -> bool:
        """Whether a member's magic number stands at an offset."""
        return self.magic.match(raw.read(at, 4)) is not None

    def find_record(self, raw: Raw, at: int) -> int | None:
        """The offset of the first member at or behind `at` that decodes to the start of a record."""
        while at < raw.size:
            stored = raw.read(at, SCAN)
            for match in self.magic.finditer(stored):
                if self._starts_record(raw, at + match.start()):
                    return at + match.start()
            at += max(1, len(stored) - 3)
        return None

    def _starts_record(self, raw: Raw, at: int) -> bool:
        try:
            return RECORD.match(self.open(raw, at).read(32)) is not None
        except MemberError:
            return False


def gzip_codec() -> Codec:
    """Deflate in gzip members; the magic's third byte is the method, its fourth has three bits that must be zero."""
    return Codec("gzip", re.compile(rb"\x1f\x8b\x08[\x00-\x1f]", re.DOTALL), GzipMember)


def lz4_codec() -> Codec:
    """lz4 frames and the skippable frames between them."""

    def open_frame(raw: Raw, start: int) -> Member:
        return FrameMember(raw, start, "lz4", lz4_frame_end, Lz4Reader)

    return Codec("lz4", re.compile(rb"\x04\x22\x4d\x18|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL), open_frame)


def zstd_codec(raw: Raw) -> Codec:
    """zstd frames, with the dictionary that may stand in the archive's first, skippable frame.

    The IIPC's "WARC file compression using Zstandard", 0.1.
    """
    dictionary = _zstd_dictionary(raw)

    def open_frame(raw: Raw, start: int) -> Member:
        return FrameMember(raw, start, "zstd", zstd_frame_end, lambda s: ZstdReader(s, dictionary=dictionary))

    return Codec("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL), open_frame)


MAX_DICTIONARY = 8 << 20
"""Dictionaries in the wild are 100 KB to 1 MB."""


def _zstd_dictionary(raw: Raw) -> bytes | None:
    head = raw.read(0, 8)
    size = int.from_bytes(head[4:], "little")
    if head[:4] != b"\x5d\x2a\x4d\x18" or size > MAX_DICTIONARY:
        return None
    dictionary = raw.read(8, size)
    try:
        if dictionary.startswith(b"\x28\xb5\x2f\xfd"):
            dictionary = bytes(ZstdReader(io.BytesIO(dictionary)).read(MAX_DICTIONARY))
        ZstdReader(io.BytesIO(), dictionary=dictionary)
    except BaseException as error:
        if not is_decoding_error(error):
            raise
        return None  # each frame then says that it lacks its dictionary
    return dictionary
