"""Where an lz4 or zstd frame ends, read from its block lengths without decoding.

lz4: "LZ4 Frame Format Description", 1.6.4. zstd: RFC 8878, section 3.1.
"""

from collections.abc import Callable
from typing import Protocol

Read = Callable[[int, int], bytes]
"""(offset, size) -> stored bytes; fewer only where the file ends."""


class FrameEnd(Protocol):
    """(end, whether it holds data) of the frame at `start`; end is None where the frame is cut off or damaged."""

    def __call__(self, read: Read, start: int, size: int, /) -> tuple[int | None, bool]: ...


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _skippable(read: Read, start: int, size: int) -> tuple[int | None, bool]:
    end = start + 8 + _little(read(start + 4, 4))
    return (end if end <= size else None), False


def _is_skippable(magic: bytes) -> bool:
    return magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5


def lz4_frame_end(read: Read, start: int, size: int) -> tuple[int | None, bool]:
    """Magic, descriptor, blocks of a 4-byte length each, a zero length, a checksum."""
    magic_flags = read(start, 5)
    if _is_skippable(magic_flags[:4]):
        return _skippable(read, start, size)
    if len(magic_flags) < 5:
        return None, True
    flags = magic_flags[4]
    block_checksum, content_size, content_checksum, dictionary = flags & 16, flags & 8, flags & 4, flags & 1
    at = start + 7 + (8 if content_size else 0) + (4 if dictionary else 0)
    while at + 4 <= size:
        length = _little(read(at, 4)) & 0x7FFFFFFF
        at += 4
        if not length:
            at += 4 if content_checksum else 0
            return (at if at <= size else None), True
        at += length + (4 if block_checksum else 0)
    return None, True


def zstd_frame_end(read: Read, start: int, size: int) -> tuple[int | None, bool]:
    """Magic, descriptor, blocks of a 3-byte header each (last, type, size), a checksum."""
    magic_flags = read(start, 5)
    if _is_skippable(magic_flags[:4]):
        return _skippable(read, start, size)
    if len(magic_flags) < 5:
        return None, True
    flags = magic_flags[4]
    single_segment, checksum = flags & 32, flags & 4
    content_size = (1 if single_segment else 0, 2, 4, 8)[flags >> 6]
    at = start + 5 + (0 if single_segment else 1) + (0, 1, 2, 4)[flags & 3] + content_size
    while at + 3 <= size:
        header = _little(read(at, 3))
        last, kind, length = header & 1, header >> 1 & 3, header >> 3
        if kind == 3:
            return None, True
        at += 3 + (1 if kind == 1 else length)
        if last:
            at += 4 if checksum else 0
            return (at if at <= size else None), True
    return None, True
