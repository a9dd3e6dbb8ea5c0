"""One walk over a page's tree: which text a person would not see, and why.

An element takes over what its parent's style hands down, so most share one State; only where something is declared a
new one is made. No recursion: elements may be nested 5,000 deep.
"""

from dataclasses import dataclass, field
from typing import Any

from pipeline.crawl.hidden.boxes import LEAST_OPACITY, out_of_sight, pixels
from pipeline.crawl.hidden.colours import BLACK, RGBA, WHITE, alike, legacy_colour, over
from pipeline.crawl.hidden.prose import MOST_READ, is_prose, of_attributes, of_json, squeeze
from pipeline.crawl.hidden.style import NOTHING, Cascade, Style, names_of
from pipeline.crawl.hidden.values import INHERIT, UNKNOWN

Element = Any

LEAST_FONT = 2.0
"""Pixels. Browsers let people set a least size of their own; none can read 2."""
FAR_INDENT = 999.0

_SILENT = frozenset("script style title meta link base param source track svg math object applet frameset".split())
"""Without text of their own; drawings and formulas, which extraction reads in its own way."""
_CLOSED = {
    **dict.fromkeys("video audio canvas iframe noembed noframes".split(), "fallback"),
    **dict.fromkeys("textarea select datalist".split(), "form"),
    "noscript": "noscript",
}
_SIGNALS = frozenset("alt title aria-label placeholder summary content value aria-hidden".split())
_HIDING = frozenset("hidden popover bgcolor background text color".split())
_BLOCKS = frozenset(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer "
    "form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav ol optgroup p plaintext pre search "
    "section summary ul xmp button input marquee".split()
)
_TABLES = frozenset("table thead tbody tfoot tr td th caption col colgroup".split())
_NO_ATTRIBUTES: dict[str, str] = {}
_NO_NAMES: list[str] = []
_LINK: RGBA = (0.0, 0.0, 0.933, 1.0)
_BUTTON: RGBA = (0.937, 0.937, 0.937, 1.0)


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


@dataclass(frozen=True, slots=True)
class Walked:
    """`hidden` in the order of the page, then the signals; characters of text that can be seen."""

    hidden: list[Region]
    visible: int
    skipped: frozenset[str]


_SILENCE = State(closed=True, silent=True)


class Walker:
    """Walks one tree, and changes nothing of it."""

    def __init__(self, tree: Element) -> None:
        self.tree = tree
        self.cascade = Cascade(tree)
        self.regions: list[Region] = []
        self.visible = 0
        self.shadowed = _shadow_hosts(tree)
        self.known: dict[tuple[State, str, int, bool], State] = {}
        self.aria_texts = 0
        self.aria_hidden: Element | None = None
        """The outermost element with aria-hidden that is open."""

    def walk(self) -> Walked:
        """Depth first, in the order of the page; `opened` is the way down to where the walk is."""
        cascade, tree = self.cascade, self.tree
        has_rules = bool(cascade.index)
        opened: list[Element] = []
        states: list[State] = [State()]
        entered: list[list[str] | None] = []
        up = states[-1]
        for element in tree.iter():
            parent = element.getparent()
            while opened and opened[-1] is not parent:
                up = self._leave(opened.pop(), states, entered.pop())
            tag = element.tag
            names = None
            if up.closed:
                state = _SILENCE if tag in _UNREAD else up
            elif tag.__class__ is not str:  # a comment
                state = _SILENCE
            else:
                items = element.items()
                attributes = dict(items) if items else _NO_ATTRIBUTES
                if items and not _SIGNALS.isdisjoint(attributes):
                    self._signals(element, tag, attributes)
                if has_rules:
                    names = names_of(tag, attributes)
                    style = cascade.of(element, attributes, names)
                    cascade.enter(names)
                else:
                    style = cascade.of(element, attributes, _NO_NAMES) if "style" in attributes else NOTHING
                if style or tag in _SPECIAL or (items and not _HIDING.isdisjoint(attributes)) or self.shadowed:
                    state = self._state(element, tag, attributes, style, up)
                else:
                    state = up
            if not state.silent:
                text = element.text
                if text and not text.isspace():
                    self._note(state, element, False, text)
            opened.append(element)
            states.append(state)
            entered.append(names)
            up = state
        while opened:
            self._leave(opened.pop(), states, entered.pop())
        self._doubt_the_canvas()
        return Walked(self.regions, self.visible, frozenset(cascade.skipped))

    def _doubt_the_canvas(self) -> None:
        """Sheets outside the page may paint it, or the boxes on it, in another colour. They do where text by default
        can't be told from the background, and where more text can't be seen than can."""
        doubtful = [region for region in self.regions if region.on_canvas]
        if not doubtful or not self.cascade.is_partial:
            return
        chars = [sum(map(len, region.texts)) for region in doubtful]
        all_of_them = sum(chars) > self.visible
        shown = {region for region in doubtful if all_of_them or region.by_default}
        self.visible += sum(count for count, region in zip(chars, doubtful, strict=True) if region in shown)
        self.regions = [region for region in self.regions if region not in shown]

    def _leave(self, element: Element, states: list[State], names: list[str] | None) -> State:
        states.pop()
        state = states[-1]
        if element is self.aria_hidden:
            self.aria_hidden = None
        if names:
            self.cascade.leave(names)
        if not state.silent and element is not self.tree:
            tail = element.tail
            if tail and not tail.isspace():
                self._note(state, element, True, tail)
        return state

    def _note(self, state: State, element: Element, is_tail: bool, text: str) -> None:
        region = state.region
        if region is None:
            self.visible += len(text)
            return
        region.texts.append(text)
        if not state.closed:
            region.places.append((element, is_tail))

    def _begin(self, kind: str, element: Element | None) -> Region:
        region = Region(kind, element)
        self.regions.append(region)
        return region

    def _close(self, kind: str, element: Element) -> State:
        return State(self._begin(kind, element), closed=True)

    def _state(self, element: Element, tag: str, attributes: dict[str, str], style: Style, up: State) -> State:
        if tag in _SILENT:
            if tag == "script" and attributes.get("type") == "application/ld+json":
                for text in of_json(element.text or ""):
                    self._begin("json_ld", None).texts.append(text)
            return _SILENCE
        if tag == "template":
            return self._close("template", element) if "shadowrootmode" not in attributes else up
        if tag in _CLOSED:
            return self._close(_CLOSED[tag], element)
        if element in self.shadowed:
            return self._close("shadow", element)
        kind = _not_displayed(tag, attributes, style)
        if kind is not None:
            return self._close(kind, element)
        if not style and tag not in _COLOURED and not (tag in _HINTS and _has_hints(tag, attributes)):
            return up
        key = (up, tag, id(style), "href" in attributes)
        if tag in _HINTS or key not in self.known:
            state = self._styled(element, tag, attributes, style, up)
            if state.closed:
                return state
            self.known[key] = state
            return state
        return self.known[key]

    def _styled(self, element: Element, tag: str, attributes: dict[str, str], style: Style, up: State) -> State:
        font = _font(style, up.font)
        is_block = _is_block(tag, style, up)
        opacity = up.opacity * style["opacity"] if isinstance(style.get("opacity"), float) else up.opacity
        if opacity < LEAST_OPACITY:
            return self._close("opacity", element)
        kind = out_of_sight(style, is_block and tag not in _TABLES, font) if style else None
        if kind is not None:
            return self._close(kind, element)
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
        if verdict is not None:
            doubts = (verdict == "colour" and state.on_canvas, verdict == "colour" and state.by_default)
            region = up.region
            if region is None or (region.kind, region.on_canvas, region.by_default) != (verdict, *doubts):
                region = self._begin(verdict, None)
                region.on_canvas, region.by_default = doubts
            state.region = region
        return state

    def _signals(self, element: Element, tag: str, attributes: dict[str, str]) -> None:
        """What carries prose though it is no text of the page; and what only readers of screens are kept from."""
        for kind, text in of_attributes(tag, attributes):
            self._begin(kind, None).texts.append(text)
        if attributes.get("aria-hidden") == "true" and self.aria_hidden is None and self.aria_texts < MOST_READ:
            self.aria_hidden = element  # those in it are read with it, and not once more a level
            text = squeeze(" ".join(element.itertext()))
            self.aria_texts += len(text)
            if is_prose(text):
                self._begin("aria_hidden", None).texts.append(text)


def _shadow_hosts(tree: Element) -> set[Element]:
    """Children of elements with a declarative shadow tree that has no slot for them: browsers don't show those."""
    hosts = {
        template.getparent()
        for template in tree.iter("template")
        if template.get("shadowrootmode") in ("open", "closed") and next(template.iter("slot"), None) is None
    }
    return {child for host in hosts if host is not None for child in host.iterchildren() if child.tag != "template"}


def _not_displayed(tag: str, attributes: dict[str, str], style: Style) -> str | None:
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


_COLOURED = frozenset("a button mark".split())
"""Elements with colours of their own."""
_HINTS = {
    "font": ("color",),
    "body": ("text", "bgcolor", "background"),
    **dict.fromkeys(("table", "tr", "td", "th", "tbody", "thead", "tfoot"), ("bgcolor", "background")),
}


_UNREAD = _SILENT | set(_CLOSED)
"""What is not read out of a subtree that is hidden anyway."""
_SPECIAL = _SILENT | set(_CLOSED) | _COLOURED | {"template", "dialog", "rp", "area"}


def _has_hints(tag: str, attributes: dict[str, str]) -> bool:
    return any(name in attributes for name in _HINTS.get(tag, ()))


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
    hint = attributes.get("bgcolor") if tag in _HINTS else None
    if value is None and hint:
        value = legacy_colour(hint) or UNKNOWN
    if value is None and tag in ("button", "mark"):
        value = _BUTTON if tag == "button" else (1.0, 1.0, 0.0, 1.0)
    if value is UNKNOWN:
        behind = None
    elif value is not None:
        behind = value if value[3] == 1 else over(value, behind) if behind is not None else None
    image = style.get("background-image")
    if image is None and attributes.get("background") and tag in _HINTS:
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
        return _LINK
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
