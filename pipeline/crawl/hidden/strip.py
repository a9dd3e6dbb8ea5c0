"""Takes hidden text out of a page's tree, and says how much of which kind there was."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.crawl.hidden.prose import comments, is_prose
from pipeline.crawl.hidden.walk import Region, Walked, Walker

Element = Any

VERSION = 2
SIGNALS = frozenset("aria_hidden noscript form alt title aria_label meta json_ld comment".split())
"""Kinds that are kept and not taken out: extraction does not read them (or, as `aria_hidden`, people do)."""
EXCERPT = 2_000
MOST_EXCERPTS = 32
"""Of a page: what can be taken out first, then signals, the longest first."""

COLUMN = pa.struct(
    [
        ("kinds", pa.list_(pa.struct([("kind", pa.string()), ("places", pa.int32()), ("chars", pa.int64())]))),
        ("texts", pa.list_(pa.struct([("kind", pa.string()), ("chars", pa.int64()), ("text", pa.string())]))),
        ("visible_chars", pa.int64()),
        ("kept", pa.bool_()),
        ("skipped", pa.bool_()),
    ]
)
"""Of each page: all that is hidden, counted by kind; the texts of it that are prose, cut into windows of EXCERPT;
whether it was left in because nothing else is there (`kept`); whether limits kept CSS from being read (`skipped`)."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A piece of hidden text. `chars` is the length of the whole where `text` is an excerpt."""

    kind: str
    text: str
    chars: int


@dataclass(frozen=True)
class HiddenText:
    """What was found in a page: see COLUMN."""

    kinds: dict[str, tuple[int, int]]
    """Kind -> (places, characters)."""
    texts: tuple[Hidden, ...]
    visible: int
    kept: bool = False
    skipped: bool = False

    def row(self) -> dict[str, Any] | None:
        """A value of COLUMN; None for a page where nothing was found."""
        if not self.kinds and not self.skipped:
            return None
        kinds = [{"kind": kind, "places": n, "chars": chars} for kind, (n, chars) in sorted(self.kinds.items())]
        texts = [{"kind": text.kind, "chars": text.chars, "text": text.text} for text in self.texts]
        return {
            "kinds": kinds, "texts": texts, "visible_chars": self.visible, "kept": self.kept, "skipped": self.skipped
        }  # fmt: skip


def find_hidden(tree: Element, html: str = "") -> list[Hidden]:
    """All hidden texts and signals of a tree of lxml, in order; comments are found in `html`, for parsers drop them."""
    return [Hidden(kind, text, len(text)) for kind, text in _found(Walker(tree).walk(), html)]


def strip_hidden(tree: Element, html: str = "") -> HiddenText:
    """Take the hidden text out of a tree of lxml, in place. A tree without hidden text stays as it is.

    A page that shows nothing at all waits for its script, and is left as it is (`kept`).
    """
    walked = Walker(tree).walk()
    found = list(_found(walked, html))
    kinds: dict[str, tuple[int, int]] = {}
    for kind, text in found:
        places, chars = kinds.get(kind, (0, 0))
        kinds[kind] = (places + 1, chars + len(text))
    kept = walked.visible == 0
    if not kept:
        take_out(walked.hidden)
    return HiddenText(kinds, _excerpts(found), walked.visible, kept and bool(found), bool(walked.skipped))


def take_out(regions: Iterable[Region]) -> None:
    """Remove the subtrees and texts of all regions that are not mere signals."""
    gone = [region for region in regions if region.kind not in SIGNALS]
    for region in gone:
        for element, is_tail in region.places:
            if is_tail:
                element.tail = " "
            else:
                element.text = None
    _remove([region.element for region in gone if region.element is not None and region.texts])


def _remove(elements: list[Element]) -> None:
    """The elements, in the order of the page, with all below; what follows each stays.

    Tails of neighbours are joined once: one by one, each of 100,000 copies what the others have left.
    """
    parent = before = None
    tails: list[str] = []
    for element in elements:
        above, previous = element.getparent(), element.getprevious()
        if above is None:
            continue
        if above is not parent or previous is not before:
            _append(parent, before, tails)
            parent, before, tails = above, previous, []
        tails.append(element.tail or "")
        above.remove(element)
    _append(parent, before, tails)


def _append(parent: Element | None, before: Element | None, tails: list[str]) -> None:
    """Put texts behind a child, or in front of all children."""
    text = "".join(tails)
    if not text:
        return
    if before is not None:
        before.tail = (before.tail or "") + text
    elif parent is not None:
        parent.text = (parent.text or "") + text


def _found(walked: Walked, html: str) -> Iterable[tuple[str, str]]:
    for region in walked.hidden:
        text = region.text()
        if text and (region.kind not in SIGNALS or is_prose(text)):
            yield region.kind, text
    for text in comments(html):
        yield "comment", text


def _excerpts(found: list[tuple[str, str]]) -> tuple[Hidden, ...]:
    """Windows over the texts that are prose; the payload may stand anywhere in a long one."""
    windows = [
        (kind in SIGNALS, -len(text), number, start, Hidden(kind, text[start : start + EXCERPT], len(text)))
        for number, (kind, text) in enumerate(dict.fromkeys(found))
        if is_prose(text)
        for start in range(0, min(len(text), EXCERPT * MOST_EXCERPTS), EXCERPT)
    ]
    chosen = sorted(windows, key=lambda window: window[:4])[:MOST_EXCERPTS]
    return tuple(window[-1] for window in sorted(chosen, key=lambda window: window[2:4]))
