"""CSS as it is written (Syntax 3): escapes, comments, strings."""

import re

_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
_MARK = re.compile(r"/\*|[\"'(]")
_AMBIGUOUS = re.compile(
    r"/\*.*?(?:\*/|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|url\(\s*[^\"')\s][^)]*\)?", re.DOTALL
)


def unescape(text: str) -> str:
    """`\\64 isplay` -> `display`."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    if not match[1]:
        return match[2]
    code = int(match[1], 16)
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


def simplify(text: str) -> str:
    """CSS without comments, and without what in strings and addresses may look like syntax."""
    return _AMBIGUOUS.sub(_simplified, text) if _MARK.search(text) else text


def _simplified(match: re.Match[str]) -> str:
    found = match[0]
    if found.startswith("/*"):
        return " "
    if found.startswith("url"):
        return "url()"
    return '""' if any(mark in found for mark in "{};:") else found
