"""Stretches of a text that decode to a text: base64, base32, hexadecimal, escapes, entities, binary, Morse.

Candidates are found by RE2, in linear time, over the batch as bytes in which each position is one code point. Nothing
is decompressed, and what decodes to no readable text is dropped.
"""

import base64
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import re2

from pipeline.filter.characters import SEPARATOR
from pipeline.filter.text import TextBatch
from pipeline.poison.encoded_words import known

LONGEST = 1 << 16
"""Characters of one stretch that are decoded."""

LEAST_LETTERS = 8
"""Letters from which a decoded text is one."""

NEEDLESS = 8
"""Escaped ASCII letters from which an escape is no longer one that URLs, JSON or HTML need."""

DASHES, DOTS = "‐‑‒–—―−", "·•∙⋅"

MORSE = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
        "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- ..--.. .----. -.-.-- -..-.".split(),
        "abcdefghijklmnopqrstuvwxyz0123456789.,?'!/",
        strict=True,
    )
)
"""ITU-R M.1677-1."""

FORMS = {
    "base64": r"[A-Za-z0-9+/_-]{16,}={0,2}",
    "hex": r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:;]{1,2}){7,}(?:0x|\\x)?[0-9A-Fa-f]{2}\b|(?:\\x[0-9A-Fa-f]{2}){6,}",
    "unicode": r"(?:\\u\{?[0-9A-Fa-f]{4}\}?[A-Za-z ]{0,8}){4,}",
    "percent": r"(?:%[0-9A-Fa-f]{2}[^\s%<>\"']{0,40}){4,}",
    "entities": r"(?:&(?:amp;){0,3}#[xX]?[0-9A-Fa-f]{1,6};[A-Za-z ]{0,8}){4,}",
    "binary": r"(?:[01]{7,8}[ ,]?){5,}[01]{7,8}",
    "decimal": r"(?:[0-9]{2,3}[ ,;]{1,2}){9,}[0-9]{2,3}",
    "octal": r"(?:\\[0-7]{3}){6,}",
    "morse": r"(?:[.-]{1,6}[ /|]{1,3}){9,}[.-]{1,6}",
}
"""What a stretch looks like. Sixteen letters of base64 are twelve bytes: "ignore rules"."""

_NEXT_LINE = re.compile(r"[ \t]*\r?\n[ \t>]*([A-Za-z0-9+/_-]{1,200}={0,2})(?![^\0\s\"'<>.,;)])")
_UNESCAPED = re.compile(r"[A-Za-z0-9_.~-]+\Z")
_ESCAPES = {
    "percent": re.compile("%(?:25)*([0-9A-Fa-f]{2})"),
    "unicode": re.compile(r"\\u\{?([0-9A-Fa-f]{4})"),
    "entities": re.compile("&(?:amp;)*#[xX]?([0-9A-Fa-f]+);"),
}
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
    """Stretches in one of the FORMS that decode to a readable text, in order."""
    data = _bytes()[texts.code_points].tobytes()
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
            yield Decoded(start, end, form, text, needless)


def readable(text: str) -> bool:
    """Whether a decoded text is one: printable, most of it letters and spaces."""
    letters = sum(map(str.isalpha, text))
    return (
        letters >= LEAST_LETTERS
        and letters + text.count(" ") >= 0.6 * len(text)
        and all(letter.isprintable() or letter in "\t\r\n" for letter in text)
    )


# base64 and its kin


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


def decode_base64(run: str) -> str:
    """Standard or URL-safe, with or without padding; UTF-8 or, as shells take it, UTF-16."""
    bare = run.rstrip("=").replace("-", "+").replace("_", "/")
    bare = bare[: len(bare) - (len(bare) % 4 == 1)]
    return _text(base64.b64decode(bare + "=" * (-len(bare) % 4)))


def decode_base32(run: str) -> str:
    """RFC 4648, with or without padding."""
    try:
        return _text(base64.b32decode(run + "=" * (-len(run) % 8)))
    except ValueError:
        return ""


def decode_hex(run: str) -> str:
    """Two digits a byte, with whatever stands between them; a first or last pair that is a word of the page may go."""
    digits = re.sub(r"0x|\\x|[ ,:;]", "", run)
    digits = digits[: len(digits) - len(digits) % 2]
    for first, last in ((0, 0), (2, 0), (0, 2), (2, 2)):
        try:
            if text := _text(bytes.fromhex(digits[first : len(digits) - last])):
                return text
        except ValueError:
            return ""
    return ""


def _text(data: bytes) -> str:
    """Bytes as text, "" where they are none."""
    wide = len(data) > 8 and data[1::2].count(0) > 0.4 * len(data)
    try:
        text = data.decode("utf-16-le" if wide else "utf-8")
    except UnicodeDecodeError:
        return ""
    return text if readable(text) else ""


# Escapes


def decode_percent(stretch: str) -> str:
    """Percent encoding, twice where it was done twice."""
    text = unquote(unquote(stretch), errors="ignore").replace("+", " ")
    return text if readable(text) else ""


def decode_unicode(stretch: str) -> str:
    r"""\u0069 and \u{0069}, with plain letters between."""
    text = re.sub(r"\\u\{?([0-9A-Fa-f]{4})\}?", lambda match: chr(int(match[1], 16)), stretch)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text if readable(text) else ""


def decode_entities(stretch: str) -> str:
    """Numeric references of HTML, also those whose & was escaped again."""
    text = stretch
    for _ in range(4):
        text = html.unescape(text)
    return text if readable(text) else ""


def _needless(form: str, stretch: str) -> bool:
    """Whether many ASCII letters and digits were escaped, which no format asks for."""
    codes = [
        int(match[1], 10 if form == "entities" and "#x" not in match[0].lower() else 16)
        for match in _ESCAPES[form].finditer(stretch)
    ]
    return sum(code < 0x80 and chr(code).isalnum() for code in codes) >= NEEDLESS


# Numbers and Morse


def decode_binary(stretch: str) -> str:
    """Seven or eight bits a letter."""
    groups = re.split("[ ,]+", stretch)
    bits = "".join(groups)
    sizes = (len(groups[0]),) if len(groups) > 1 else (8, 7)
    for size in sizes:
        whole = len(bits) - len(bits) % size
        text = _text(bytes(int(bits[at : at + size], 2) for at in range(0, whole, size)))
        if text:
            return text
    return ""


def decode_decimal(stretch: str) -> str:
    """The numbers of ASCII characters; tables of numbers make no words."""
    codes = [int(number) for number in re.findall("[0-9]+", stretch)]
    text = "".join(chr(code) if 32 <= code < 127 or code in (9, 10, 13) else "\0" for code in codes).strip("\0")
    return text if readable(text) and known(text) else ""


def decode_octal(stretch: str) -> str:
    """\\151 and the like."""
    codes = [int(code, 8) for code in re.findall("[0-7]{3}", stretch)]
    return _text(bytes(codes)) if max(codes) < 256 else ""


def decode_morse(stretch: str) -> str:
    """Dots and dashes; spaces part letters, a stroke or more spaces part words."""
    words = re.split(r" *[/|] *| {2,}", stretch.strip())
    letters = [[MORSE.get(letter, "\0") for letter in word.split()] for word in words]
    text = " ".join("".join(word) for word in letters)
    return text if readable(text) and known(text) else ""


DECODERS: dict[str, Callable[[str], str]] = {
    "hex": decode_hex,
    "unicode": decode_unicode,
    "percent": decode_percent,
    "entities": decode_entities,
    "binary": decode_binary,
    "decimal": decode_decimal,
    "octal": decode_octal,
    "morse": decode_morse,
}


@cache
def _pattern() -> Any:
    options = re2.Options()
    options.max_mem = 64 << 20
    forms = sorted(FORMS, key=lambda form: form == "base64")  # the first alternative wins, and base64 takes anything
    return re2.compile("|".join(f"(?P<{form}>{FORMS[form]})" for form in forms).encode(), options)


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
