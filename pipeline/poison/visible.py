"""Text with what cannot be seen made visible, so that a person can judge what an attacker hid.

Invisible and steering characters become their code point between angle quotes, ‹U+200B›; runs of one kind are counted.
"""

import re
import unicodedata
from functools import lru_cache

_ORDINARY = "\n\t "
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
"""Letters and marks by category, but nothing to see: Hangul fillers, the empty Braille pattern, the grapheme joiner."""


@lru_cache(1 << 12)
def is_unseen(character: str) -> bool:
    """Whether a character leaves no mark on a page, or changes how the marks around it are shown."""
    if character in _ORDINARY:
        return False
    kind = unicodedata.category(character)
    selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or selector or character in _BLANK


def visible(text: str) -> str:
    """The text with its unseen characters named; `visible("a\\u200bb")` is `a‹U+200B›b`."""
    pieces, at = [], 0
    while at < len(text):
        character = text[at]
        if not is_unseen(character):
            pieces.append(character)
            at += 1
            continue
        end = at
        while end < len(text) and text[end] == character:
            end += 1
        times = f"×{end - at}" if end - at > 1 else ""
        pieces.append(f"‹U+{ord(character):04X}{times}›")
        at = end
    return "".join(pieces)


def around(text: str, start: int, end: int, characters: int = 60) -> tuple[str, str, str]:
    """(before, the span, behind) of a text on one line, made visible, each cut to about so many characters."""
    span = text[start:end]
    if len(span) > 4 * characters:
        span = f"{span[: 2 * characters]} … {span[-2 * characters :]}"
    pieces = (text[max(start - characters, 0) : start], span, text[end : end + characters])
    before, inside, behind = (visible(re.sub(r"[ \t\r\n]+", " ", piece)) for piece in pieces)
    return before, inside, behind
