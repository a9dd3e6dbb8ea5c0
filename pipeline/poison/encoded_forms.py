"""Stretches of a text that decode to a text (encoded_decoders.py): where they begin and end.

Candidates are found by RE2, in linear time, over the batch as bytes in which each position is one code point. Nothing
is decompressed, and what decodes to no readable text is dropped.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import re2

from pipeline.filter.characters import SEPARATOR
from pipeline.filter.text import TextBatch
from pipeline.poison.encoded_decoders import (
    DECODERS,
    coded,
    decode_base32,
    decode_base64,
    decode_base85,
    decode_binary,
    decode_decimal,
    decode_hex,
)

LONGEST = 1 << 16
"""Characters of one stretch that are decoded."""

NEEDLESS = 8
"""Escaped ASCII letters from which an escape is no longer one that URLs, JSON or HTML need."""

DASHES, DOTS = "‐‑‒–—―−", "·•∙⋅"

FORMS = {
    "base64": r"[A-Za-z0-9+/_-]{16,}={0,2}",
    "hex": r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:;]{1,2}){7,}(?:0x|\\x)?[0-9A-Fa-f]{2}\b|(?:\\x[0-9A-Fa-f]{2}){6,}",
    "unicode": r"(?:\\u\{?[0-9A-Fa-f]{4}\}?[A-Za-z ]{0,8}){4,}",
    "percent": r"(?:%[0-9A-Fa-f]{2}[^\0\s%<>\"']{0,40}){4,}",
    "entities": r"(?:&(?:amp;){0,3}#[xX]?[0-9A-Fa-f]{1,6};[A-Za-z ]{0,8}){4,}",
    "binary": r"(?:[01]{7,8}[ ,]?){5,}[01]{7,8}",
    "decimal": r"(?:[0-9]{2,3}[ ,;]{1,2}){9,}[0-9]{2,3}",
    "octal": r"(?:\\[0-7]{3}){6,}",
    "morse": r"(?:[.-]{1,6}[ /|]{1,3}){9,}[.-]{1,6}",
}
"""What a stretch looks like. Sixteen letters of base64 are twelve bytes: "ignore rules"."""

BASE85 = rb"[!-~]{20,}"
"""Whatever has no spaces; looked for where no other form was found. Twenty characters are sixteen bytes."""
LEAST_SIGNS = 3
"""Different signs that it must have, which base64, paths, e-mail addresses and most URLs have not."""

_NEXT_LINE = re.compile(r"[ \t]*\r?\n[ \t>]*([A-Za-z0-9+/_-]{1,200}={0,2})(?![^\0\s\"'<>.,;)])")
_UNESCAPED = re.compile(r"[A-Za-z0-9_.~-]+\Z")
_ESCAPES = {
    "percent": re.compile("%(?:25)*([0-9A-Fa-f]{2})"),
    "unicode": re.compile(r"\\u\{?([0-9A-Fa-f]{4})"),
    "entities": re.compile("&(?:amp;)*#[xX]?([0-9A-Fa-f]+);"),
}
_SIGNS = re.compile(r"[!#$&()*;<>?@^`{|}~]")
_PIECES = re.compile(r"[A-Za-z0-9]{16,}")


@dataclass(frozen=True)
class Decoded:
    """A stretch of the batch [`start`, `end`), its form and what it says. `needless` is not
    what URLs, JSON and HTML escape anyway."""

    start: int
    end: int
    form: str
    text: str
    needless: bool = True


def find_forms(texts: TextBatch) -> Iterator[Decoded]:
    """Stretches in one of the FORMS, or base85, that decode to a readable text, or to a code once more."""
    data = _bytes()[texts.code_points].tobytes()
    found = []
    for one in _forms(data):
        found.append((one.start, one.end))
        yield one
    yield from _base85(data, found)


def _base85(data: bytes, taken: list[tuple[int, int]]) -> Iterator[Decoded]:
    """Stretches in base85, none that overlaps those that are `taken` (in order)."""
    starts = [start for start, _ in taken]
    for match in _no_spaces().finditer(data):
        start, end = match.span()
        stretch = match.group().decode("ascii")
        if len(set(_SIGNS.findall(stretch))) < LEAST_SIGNS or end - start > LONGEST:
            continue
        place = bisect_left(starts, end)
        if place and taken[place - 1][1] > start:
            continue
        if text := decode_base85(stretch):
            yield Decoded(start, end, "base85", text, not coded(text))


def _forms(data: bytes) -> Iterator[Decoded]:
    behind = 0
    for match in _pattern().finditer(data):
        start, end = match.span()
        form = match.lastgroup.decode()
        if start < behind:
            continue
        stretch = data[start : min(end, start + LONGEST)].decode("ascii")
        if form == "base64":
            if not _may_be_base64(stretch):
                continue
            form, text = _decode_run(stretch)
            if text and form == "base64" and end - start <= LONGEST:
                end, stretch = _wrapped(data, end, stretch)
                text = decode_base64(stretch) or text
            needless = True
        else:
            if form == "percent":  # the words before the first escape are part of it
                before = _UNESCAPED.search(data[max(start - 40, behind) : start].decode("ascii"))
                start -= len(before[0]) if before else 0
                stretch = data[start : min(end, start + LONGEST)].decode("ascii")
            text = DECODERS[form](stretch)
            needless = form not in _ESCAPES or _needless(form, stretch)
            if form == "hex" and not text:  # numbers of two digits begin both
                numbers = _decimal().match(data[start : start + LONGEST])
                if numbers is not None:
                    form, end = "decimal", start + numbers.end()
                    text = decode_decimal(numbers.group().decode("ascii"))
        if text:
            behind = end
            yield Decoded(start, end, form, text, needless and not coded(text))


def _may_be_base64(run: str) -> bool:
    """Cheap: English in base64 has small and capital letters, hexadecimal and base32 have digits."""
    return any(map(str.isdigit, run)) or not (run.islower() or run.isupper() or run[1:].islower())


def _decode_run(run: str) -> tuple[str, str]:
    """(form, text) of a run of base64's characters, or of the longest piece of it that decodes; ("", "") if none."""
    bare = run.rstrip("=")
    if len(bare) % 2 == 0 and (text := decode_hex(bare)):
        return "hex", text
    if set(bare) <= {"0", "1"} and (text := decode_binary(bare)):
        return "binary", text
    if bare.isupper() and (text := decode_base32(bare)):
        return "base32", text
    if text := decode_base64(run):
        return "base64", text
    for piece in sorted(_PIECES.findall(bare), key=len, reverse=True)[:4]:
        for offset in range(4):
            if text := decode_base64(piece[offset:]):
                return "base64", text
    return "", ""


def _wrapped(data: bytes, end: int, first: str) -> tuple[int, str]:
    """Where lines of base64 end that go on from a first one, and all of them in one."""
    lines, width = [first], len(first)
    while width >= 32 and not lines[-1].endswith("=") and len(lines) * width < LONGEST:
        match = _NEXT_LINE.match(data[end : end + 2 * width + 16].decode("ascii"))
        if match is None or len(match[1]) > width + 2:
            break
        lines.append(match[1])
        end += match.end()
        if len(match[1]) < width:
            break
    return end, "".join(lines)


def _needless(form: str, stretch: str) -> bool:
    """Whether many ASCII letters and digits were escaped, which no format asks for."""
    codes = [
        int(match[1], 10 if form == "entities" and "#x" not in match[0].lower() else 16)
        for match in _ESCAPES[form].finditer(stretch)
    ]
    return sum(code < 0x80 and chr(code).isalnum() for code in codes) >= NEEDLESS


@cache
def _pattern() -> Any:
    options = re2.Options()
    options.max_mem = 64 << 20
    forms = sorted(FORMS, key=lambda form: form == "base64")  # the first alternative wins, and base64 takes anything
    return re2.compile("|".join(f"(?P<{form}>{FORMS[form]})" for form in forms).encode(), options)


@cache
def _no_spaces() -> Any:
    return re2.compile(BASE85)


@cache
def _decimal() -> Any:
    return re2.compile(FORMS["decimal"].encode())


@cache
def _bytes() -> npt.NDArray[np.uint8]:
    """Of each code point an ASCII byte: itself, what it is the full-width form of, a dot or dash, or a NUL."""
    table = np.zeros(SEPARATOR + 1, np.uint8)
    table[:0x80] = np.arange(0x80)
    table[0xFF01:0xFF5F] = np.arange(0x21, 0x7F)
    table[[ord(dash) for dash in DASHES]] = ord("-")
    table[[ord(dot) for dot in DOTS]] = ord(".")
    table[SEPARATOR] = 0  # no form goes on from one document into the next
    return table
