"""One walk over a page's tree: which text a person would not see, and why.

Most elements share their parent's State; only where something is declared a new one is made (state.py). No recursion:
elements may be nested 5,000 deep.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.crawl.hidden.prose import MOST_READ, is_prose, of_attributes, of_json, squeeze
from pipeline.crawl.hidden.state import COLOURED, HINTS, Region, State, has_hints, not_displayed, styled
from pipeline.crawl.hidden.style import NOTHING, Cascade, Style, names_of

Element = Any

_SILENT = frozenset("script style title meta link base param source track svg math object applet frameset".split())
"""Without text of their own; drawings and formulas, which extraction reads in its own way."""
_CLOSED = {
    **dict.fromkeys("video audio canvas iframe noembed noframes".split(), "fallback"),
    **dict.fromkeys("textarea select datalist".split(), "form"),
    "noscript": "noscript",
}
_SIGNALS = frozenset("alt title aria-label placeholder summary content value aria-hidden".split())
_HIDING = frozenset("hidden popover bgcolor background text color".split())
_UNREAD = _SILENT | set(_CLOSED)
"""What is not read out of a subtree that is hidden anyway."""
_SPECIAL = _SILENT | set(_CLOSED) | COLOURED | {"template", "dialog", "rp", "area"}
_NO_ATTRIBUTES: dict[str, str] = {}
_NO_NAMES: list[str] = []


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
        kind = not_displayed(tag, attributes, style)
        if kind is not None:
            return self._close(kind, element)
        if not style and tag not in COLOURED and not (tag in HINTS and has_hints(tag, attributes)):
            return up
        key = (up, tag, id(style), "href" in attributes)
        if tag in HINTS or key not in self.known:
            state = self._styled(element, tag, attributes, style, up)
            if state.closed:
                return state
            self.known[key] = state
            return state
        return self.known[key]

    def _styled(self, element: Element, tag: str, attributes: dict[str, str], style: Style, up: State) -> State:
        state, verdict = styled(tag, attributes, style, up)
        if state is None:
            return State(self._begin(verdict or "display", element), closed=True)
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
