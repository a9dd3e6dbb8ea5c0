"""How an element's own declarations and what its parent hands down come to what its text looks like.

An element takes over its parent's State where nothing is declared, so that most share one.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pipeline.crawl.hidden.boxes import LEAST_OPACITY, out_of_sight, pixels
from pipeline.crawl.hidden.colours import BLACK, BUTTON, LINK, MARK, RGBA, WHITE, alike, legacy_colour, over
from pipeline.crawl.hidden.prose import squeeze
from pipeline.crawl.hidden.values import INHERIT, UNKNOWN, Style

Element = Any

LEAST_FONT = 2.0
"""Pixels. Browsers let people set a least size of their own; none can read 2."""
FAR_INDENT = 999.0

COLOURED = frozenset("a button mark".split())
"""Elements with colours of their own."""
HINTS = {
    "font": ("color",),
    "body": ("text", "bgcolor", "background"),
    **dict.fromkeys(("table", "tr", "td", "th", "tbody", "thead", "tfoot"), ("bgcolor", "background")),
}
"""Attributes from before CSS that say colours."""
_BLOCKS = frozenset(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer "
    "form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav ol optgroup p plaintext pre search "
    "section summary ul xmp button input marquee".split()
)
_TABLES = frozenset("table thead tbody tfoot tr td th caption col colgroup".split())


@dataclass(slots=True, eq=False)
class Region:
    """Text of one kind that one declaration hides. `element` is the subtree that holds nothing else, or None."""

    kind: str
    element: Element | None
    texts: list[str] = field(default_factory=list)
    places: list[tuple[Element, bool]] = field(default_factory=list)
    """(element, whether its tail): texts that are hidden one by one."""
    on_canvas: bool = False
    """For colours: what lies behind is the page's own background, white where none is declared."""
    by_default: bool = False
    """For colours: nothing declares that of the text."""

    def text(self) -> str:
        return squeeze(" ".join(self.texts))


@dataclass(slots=True, eq=False)
class State:
    """What an element's text looks like, and what its children start from."""

    region: Region | None = None
    closed: bool = False
    """Nothing below can be seen, whatever it declares."""
    silent: bool = False
    invisible: bool = False
    font: float = 16.0
    color: RGBA | None = BLACK
    """None where unknown."""
    background: RGBA | None = WHITE
    """What lies behind, opaque; None where unknown."""
    on_canvas: bool = True
    """Nothing but <html> and <body> declares what lies behind."""
    by_default: bool = True
    """Nothing declares the colour of the text."""
    shadow: Any = None
    opacity: float = 1.0
    indent: float = 0.0
    is_flex: bool = False


def styled(tag: str, attributes: dict[str, str], style: Style, up: State) -> tuple[State | None, str | None]:
    """(what the element's text looks like, as what it is hidden). No state where nothing in it can be seen.

    The region is left to who gathers texts.
    """
    font = _font(style, up.font)
    is_block = _is_block(tag, style, up)
    opacity = up.opacity * style["opacity"] if isinstance(style.get("opacity"), float) else up.opacity
    if opacity < LEAST_OPACITY:
        return None, "opacity"
    kind = out_of_sight(style, is_block and tag not in _TABLES, font) if style else None
    if kind is not None:
        return None, kind
    state = State(font=font, opacity=opacity)
    state.invisible = style["visibility"] in ("hidden", "collapse") if "visibility" in style else up.invisible
    state.background = _background(tag, attributes, style, up)
    state.on_canvas = up.on_canvas and (tag in ("html", "body") or state.background == up.background)
    state.color = _color(tag, attributes, style, up)
    state.by_default = up.by_default and state.color == up.color
    state.shadow = style.get("text-shadow", up.shadow)
    state.is_flex = str(style.get("display", "")) in ("flex", "inline-flex", "grid", "inline-grid")
    indent = pixels(style.get("text-indent"), font)
    state.indent = up.indent if indent is None else indent
    verdict = _verdict(state, is_block, style)
    if verdict is None and up.region is not None and up.region.kind == "off_screen":
        verdict = "off_screen" if "text-indent" not in style else None
    return state, verdict


def not_displayed(tag: str, attributes: Collection[str], style: Style) -> str | None:
    """`display` or `hidden_attribute` where the element has no box at all."""
    display = style.get("display")
    if display == "none":
        return "display"
    if style.get("content-visibility") == "hidden":
        return "display"
    if display is None:
        if "hidden" in attributes:
            return "hidden_attribute"
        if "popover" in attributes or (tag == "dialog" and "open" not in attributes) or tag in ("rp", "area"):
            return "display"
    return None


def has_hints(tag: str, attributes: Collection[str]) -> bool:
    """Whether attributes of the element say colours."""
    return any(name in attributes for name in HINTS.get(tag, ()))


def _font(style: Style, up: float) -> float:
    value = style.get("font-size")
    if value is None or value is UNKNOWN:
        return up
    if value[1] == "%":
        return float(up * value[0] / 100)
    return float(up * value[0] if value[1] == "em" else value[0])


def _is_block(tag: str, style: Style, up: State) -> bool:
    """Whether the element has a box of its own, which widths, indents and transforms are about."""
    if style.get("position") in ("absolute", "fixed") or style.get("float", "none") in ("left", "right") or up.is_flex:
        return True
    display = style.get("display")
    if display is None or display is UNKNOWN:
        return tag in _BLOCKS or tag in _TABLES
    return display not in ("inline", "contents", "ruby", "ruby-text", "ruby-base", "run-in")


def _background(tag: str, attributes: dict[str, str], style: Style, up: State) -> RGBA | None:
    behind = up.background
    value = style.get("background-color")
    hint = attributes.get("bgcolor") if tag in HINTS else None
    if value is None and hint:
        value = legacy_colour(hint) or UNKNOWN
    if value is None and tag in ("button", "mark"):
        value = BUTTON if tag == "button" else MARK
    if value is UNKNOWN:
        behind = None
    elif value is not None:
        behind = value if value[3] == 1 else over(value, behind) if behind is not None else None
    image = style.get("background-image")
    if image is None and attributes.get("background") and tag in HINTS:
        image = UNKNOWN
    if image is UNKNOWN:
        return None
    if isinstance(image, tuple) and behind is not None:
        return over(image, behind)
    return image if isinstance(image, tuple) and image[3] == 1 else behind


def _color(tag: str, attributes: dict[str, str], style: Style, up: State) -> RGBA | None:
    if style.get("background-clip") == "text":
        return None  # the letters are cut out of the background
    for name in ("fill", "color"):
        value = style.get(name)
        if value is UNKNOWN:
            return None
        if isinstance(value, tuple):
            return value
        if value == INHERIT:
            return up.color
    hint = attributes.get("color" if tag == "font" else "text") if tag in ("font", "body") else None
    if hint:
        return legacy_colour(hint)
    if tag == "a" and "href" in attributes:
        return LINK
    return BLACK if tag in ("button", "mark") else up.color


def _verdict(state: State, is_block: bool, style: Style) -> str | None:
    if state.invisible:
        return "visibility"
    if state.font <= LEAST_FONT:
        return "font_size"
    if is_block:
        if state.indent <= -FAR_INDENT:
            return "off_screen"
        indent = style.get("text-indent")
        if (
            indent is not None
            and indent is not UNKNOWN
            and (indent[0] >= 100 if indent[1] == "%" else state.indent >= FAR_INDENT)
            and style.get("white-space") == "nowrap"
            and style.get("overflow-x") in ("hidden", "clip")
        ):
            return "off_screen"
    color, background = state.color, state.background
    if color is not None and background is not None and alike(color, background) and _has_no_shadow(state, background):
        return "colour"
    return None


def _has_no_shadow(state: State, background: RGBA) -> bool:
    if state.shadow is None:
        return True
    return state.shadow is not UNKNOWN and all(alike(shadow, background) for shadow in state.shadow)
