"""The HTTP response in a capture's block: its head, read leniently, and its body with the codings undone.

RFC 9112, and what servers and crawlers of thirty years have made of it.
"""

import re
from dataclasses import dataclass

from pipeline.crawl.charset import decode_text
from pipeline.crawl.coding import GZIP_MAGIC, CodingError, dechunk, decode
from pipeline.crawl.records import Record

__all__ = ["Payload", "decode_text", "parse_response", "payload_of", "sniff_html"]

STATUS_LINE = re.compile(rb"[\r\n]*HTTP/[0-9][0-9.]*[ \t]*([0-9]{3})?[^\n]*(?:\n|\Z)", re.IGNORECASE)
HEAD_END = re.compile(rb"\n\r*\n")
TAG_LINE = re.compile(rb"\n<")
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)

HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*(?:<\?xml[^>]*>\s*)?"
    rb"<(?:!--|(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|link)[\s>])",
    re.IGNORECASE,
)
"""How HTML begins: WHATWG MIME Sniffing, section 7.1, and <meta> and <link>, with which real pages begin as well."""


@dataclass(frozen=True)
class Payload:
    """What a server sent.

    `status` is None for HTTP/0.9 and what has no status; `content_type` is the media type in lower case, "" where
    none was declared; `charset` is the header's. `raw` is the entity as transferred; `body` has its codings undone.
    `error` says why it could not be decoded (`body` is then empty); `truncated`, that `body` is only its beginning.
    """

    status: int | None
    content_type: str
    charset: str | None
    raw: bytes
    body: bytes
    error: str | None
    truncated: bool = False


def parse_response(block: bytes, *, max_body_bytes: int) -> Payload:
    """The block of an HTTP response record -> its payload. Never raises for its content.

    Codings that were declared but already undone are no error. The decoded prefix of a body that merely ends early is
    kept, and marked `truncated`; one that is damaged, or decodes to more than `max_body_bytes`, has an `error`.
    """
    status, head, start = _final_head(block)
    fields = _fields(head)
    raw = block[start:]
    media_type, charset = _content_type(fields.get("content-type", []))
    transfer, content = _tokens(fields.get("transfer-encoding")), _tokens(fields.get("content-encoding"))
    body, cut = dechunk(raw) if "chunked" in transfer else (raw, False)
    try:
        body, ends_early = decode(body, content + [t for t in transfer if t != "chunked"], max_body_bytes)
        if body.startswith(GZIP_MAGIC) and media_type.startswith("text/"):
            body, ends_early = decode(body, ["gzip"], max_body_bytes)  # a crawler has dropped or renamed the field
        if len(body) > max_body_bytes:
            raise CodingError(f"the body has {len(body):,} bytes, more than the limit of {max_body_bytes:,}")
    except CodingError as error:
        return Payload(status, media_type, charset, raw, b"", str(error))
    return Payload(status, media_type, charset, raw, body, None, cut or ends_early)


def payload_of(record: Record) -> bytes:
    """The payload of a capture as it was transferred: a response's entity behind the HTTP head, else the block."""
    return record.block[_final_head(record.block)[2] :] if record.is_http else record.block


def reading_of(record: Record) -> tuple[object, ...]:
    """What decides how a capture's payload is read, besides the payload: status, types and codings."""
    if not record.is_http:
        return record.kind, record.content_type
    status, head, _ = _final_head(record.block)
    fields = _fields(head)
    return status, *(fields.get(name) for name in ("content-type", "content-encoding", "transfer-encoding"))


def sniff_html(body: bytes) -> bool:
    """Whether a body without a declared type begins as HTML does (UTF-16 included)."""
    return HTML_START.match(body[:2048].replace(b"\0", b"")) is not None


def _final_head(block: bytes) -> tuple[int | None, bytes, int]:
    """(status, head without its first line, start of the body) of the last head: interim and proxies' ones precede."""
    start = 0
    while True:
        first = STATUS_LINE.match(block, start)
        if not first:
            return None, b"", start  # HTTP/0.9 sends the body alone
        status = int(first[1]) if first[1] else None
        head, end = _head(block, first.end())
        interim = status is not None and 100 <= status < 200 and status != 101
        if not ((interim or not head) and STATUS_LINE.match(block, end)):
            return status, head, end
        start = end


def _head(block: bytes, start: int) -> tuple[bytes, int]:
    """(the fields' lines from `start`, the start of the body). A head without a blank line ends before a tag."""
    end = HEAD_END.search(block, start - 1)
    head_end, body = (end.start() + 1, end.end()) if end else (len(block), len(block))
    tag = TAG_LINE.search(block, start - 1, head_end)
    if tag:
        head_end = body = tag.start() + 1
    return block[start:head_end], body


def _fields(head: bytes) -> dict[str, list[str]]:
    """Lower-case names -> values in order; folded lines joined, lines without a colon left out. Latin-1."""
    fields: dict[str, list[str]] = {}
    values: list[str] = []
    for line in head.decode("latin-1").split("\n"):
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t"):
            if values:
                values[-1] = f"{values[-1]} {line.strip()}".strip()
        elif colon:
            values = fields.setdefault(name.strip().lower(), [])
            values.append(value.strip())
    return fields


def _tokens(values: list[str] | None) -> list[str]:
    return [token.strip().lower() for value in values or () for token in value.split(",")]


def _content_type(values: list[str]) -> tuple[str, str | None]:
    """(media type, charset): each the last one that is declared in due form."""
    media_types = [match[0].lower() for value in values if (match := MEDIA_TYPE.match(value))]
    charsets = [match[1] for value in values if (match := CHARSET.search(value))]
    return media_types[-1] if media_types else "", charsets[-1] if charsets else None
