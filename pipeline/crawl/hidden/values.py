"""The declarations of CSS that can take text out of sight, and what their values mean.

A declaration with an invalid value is dropped, as in browsers, so that it can't hide a valid one before it; a value
that is valid but not understood is UNKNOWN, and what is unknown hides nothing.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pipeline.crawl.hidden.colours import RGBA, colour, colours
from pipeline.crawl.hidden.escapes import unescape
from pipeline.crawl.hidden.lengths import fraction, length

UNKNOWN = "unknown"
UNSET = "unset"
"""As if not declared: `inherit`, `initial` and `revert` come to that here, but for colours."""
INHERIT = "inherit"

Value = Any
Declared = dict[str, tuple[Value, bool]]
"""Property -> (value, whether it is !important)."""
Style = dict[str, Value]
"""Property -> the value that won."""

LONGEST_VALUE = 1_000
LONGEST_BLOCK = 20_000
LONGEST_KEPT = 60
"""Characters of a declaration that is remembered: sheets repeat `display:none` and `margin:0`."""
_FONT_SIZES = "xx-small x-small small medium large x-large xx-large xxx-large smaller larger math".split()


def declarations(block: str) -> Declared:
    """What a block (simplified, and its variables put in) declares of what is of interest, by longhand names."""
    found: Declared = {}
    for part in block[:LONGEST_BLOCK].split(";"):
        for longhand, value, important in _known_declaration(part) if len(part) <= LONGEST_KEPT else _declaration(part):
            before = found.get(longhand)
            if before is None or important or not before[1]:
                found[longhand] = (value, important)
    return found


@lru_cache(16384)
def _known_declaration(part: str) -> tuple[tuple[str, Value, bool], ...]:
    return _declaration(part)


def _declaration(part: str) -> tuple[tuple[str, Value, bool], ...]:
    """(longhand, value, whether it is !important) of one declaration; nothing where it is not valid."""
    name, colon, text = part.partition(":")
    read = READERS.get(unescape(name).strip().lower()) if colon else None
    if read is None or len(text) > LONGEST_VALUE:
        return ()
    text = unescape(text).strip().lower()
    important = False
    if "!" in text:
        text, _, flag = text.rpartition("!")
        if flag.strip() != "important":
            return ()
        text, important = text.rstrip(), True
    return tuple((longhand, value, important) for longhand, value in read(text).items())


def _words(text: str) -> list[str]:
    """Split at spaces that are in no brackets."""
    if "(" not in text:
        return text.split()
    words, depth, word = [], 0, ""
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter.isspace() and depth == 0:
            words.append(word)
            word = ""
        else:
            word += letter
    return [word for word in [*words, word] if word]


Reader = Callable[[str], dict[str, Value]]
_WIDE = {"inherit": UNSET, "initial": UNSET, "unset": UNSET, "revert": UNSET, "revert-layer": UNSET}


def _reader(name: str, read: Callable[[str], Value | None]) -> Reader:
    def reader(text: str) -> dict[str, Value]:
        if text in _WIDE:
            return {name: UNSET}
        if "var(" in text or "env(" in text:
            return {name: UNKNOWN}
        value = read(text)
        return {} if value is None else {name: value}

    return reader


def _keyword(words: str) -> Callable[[str], str | None]:
    known = frozenset(words.split())
    return lambda text: text if text in known else None


def _display(text: str) -> str | None:
    return text if re.fullmatch(r"[a-z-]+( [a-z-]+){0,2}", text) and text.split()[0] in _DISPLAYS else None


_DISPLAYS = frozenset(
    "none block inline inline-block flex inline-flex grid inline-grid table inline-table table-row table-cell "
    "table-row-group table-header-group table-footer-group table-column table-column-group table-caption list-item "
    "flow-root contents run-in ruby ruby-base ruby-text flow -webkit-box -webkit-inline-box -webkit-flex math".split()
)


def _visibility(text: str) -> dict[str, Value]:
    if text == "initial":
        return {"visibility": "visible"}
    return _reader("visibility", _keyword("visible hidden collapse"))(text)


def _font_size(text: str) -> Value | None:
    found = length(text)
    if found is not None:
        return found if found[0] >= 0 else None
    if text in _FONT_SIZES:
        return (13.0, "px")
    return UNKNOWN if "(" in text else None


def _font(text: str) -> dict[str, Value]:
    """The shorthand: its size is the last word before the family, and may have a line height behind a slash."""
    if text in _WIDE:
        return {"font-size": UNSET}
    if "var(" in text:
        return {"font-size": UNKNOWN}
    words = _words(re.sub(r"(?<!\s)\s*/\s*", "/", text))
    for word in words[:-1]:  # a family has to follow
        value = _font_size(word.partition("/")[0])
        if value is not None:
            return {"font-size": value}
    return {}


def _color(text: str) -> dict[str, Value]:
    if text == "initial":
        return {"color": (0.0, 0.0, 0.0, 1.0)}
    if text in ("inherit", "unset", "currentcolor"):
        return {"color": INHERIT}
    if text in _WIDE:
        return {"color": UNSET}
    found = colour(text)
    if found is not None:
        return {"color": found}
    return {"color": UNKNOWN} if "(" in text or text in _SYSTEM_COLOURS else {}


_SYSTEM_COLOURS = frozenset(
    "accentcolor accentcolortext activetext buttonborder buttonface buttontext canvas canvastext field fieldtext "
    "graytext highlight highlighttext linktext mark marktext selecteditem selecteditemtext visitedtext windowtext "
    "window infotext infobackground".split()
)


def _fill(text: str) -> dict[str, Value]:
    found = _color(text)
    return {"fill": found["color"]} if found else {}


def _background(text: str) -> dict[str, Value]:
    """The shorthand: (colour, whether an image or an unknown gradient lies on it)."""
    if text in _WIDE or text in ("none", "0", "0 0"):
        return {"background-color": UNSET, "background-image": "none"}
    if "var(" in text:
        return {"background-color": UNKNOWN, "background-image": "none"}
    image = _image(text) if "(" in text else "none"
    flat: Value = UNSET
    for word in _words(text.rpartition(",")[2] if image != "none" and "gradient" not in text else text):
        if not word.startswith("url(") and "gradient(" not in word and (found := colour(word)) is not None:
            flat = found
    found_image = {"background-image": image}
    if "text" in _words(text):
        found_image["background-clip"] = "text"
    return {"background-color": flat, **found_image}


def _background_color(text: str) -> dict[str, Value]:
    if text in _WIDE:
        return {"background-color": UNSET}
    found = colour(text)
    if found is not None:
        return {"background-color": found}
    return {"background-color": UNKNOWN} if "(" in text or text == "currentcolor" or text in _SYSTEM_COLOURS else {}


def _image(text: str) -> Value:
    """A flat gradient -> its colour; any other image is UNKNOWN."""
    if text == "none":
        return "none"
    if "gradient(" in text and "url(" not in text:
        stops = colours(text)
        if stops and all(max(abs(a - b) for a, b in zip(stops[0], stop, strict=True)) < 0.1 for stop in stops):
            return stops[0]
    return UNKNOWN if "(" in text else "none"


def _length_reader(name: str, *, positive: bool = False) -> Reader:
    def read(text: str) -> Value | None:
        found = length(text)
        if found is not None:
            return None if positive and found[0] < 0 else found
        if text in ("auto", "none", "normal"):
            return UNSET
        return UNKNOWN if re.match(r"[a-z-]", text) else None

    return _reader(name, read)


def _sides(prefix: str, *names: str) -> Reader:
    """`margin: 1px 2px` -> margin-top ... margin-left; without a prefix `inset`."""
    readers = [_length_reader(f"{prefix}{side}") for side in names]

    def reader(text: str) -> dict[str, Value]:
        words = _words(text)
        if not 1 <= len(words) <= 4:
            return {}
        top, right = words[0], words[1] if len(words) > 1 else words[0]
        bottom, left = words[2] if len(words) > 2 else top, words[3] if len(words) > 3 else right
        values: dict[str, Value] = {}
        for read, word in zip(readers, (top, right, bottom, left), strict=True):
            value = read(word)
            if not value:
                return {}
            values |= value
        return values

    return reader


def _overflow(text: str) -> dict[str, Value]:
    words = text.split()
    if not words or not all(word in _OVERFLOWS for word in words):
        return {}
    return {"overflow-x": words[0], "overflow-y": words[-1]}


_OVERFLOWS = frozenset("visible hidden clip scroll auto overlay inherit initial unset revert".split())
_SIDES = ("top", "right", "bottom", "left")


def _anything(text: str) -> str | None:
    return text or None


def _shadow(text: str) -> tuple[RGBA, ...] | str:
    return tuple(colours(text)) or UNKNOWN if text != "none" else UNSET


READERS: dict[str, Reader] = {
    "display": _reader("display", _display),
    "visibility": _visibility,
    "opacity": _reader("opacity", fraction),
    "content-visibility": _reader("content-visibility", _keyword("visible auto hidden")),
    "font-size": _reader("font-size", _font_size),
    "font": _font,
    "color": _color,
    "-webkit-text-fill-color": _fill,
    "text-shadow": _reader("text-shadow", _shadow),
    "background": _background,
    "background-color": _background_color,
    "background-image": _reader("background-image", _image),
    "background-clip": _reader("background-clip", _anything),
    "-webkit-background-clip": _reader("background-clip", _anything),
    "position": _reader("position", _keyword("static relative absolute fixed sticky -webkit-sticky")),
    "float": _reader("float", _keyword("none left right inline-start inline-end")),
    "text-indent": _length_reader("text-indent"),
    "white-space": _reader("white-space", _anything),
    "transform": _reader("transform", _anything),
    "-webkit-transform": _reader("transform", _anything),
    "translate": _reader("translate", _anything),
    "scale": _reader("scale", _anything),
    "filter": _reader("filter", _anything),
    "clip": _reader("clip", _anything),
    "clip-path": _reader("clip-path", _anything),
    "-webkit-clip-path": _reader("clip-path", _anything),
    "overflow": _overflow,
    "overflow-x": _reader("overflow-x", lambda text: text if text in _OVERFLOWS else None),
    "overflow-y": _reader("overflow-y", lambda text: text if text in _OVERFLOWS else None),
    "inset": _sides("", *_SIDES),
    "margin": _sides("margin-", *_SIDES),
    "padding": _sides("padding-", *_SIDES),
    "margin-inline-start": _length_reader("margin-left"),
    "inset-inline-start": _length_reader("left"),
}
READERS |= {name: _length_reader(name) for side in _SIDES for name in (side, f"margin-{side}", f"padding-{side}")}
READERS |= {
    name: _length_reader(name, positive=True)
    for name in ("width", "height", "max-width", "max-height", "min-width", "min-height")
}
