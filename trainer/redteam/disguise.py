"""Texts made unrecognisable to a filter and not to a model, and made plain again: encodings, and tricks of Unicode.

The families are those of Wei et al. 2023 ("Jailbroken", mismatched generalisation) and Boucher et al. 2022 ("Bad
characters"); hidden tags are known as ASCII smuggling. The same tables read what a model leaks in disguise.
"""

import base64
import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator

TAGS = 0xE0000
"""Unicode's tag characters are ASCII again, from here on; fonts show nothing for them."""

ZERO_WIDTH = "\u200b"
OVERRIDE, POP = "\u202e", "\u202c"
"""From here on right to left, and the end of that."""

LEET = str.maketrans("aeiost", "431057")
LOOKALIKES = str.maketrans("aceiopsxy", "\u0430\u0441\u0435\u0456\u043e\u0440\u0455\u0445\u0443")
"""Cyrillic letters that look Latin."""
_UNLEET = str.maketrans("4310578@$!", "aeiostbasi")
_LATIN = {cyrillic: latin for latin, cyrillic in LOOKALIKES.items()}

_LONG = 3
"""Bytes of a decoding that are kept: shorter ones are words that happen to be base64 or hex."""


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def hex_of(text: str) -> str:
    return text.encode().hex()


def leet(text: str) -> str:
    return text.lower().translate(LEET)


def reversed_(text: str) -> str:
    return text[::-1]


def spaced(text: str) -> str:
    return " ".join(text)


def tags(text: str) -> str:
    """ASCII as invisible tag characters; other characters stay."""
    return "".join(chr(TAGS + ord(character)) if " " <= character <= "~" else character for character in text)


def zero_width(text: str) -> str:
    return ZERO_WIDTH.join(text)


def bidi(text: str) -> str:
    """The text backwards, marked so that it is displayed forwards."""
    return f"{OVERRIDE}{text[::-1]}{POP}"


def lookalikes(text: str) -> str:
    return text.translate(LOOKALIKES)


def fullwidth(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in text)


DISGUISES: dict[str, Callable[[str], str]] = {
    "base64": base64_of,
    "rot13": rot13,
    "hex": hex_of,
    "leet": leet,
    "reversed": reversed_,
    "spaced": spaced,
    "tags": tags,
    "zero_width": zero_width,
    "bidi": bidi,
    "lookalikes": lookalikes,
    "fullwidth": fullwidth,
}
"""What `{ask|NAME}` in an attack's text may name."""


def plain(text: str) -> str:
    """What a reader takes a text for: small letters, tags and lookalikes as the letters they stand for, no unseen ones.

    Compatibility forms (fullwidth, mathematical letters) become plain ones (Unicode's NFKC).
    """
    untagged = "".join(chr(ord(one) - TAGS) if TAGS < ord(one) < TAGS + 0x7F else one for one in text)
    seen = "".join(one for one in untagged if unicodedata.category(one) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold().translate(_LATIN)


def readings(text: str) -> Iterator[str]:
    """All that a text may say, in small letters: itself, undisguised, decoded."""
    simple = plain(text)
    yield simple
    yield simple[::-1]
    yield rot13(simple)
    yield simple.translate(_UNLEET)
    for found in re.findall(r"(?:[0-9a-f]{2}[\s:,]?(?:0x|\\x)?){3,}", simple):
        digits = re.sub(r"0x|\\x|[\s:,]", "", found)
        yield from _decoded(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    for found in re.findall(r"[A-Za-z0-9+/_-]{4,}", text):  # base64 tells capitals from small letters
        for start in range(min(4, len(found) - 3)):  # a letter before it may have stuck to it
            digits = found[start:].translate(str.maketrans("-_", "+/"))
            whole = digits[: len(digits) // 4 * 4]
            rest = digits[len(whole) :]
            padded = whole + (rest + "=" * (4 - len(rest)) if len(rest) > 1 else "")
            yield from _decoded(base64.b64decode(padded))


def _decoded(data: bytes) -> Iterator[str]:
    text = data.decode("utf-8", "replace")
    if len(data) >= _LONG:
        yield plain(text)
        yield plain(text)[::-1]


def letters(text: str) -> str:
    """Letters and digits alone: what "s-e c r.e t" spells."""
    return "".join(one for one in text if one.isalnum())


def shown(text: str) -> str:
    """A text for people to read: what is invisible, or would reorder the line, is named: `[U+202E]`."""
    return "".join(
        f"[U+{ord(one):04X}]" if unicodedata.category(one) in ("Cf", "Cc", "Cs", "Co") and one not in "\n\t" else one
        for one in text
    )
