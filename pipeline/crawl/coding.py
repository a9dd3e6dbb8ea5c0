"""Transfer and content codings of HTTP bodies as crawls hold them: cut off, wrong, or long since undone.

RFC 9112 section 7.1 (chunked), RFC 9110 section 8.4 (gzip, deflate, br), RFC 8878 (zstd). Output is bounded.
"""

import io
import re
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
from fastwarc.stream_io import ZstdReader

from pipeline.crawl.frames import zstd_frame_end

CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\n]{0,1024})?\r?\n")
GZIP_MAGIC = b"\x1f\x8b"
PIECE = 1 << 16


class CodingError(Exception):
    """A body cannot be decoded; the message says which coding failed, and how."""


def dechunk(raw: bytes) -> tuple[bytes, bool]:
    """A chunked body -> (its data, whether it is cut off).

    Crawlers often store the body with the framing already removed and leave the header: if the first chunk does not
    hold, the bytes are taken as they are. If a later one does not, what came before it is kept, as cut off.
    """
    parts: list[bytes] = []
    at = 0
    while size_line := CHUNK_SIZE.match(raw, at):
        size, start = int(size_line[1], 16), size_line.end()
        if size == 0:
            return b"".join(parts), False  # trailers may follow
        end = start + size
        if end >= len(raw):
            if not parts and not size_line[0].endswith(b"\r\n"):
                return raw, False  # a line of text that happens to be hexadecimal
            parts.append(raw[start:end])
            return b"".join(parts), True
        line_end = re.compile(rb"\r?\n").match(raw, end)
        if not line_end:
            break
        parts.append(raw[start:end])
        at = line_end.end()
    return (b"".join(parts), True) if parts else (raw, False)


def decode(data: bytes, codings: list[str], limit: int) -> tuple[bytes, bool]:
    """A body -> (decoded, whether it is cut off), undoing `codings` from the last to the first.

    A coding that was declared but not applied (the crawler had undone it) leaves the body as it is. The prefix of a
    stream that merely ends early is kept; a damaged stream, one over `limit` bytes, or a coding that nothing here can
    undo raises CodingError. Names that are no codings ("none", "utf-8") are passed over.
    """
    cut = False
    for coding in reversed(codings):
        if coding in UNSUPPORTED:
            raise CodingError(f"content coding {coding!r} is not supported")
        decoder = DECODERS.get(coding)
        if decoder and data:
            data, ends_early = decoder(data, limit)
            cut = cut or ends_early
    return data, cut


def _gzip(data: bytes, limit: int) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    while data.startswith(GZIP_MAGIC):
        inflate = zlib.decompressobj(31)
        try:
            parts.append(inflate.decompress(data, limit + 1))
        except zlib.error as error:
            raise CodingError(f"the gzip body is damaged ({error})") from error
        _check_length(sum(map(len, parts)), limit, "gzip")
        if not inflate.eof:
            return b"".join(parts), True
        data = inflate.unused_data
    return (b"".join(parts), False) if parts else (data, False)


def _deflate(data: bytes, limit: int) -> tuple[bytes, bool]:
    beginning = b""
    for window_bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):  # servers send it with and without the zlib header
        inflate = zlib.decompressobj(window_bits)
        try:
            decoded = inflate.decompress(data, limit + 1)
        except zlib.error:
            continue
        _check_length(len(decoded), limit, "deflate")
        if inflate.eof and (window_bits > 0 or not inflate.unused_data):
            return decoded, False
        beginning = beginning or decoded
    return _incomplete(data, beginning, "deflate")


def _brotli(data: bytes, limit: int) -> tuple[bytes, bool]:
    decoder = brotli.Decompressor()
    parts: list[bytes] = []
    at = length = 0
    try:
        while not decoder.is_finished():
            fed = data[at : at + PIECE] if decoder.can_accept_more_data() else b""
            part = decoder.process(fed, output_buffer_limit=PIECE)
            if not fed and not part:
                return _incomplete(data, b"".join(parts), "br")
            at += len(fed)
            parts.append(part)
            length += len(part)
            _check_length(length, limit, "br")
    except brotli.error:
        return _incomplete(data, b"", "br")
    return b"".join(parts), False


def _zstd(data: bytes, limit: int) -> tuple[bytes, bool]:
    if not data.startswith(b"\x28\xb5\x2f\xfd"):
        return data, False
    reader, parts, length = ZstdReader(io.BytesIO(data)), [], 0
    try:
        while part := reader.read(PIECE):
            parts.append(part)
            length += len(part)
            _check_length(length, limit, "zstd")
    except (OSError, ValueError) as error:
        end, _ = zstd_frame_end(lambda at, size: data[at : at + size], 0, len(data))
        if end is not None or not parts:
            raise CodingError(f"the zstd body is damaged ({error})") from error
        return b"".join(parts), True
    return b"".join(parts), False


def _incomplete(data: bytes, beginning: bytes, name: str) -> tuple[bytes, bool]:
    """What to make of a stream that did not decode to its end, of a coding that no first bytes tell.

    Text was never coded (compressed bytes are control characters to 11%); else the beginning, if there is one.
    """
    head = data[:1024]
    if sum(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in head) * 50 <= len(head):
        return data, False
    if not beginning:
        raise CodingError(f"the {name} body is damaged")
    return beginning, True


def _check_length(length: int, limit: int, name: str) -> None:
    if length > limit:
        raise CodingError(f"the {name} body is longer than {limit:,} bytes when decoded")


DECODERS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "x-deflate": _deflate,
    "br": _brotli,
    "brotli": _brotli,
    "zstd": _zstd,
}

UNSUPPORTED = frozenset({"compress", "x-compress", "sdch", "exi", "pack200-gzip", "dcb", "dcz"})
"""Registered or once common codings; their bodies are no text before they are undone."""
