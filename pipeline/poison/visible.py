"""Text with what cannot be seen made visible, so that a person can judge what an attacker hid.

Invisible and steering characters become their code point between angle quotes, ‹U+200B›; runs of one kind are counted.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby

_ORDINARY = "\n\t "
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
"""Letters and marks by category, but nothing to see: Hangul fillers, the empty Braille pattern, the grapheme joiner."""

_MOST, _FIRST, _LAST = 16, 8, 4
"""Names in a row from which on only the first and the last are shown: a payload of tag characters has hundreds."""


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
    return "".join(_pieces(text, is_unseen))


def _pieces(text: str, named: Callable[[str], bool]) -> Iterator[str]:
    """The characters of a text, and the names of those that are to be named, one for a run of the same."""
    for character, run in groupby(text):
        if not named(character):
            yield from run
            continue
        number = sum(1 for _ in run)
        yield f"‹U+{ord(character):04X}" + (f"×{number}›" if number > 1 else "›")


def _in_brief(text: str, named: Callable[[str], bool]) -> list[str]:
    """The same, but of many names in a row the first and the last, and the number of characters between them."""
    brief: list[str] = []
    for are_named, group in groupby(text, named):
        run = "".join(group)
        pieces = list(_pieces(run, named)) if are_named else list(run)
        if are_named and len(pieces) > _MOST:
            between = f"‹{len(run) - _FIRST - _LAST:,} more›"
            pieces = [*_pieces(run[:_FIRST], named), between, *_pieces(run[-_LAST:], named)]
        brief += pieces
    return brief


def around(
    text: str, start: int, end: int, characters: int = 60, named: Callable[[str], bool] = is_unseen
) -> tuple[str, str, str]:
    """(before, the span, behind) of a text on one line, each cut to about so many characters.

    What is `named` is shown by its code point; of many in a row the first and the last are.
    """
    parts = (text[max(start - characters, 0) : start], text[start:end], text[end : end + characters])
    before, span, behind = (_in_brief(re.sub(r"[ \t\r\n]+", " ", part), named) for part in parts)
    if len(span) > 4 * characters:
        span = [*span[: 2 * characters], " … ", *span[-2 * characters :]]
    return "".join(before), "".join(span), "".join(behind)
