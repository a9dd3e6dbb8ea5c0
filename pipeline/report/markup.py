"""HTML and SVG as strings that can't be confused with text: whatever is not Markup is escaped when it goes in.

Most of what a report shows was written by strangers, so escaping is what happens when one forgets about it (the idea
of MarkupSafe and of lxml's E-factory).
"""

import html
import re
from collections.abc import Iterable

Child = object
"""Markup goes in as it is, None is left out, anything else is text."""

VOID = frozenset({"br", "col", "hr", "link", "meta", "wbr"})

_NAME = re.compile(r"[A-Za-z][\w:-]*")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, which HTML does not allow, and overrides of the writing direction, with which a page could make
the words around it read otherwise."""


class Markup(str):
    """A piece of HTML that is safe to put into a page."""

    __slots__ = ()


def escape(text: object) -> Markup:
    """Any text as HTML, also inside an attribute's quotes; control characters become U+FFFD."""
    return Markup(html.escape(_UNSEEN.sub("\ufffd", str(text)), quote=True))


def join(children: Iterable[Child], between: str = "") -> Markup:
    """Children one after another."""
    parts = (child if isinstance(child, Markup) else escape(child) for child in children if child is not None)
    return Markup((between if isinstance(between, Markup) else escape(between)).join(parts))


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element. `class_` is written class, `aria_label` aria-label; attributes that are None are left out."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not an element's name")
    opening = name
    for key, value in attributes.items():
        if value is not None:
            written = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
            opening += f' {key.rstrip("_").replace("_", "-")}="{escape(written)}"'
    if name in VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(children)}</{name}>")
