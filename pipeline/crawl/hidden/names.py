"""The tags, classes and ids that a page has: a selector that names others matches nothing, and is not read.

Reading one takes 12 us; of 178 in the sheets of an average page 104 name a class or an id that is not there.
"""

import re
from typing import Any

from lxml.etree import XPath

from pipeline.crawl.hidden.escapes import unescape
from pipeline.crawl.hidden.selector_reader import IDENT, LONGEST

Element = Any

_WORD = re.compile(r"[.#:]*[-\w\x80-\U0010ffff]++")
_ESCAPED_WORD = re.compile(r"[.#:]*" + IDENT)
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\]]*\]")
_UNCOMMON = re.compile(r"[(\[\"']")
_AT_REST = re.compile(r":(?:hover|focus|active|visited|before|after|:)")
_CLASSES, _IDS = XPath("//@class", smart_strings=False), XPath("//@id", smart_strings=False)


def names_on(tree: Element) -> set[str]:
    """What selectors may ask for on this page: tags, `.class`, `#id`."""
    names = {f".{name}" for value in set(_CLASSES(tree)) for name in value.split()}
    names.update([f"#{value}" for value in _IDS(tree)])
    names.update([element.tag for element in tree.iter("*")])
    return names


def may_be_met(text: str, names: set[str]) -> bool:
    """Whether a selector that is not read yet names only what is there, outside of brackets."""
    if text in names:
        return True
    if len(text) > LONGEST:
        return False
    is_plain = "\\" not in text
    first = _WORD.match(text)
    if is_plain and first is not None and first[0][0] in ".#" and first[0] not in names:
        return False
    if _UNCOMMON.search(text):
        if not is_plain:
            return True
        text = _BRACKETS.sub("", text)
        if _UNCOMMON.search(text):
            return True
    elif ":" in text and _AT_REST.search(text):
        return False
    words = _WORD.findall(text) if is_plain else [unescape(word) for word in _ESCAPED_WORD.findall(text)]
    for word in words:
        if word not in names and word[0] != ":" and (word[0] in ".#" or word.lower() not in names):
            return False
    return True
