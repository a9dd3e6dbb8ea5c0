"""The header of a WARC record: its named fields, read leniently, and the little that a record cannot do without.

WARC 1.1 (ISO 28500:2017), section 5. Real files break lines with LF, fold them, repeat fields and leave them out.
"""

import hashlib
import re
from dataclasses import dataclass

VERSION = re.compile(rb"WARC/\d+\.\d+[ \t\r]*\n", re.IGNORECASE)
HEAD_END = re.compile(rb"\n\r{0,2}\n")
"""A blank line; lines that end with CR CR LF exist."""

MAX_HEAD = 256 << 10
"""Bytes of a header; the longest seen in real crawls carry a data: URL of some 30 KB."""

CAPTURES = frozenset({"response", "resource", "conversion"})
OTHERS = frozenset({"warcinfo", "request", "metadata", "revisit", "continuation"})

FILE_FIELDS = frozenset({b"warc-warcinfo-id", b"warc-filename"})
"""Fields that change when a record is copied to another file."""


class HeadError(Exception):
    """The header does not say what the record is or where it ends."""


@dataclass(frozen=True)
class Head:
    """A header: lower-case field names to their first values, as stored."""

    fields: dict[bytes, bytes]
    kind: str
    length: int

    @property
    def is_capture(self) -> bool:
        return self.kind in CAPTURES

    def text(self, name: bytes) -> str:
        """A field's value, "" where it is missing; bytes that are not UTF-8 become U+FFFD."""
        return self.fields.get(name, b"").decode("utf-8", "replace")

    def record_id(self, block: bytes) -> str:
        """The record's own id; where it has none, a SHA-256 of its fields and its block.

        The derived id, `urn:corpuscle:<hex>`, leaves out the fields that name the file, and the order of the
        fields: it is the same wherever the record is copied to.
        """
        own = self.text(b"warc-record-id")
        if own:
            return own
        digest = hashlib.sha256()
        for name, value in sorted(self.fields.items()):
            if name not in FILE_FIELDS:
                digest.update(b"%b: %b\r\n" % (name, value))
        digest.update(b"\r\n")
        digest.update(block)
        return f"urn:corpuscle:{digest.hexdigest()}"


def parse_head(stored: bytes) -> Head:
    """A header with its version line and its blank line -> fields, type and block length. Raises HeadError."""
    version = VERSION.match(stored)
    if not version:
        raise HeadError(f"the version line is {stored.splitlines()[0][:40]!r}, expected WARC/1.0 or WARC/1.1")
    fields: dict[bytes, bytes] = {}
    name = b""
    repeated = False
    for line in stored[version.end() :].split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            if name and not repeated and line.strip():
                fields[name] = (fields[name] + b" " + line.strip()).strip()
            continue
        name, colon, value = line.partition(b":")
        name = name.strip().lower() if colon else b""
        repeated = name in fields
        if name and not repeated:
            fields[name] = value.strip()
    kind = fields.get(b"warc-type", b"").lower().decode("utf-8", "replace")
    if not kind:
        raise HeadError("the header has no WARC-Type")
    length = fields.get(b"content-length")
    if length is None:
        raise HeadError("the header has no Content-Length")
    if not re.fullmatch(rb"[0-9]{1,18}", length):
        raise HeadError(f"the Content-Length is {length[:40]!r}, expected a number of bytes")
    return Head(fields, kind if kind in CAPTURES or kind in OTHERS else "unknown", int(length))
