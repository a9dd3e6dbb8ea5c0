"""The declarations of CSS that can take text out of sight, and what their values mean.

A declaration with an invalid value is dropped, as in browsers, so that it can't hide a valid one before it; a value
that is valid but not understood is UNKNOWN, and what is unknown hides nothing.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pipeline.crawl.hidden.colours import RGBA, colour, colours

UNKNOWN = "unknown"
UNSET = "unset"
"""As if not declared: `inherit`, `initial` and `revert` come to that here, but for colours."""
INHERIT = "inherit"

VIEWPORT = (1280, 800)
"""Pixels of the window that widths in `vw`, heights in `vh` and media queries are about: a desk, not a phone."""

Value = Any
Declared = dict[str, tuple[Value, bool]]
"""Property -> (value, whether it is !important)."""

LONGEST_VALUE = 1_000
LONGEST_BLOCK = 20_000
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_LENGTH = re.compile(rf"({_NUMBER})([a-z]+|%)?")
_CALC_PART = re.compile(rf"\s*({_NUMBER})([a-z]+|%)?\s*([-+*/]?)")
_PIXELS = {"px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945, "rem": 16.0}
_PIXELS |= dict.fromkeys(("vw", "vmax", "svw", "lvw", "dvw", "vi"), VIEWPORT[0] / 100)
_PIXELS |= dict.fromkeys(("vh", "vmin", "svh", "lvh", "dvh", "vb"), VIEWPORT[1] / 100)
_FONT_SIZES = "xx-small x-small small medium large x-large xx-large xxx-large smaller larger math".split()
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
_AMBIGUOUS = re.compile(
    r"/\*.*?(?:\*/|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|url\(\s*[^\"')\s][^)]*\)?", re.DOTALL
)

Length = tuple[float, str]
"""(number, unit): `px`, `em` or `%`."""


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
    return _AMBIGUOUS.sub(_simplified, text) if any(mark in text for mark in ("/*", '"', "'", "(")) else text


def _simplified(match: re.Match[str]) -> str:
    found = match[0]
    if found.startswith("/*"):
        return " "
    if found.startswith("url"):
        return "url()"
    return '""' if any(mark in found for mark in "{};:") else found


def declarations(block: str) -> Declared:
    """What a block (simplified, and its variables put in) declares of what is of interest, by longhand names."""
    found: Declared = {}
    for part in block[:LONGEST_BLOCK].split(";"):
        name, colon, text = part.partition(":")
        if not colon:
            continue
        read = READERS.get(unescape(name).strip().lower())
        if read is None or len(text) > LONGEST_VALUE:
            continue
        text = unescape(text).strip().lower()
        important = False
        if "!" in text:
            text, _, flag = text.rpartition("!")
            if flag.strip() != "important":
                continue
            text, important = text.rstrip(), True
        for longhand, value in read(text).items():
            before = found.get(longhand)
            if before is None or important or not before[1]:
                found[longhand] = (value, important)
    return found


def length(text: str) -> Length | None:
    """`-9999px` -> (-9999.0, "px"); absolute units come as pixels; None where it is no length."""
    if text.startswith("calc(") and text.endswith(")"):
        return _calc(text[5:-1])
    match = _LENGTH.fullmatch(text)
    if match is None:
        return None
    return _length(match)


def _length(match: re.Match[str]) -> Length | None:
    number, unit = float(match[1]), match[2]
    if unit is None:
        return (0.0, "px") if number == 0 else None
    if unit in _PIXELS:
        return number * _PIXELS[unit], "px"
    if unit in ("em", "ex", "ch", "lh", "ic", "cap"):
        return number * (0.5 if unit in ("ex", "ch") else 1), "em"
    return (number, "%") if unit == "%" else None


@lru_cache(2048)
def _calc(text: str) -> Length | None:
    """Sums of lengths of one unit and products with numbers, without brackets."""
    terms: list[tuple[float, str]] = []
    at, sign, product, unit, operator = 0, 1.0, 1.0, "", "*"
    while at < len(text):
        part = _CALC_PART.match(text, at)
        if part is None or part.end() == at:
            return None
        here = (float(part[1]), "") if part[2] is None else _length(part)
        if here is None or (operator == "/" and (here[1] or not here[0])):
            return None
        product = product / here[0] if operator == "/" else product * here[0]
        unit = unit or here[1]
        at, operator = part.end(), part[3]
        if operator in ("+", "-") or at >= len(text):
            terms.append((sign * product, unit))
            sign, product, unit, operator = (-1.0 if operator == "-" else 1.0), 1.0, "", "*"
        elif not operator:
            return None
    units = {unit for value, unit in terms if value}
    if len(units) > 1 or "" in units:
        return None
    return (sum(value for value, _ in terms), units.pop()) if units else (0.0, "px")


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


def _fraction(text: str) -> float | None:
    match = _LENGTH.fullmatch(text)
    if match is None or match[2] not in (None, "%"):
        return None
    return min(max(float(match[1]) / (100 if match[2] else 1), 0.0), 1.0)


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
    "opacity": _reader("opacity", _fraction),
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
