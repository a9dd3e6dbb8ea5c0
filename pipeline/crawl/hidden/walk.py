"""One walk over a page's tree: which text a person would not see, and why.

Most elements share their parent's State; only where something is declared a new one is made (state.py). No recursion:
elements may be nested 5,000 deep.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipeline.crawl.hidden.prose import MOST_READ, is_prose, of_attributes, of_json, squeeze
from pipeline.crawl.hidden.state import COLOURED, HINTS, Region, State, has_hints, not_displayed, styled
from pipeline.crawl.hidden.style import NOTHING, Cascade, Style

Element = Any

_SILENT = frozenset("script style title meta link base param source track svg math object applet frameset".split())
"""Without text of their own; drawings and formulas, which extraction reads in its own way."""
_CLOSED = {
    **dict.fromkeys("video audio canvas iframe noembed noframes".split(), "fallback"),
    **dict.fromkeys("textarea select datalist".split(), "form"),
    "noscript": "noscript",
}
_SIGNALS = frozenset("alt title aria-label placeholder summary content value aria-hidden".split())
_LEAST = len("true")
"""Characters of an attribute's value that is looked at: `alt=""` is common."""
_HIDING = frozenset("hidden popover".split())
_COLOURING = frozenset("bgcolor background text color".split())
_UNREAD = _SILENT | set(_CLOSED)
"""What is not read out of a subtree that is hidden anyway."""
_SPECIAL = _SILENT | set(_CLOSED) | {"template", "dialog", "rp", "area"}


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
        self.opened: list[tuple[Element, State, Element | None]] = []
        """Elements on the way down: (element, the state around it, what follows all below it)."""
        self.aria_texts = 0
        self.aria_open = False
        self.aria_end: Element | None = None
        """What follows the outermost element with aria-hidden, where that is open."""

    def walk(self) -> Walked:
        """Depth first, in the order of the page.

        An element that shares its parent's state needs no place in `opened`, unless it stands in a hidden region: texts
        behind elements have to come in their order there.
        """
        cascade, opened = self.cascade, self.opened
        has_rules, has_styles = bool(cascade.index), bool(cascade.follows)
        has_colours, all_special = "color" in cascade.follows, bool(self.shadowed)
        special = _SPECIAL | COLOURED if has_colours else _SPECIAL
        hiding = _HIDING | _COLOURING if has_colours else _HIDING
        up, end = State(), None
        nodes = self.tree.iter()
        for element in nodes:
            while element is end:
                up, end = self._leave()
            if element is self.aria_end:
                self.aria_open, self.aria_end = False, None
            tag, state = element.tag, up
            if up.closed:
                silent = tag in _UNREAD or tag.__class__ is not str
            elif tag.__class__ is not str:  # a comment
                silent = True
            else:
                keys = element.keys()
                if keys and not _SIGNALS.isdisjoint(keys):
                    self._signals(element, tag, keys)
                style = cascade.of(element, tag, keys) if has_rules or (has_styles and "style" in keys) else NOTHING
                if style or tag in special or (keys and not hiding.isdisjoint(keys)) or all_special:
                    state = self._state(element, tag, keys, style, up)
                silent = state.silent
            if silent:
                if len(element):
                    below = sum(1 for _ in element.iter()) - 1
                    next(islice(nodes, below - 1, below))
                self._note(up, element, True)
                continue
            region = state.region
            if state is not up or region is not None or element is self.tree:
                self._note(state, element, False)
                up, end = self._enter(element, state, up)
                continue
            for text in (element.text, element.tail):
                if text and not text.isspace():
                    self.visible += len(text)
        while opened:
            self._leave()
        self._doubt_the_canvas()
        return Walked(self.regions, self.visible, frozenset(cascade.skipped))

    def _enter(self, element: Element, state: State, up: State) -> tuple[State, Element | None]:
        top, end = (self.opened[-1][0], self.opened[-1][2]) if self.opened else (None, None)
        end = self._following(element, top, end)
        self.opened.append((element, up, end))
        return state, end

    def _leave(self) -> tuple[State, Element | None]:
        """What is to be taken up again: (state, where that ends)."""
        element, up, _ = self.opened.pop()
        self._note(up, element, True)
        return up, self.opened[-1][2] if self.opened else None

    def _following(self, element: Element, top: Element | None, end: Element | None) -> Element | None:
        """What comes after all that is below an element. Of `top`, which is above it, that is known."""
        while element is not self.tree:
            after = element.getnext()
            if after is not None:
                return after
            element = element.getparent()
            if element is top:
                return end
        return None

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

    def _note(self, state: State, element: Element, is_tail: bool) -> None:
        text = element.tail if is_tail else element.text
        if not text or text.isspace() or (is_tail and element is self.tree):
            return
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

    def _state(self, element: Element, tag: str, keys: list[str], style: Style, up: State) -> State:
        if tag in _SILENT:
            if tag == "script" and element.get("type") == "application/ld+json":
                for text in of_json(element.text or ""):
                    self._begin("json_ld", None).texts.append(text)
            return _SILENCE
        if tag == "template":
            return self._close("template", element) if "shadowrootmode" not in keys else up
        if tag in _CLOSED:
            return self._close(_CLOSED[tag], element)
        if element in self.shadowed:
            return self._close("shadow", element)
        kind = not_displayed(tag, keys, style)
        if kind is not None:
            return self._close(kind, element)
        if not style and tag not in COLOURED and not (tag in HINTS and has_hints(tag, keys)):
            return up
        key = (up, tag, id(style), "href" in keys)
        if tag in HINTS or key not in self.known:
            state = self._styled(element, tag, style, up)
            if state.closed:
                return state
            self.known[key] = state
            return state
        return self.known[key]

    def _styled(self, element: Element, tag: str, style: Style, up: State) -> State:
        state, verdict = styled(tag, dict(element.items()), style, up)
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

    def _signals(self, element: Element, tag: str, keys: list[str]) -> None:
        """What carries prose though it is no text of the page; and what only readers of screens are kept from."""
        attributes = {name: text for name in keys if name in _SIGNALS and len(text := element.get(name)) >= _LEAST}
        for kind, text in of_attributes(tag, attributes):
            self._begin(kind, None).texts.append(text)
        if attributes.get("aria-hidden") == "true" and not self.aria_open and self.aria_texts < MOST_READ:
            self.aria_open = True  # those in it are read with it, and not once more a level
            self.aria_end = self._following(element, None, None)
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
