"""Which properties of CSS have to be followed on a page: those of which some value on it can hide text.

`padding: 4px` says nothing where no box is a pixel high. Of 255 real pages with sheets of their own 1% have a margin
that hides, 32% a box that may be tiny, 60% colours that can't be told apart: on the others such rules are not matched.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from lxml.etree import XPath

from pipeline.crawl.hidden.boxes import (
    FAR,
    LEAST_PULLED,
    TINY,
    clip_is_empty,
    clip_path_is_empty,
    filtered_out,
    pulled_by_its_size,
    transformed,
)
from pipeline.crawl.hidden.colours import BLACK, BUTTON, LEAST_DIFFERENCE, LINK, MARK, RGBA, WHITE, alike
from pipeline.crawl.hidden.state import FAR_INDENT, HINTS, LEAST_FONT, has_hints
from pipeline.crawl.hidden.values import UNKNOWN, UNSET, Declared, Value, declarations

Element = Any

MOST_PAIRS = 5_000
"""Of a text's colour and one behind it that are compared; where there are more, colours are followed."""

_BOX = ("display", "position", "float")
"""What decides whether an element has a box of its own."""
_OFFSETS = ("left", "right", "top", "bottom")
_MARGINS = ("margin-left", "margin-top")
_SIZES = ("width", "height", "max-width", "max-height")
_LEAST_SIZES = ("min-width", "min-height")
_OVERFLOWS = ("overflow-x", "overflow-y")
_TRANSFORMS = ("transform", "translate", "scale")
_TEXT_COLOURS = ("color", "fill")
_BACKGROUNDS = ("background-color", "background-image")

_NEEDED = {
    "display": ("display", "content-visibility"),
    "visibility": ("visibility",),
    "opacity": ("opacity",),
    "filter": ("filter",),
    "clip-path": ("clip-path",),
    "clip": ("clip", "position"),
    "transform": (*_TRANSFORMS, *_BOX),
    "margin": _MARGINS,
    "offset": (*_OFFSETS, "position"),
    "tiny": (*_SIZES, *_LEAST_SIZES, *_OVERFLOWS, *(f"padding-{side}" for side in _OFFSETS), *_BOX),
    "drawer": (*_OFFSETS, *_MARGINS, "position", "width", "height", "padding-left", "padding-top", "transform"),
    "indent": ("text-indent", "white-space", "overflow-x", *_BOX),
    "font": ("font-size",),
    "colour": (*_TEXT_COLOURS, *_BACKGROUNDS, "background-clip", "text-shadow"),
}
"""Danger -> the properties that decide whether it comes true."""


@dataclass(frozen=True, slots=True)
class Block:
    """What a block declares, and what in it may hide text: alone (`dangers`), or as one colour on another."""

    declared: Declared
    dangers: frozenset[str]
    colours: frozenset[RGBA]
    backgrounds: frozenset[RGBA]


def block_of(text: str) -> Block:
    """A block of CSS, simplified and with its variables put in."""
    declared = declarations(text)
    found: set[str] = set()
    colours: set[RGBA] = set()
    backgrounds: set[RGBA] = set()
    for name, (value, _) in declared.items():
        if value is UNSET or value is UNKNOWN:
            continue
        if name in _TEXT_COLOURS or name in _BACKGROUNDS:
            if isinstance(value, tuple):
                (colours if name in _TEXT_COLOURS else backgrounds).add(value)
        else:
            found.update(_dangers(name, value))
    return Block(declared, frozenset(found), frozenset(colours), frozenset(backgrounds))


@lru_cache(4096)
def _dangers(name: str, value: Value) -> Iterable[str]:
    """Of one value. `em` and `%` are taken for what they come to at worst."""
    if name in ("display", "content-visibility"):
        return ("display",) if value in ("none", "hidden") else ("shown",)
    if name == "visibility":
        return ("visibility",) if value in ("hidden", "collapse") else ()
    if name == "opacity":
        return ("opacity",) if value < 1 else ()  # a product of many comes to nothing
    if name in _OVERFLOWS:
        return ("cut",) if value != "visible" else ()
    if name == "position":
        return ("fixed",) if value == "fixed" else ()
    if name in _TRANSFORMS:
        pulled = ("pulled",) if name == "transform" and pulled_by_its_size(str(value)) else ()
        return ("transform", *pulled) if transformed(name, str(value)) else pulled
    if name in _EMPTY:
        return (name,) if _EMPTY[name](str(value)) else ()
    if name in _OF_LENGTH:
        return _of_length(name, *value)
    return ()


_EMPTY = {"filter": filtered_out, "clip-path": clip_path_is_empty, "clip": clip_is_empty}
_OF_LENGTH = frozenset((*_OFFSETS, *_MARGINS, *_SIZES, *_LEAST_SIZES, "text-indent", "font-size"))


def _of_length(name: str, number: float, unit: str) -> Iterable[str]:
    if name == "font-size":
        return ("font",) if number < {"em": 1, "%": 100}.get(unit, LEAST_FONT + 1e-9) else ()
    if name in _LEAST_SIZES:
        return ("em of size",) if unit == "em" else ()
    if name in _SIZES:
        if unit == "em":  # below a pixel in a font that can be read, or in one that can't
            return ("small" if number <= TINY / LEAST_FONT else "small in small", "em of size")
        return ("small",) if unit == "px" and number <= TINY else ()
    kind = "margin" if name in _MARGINS else "offset" if name in _OFFSETS else "indent"
    pulled = ("pulled",) if number < 0 and kind != "indent" and (unit == "em" or number <= -LEAST_PULLED) else ()
    if unit == "em":
        return (kind, "em", *pulled) if number < 0 or (number > 0 and kind != "margin") else ()
    if unit == "%":
        return (kind,) if kind == "indent" and number >= 100 else ()
    far = number <= -FAR or (number >= min(FAR, FAR_INDENT) and kind != "margin")
    return (kind, *pulled) if far else pulled


def followed(blocks: Iterable[Block], tree: Element) -> frozenset[str]:
    """The properties that decide what is hidden in a page where these blocks stand; the others decide nothing."""
    found: set[str] = set()
    colours, backgrounds = {BLACK}, {WHITE}
    for block in blocks:
        found |= block.dangers
        colours |= block.colours
        backgrounds |= block.backgrounds
    for tag, paint, set_of in (("a", LINK, colours), ("button", BUTTON, backgrounds), ("mark", MARK, backgrounds)):
        if next(tree.iter(tag), None) is not None:
            set_of.add(paint)
    if _can_be_alike(colours, backgrounds) or any(
        has_hints(element.tag, element.keys()) for element in tree.iter(*HINTS)
    ):
        found.add("colour")
    if "cut" in found and ("small" in found or ("small in small" in found and "font" in found)):
        found.add("tiny")
    if "fixed" in found and "pulled" in found:
        found.add("drawer")
    if "em of size" in found and not found.isdisjoint(("tiny", "drawer")):
        found.add("em")
    if "shown" in found and (_HIDING(tree) or next(tree.iter("dialog", "rp", "area"), None) is not None):
        found.add("display")  # `display: block` shows what these don't
    return _properties(frozenset(found))


_HIDING = XPath("boolean(//@hidden or //@popover)")


@lru_cache(512)
def _properties(found: frozenset[str]) -> frozenset[str]:
    needed = {name for danger in found for name in _NEEDED.get(danger, ())}
    return frozenset(needed | {"font-size"} if "em" in found and needed else needed)


def _can_be_alike(colours: set[RGBA], backgrounds: set[RGBA]) -> bool:
    if len(colours) * len(backgrounds) > MOST_PAIRS or any(0 < paint[3] < 1 for paint in backgrounds):
        return True
    opaque = [paint for paint in backgrounds if paint[3]]
    return any(
        (text[3] < 1 or abs(text[0] - paint[0]) <= LEAST_DIFFERENCE) and alike(text, paint)
        for text, paint in product(colours, opaque)
    )
