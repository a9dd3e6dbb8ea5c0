"""trafilatura at more than twice the speed, with the same text.

Of its 23.5 ms a page 12 were XPath expressions; as walks (walks.py) they take 3. What else was out of proportion is
below: a copy that nobody looks at, element objects made anew in each walk, texts by XPath, jusText's paragraphs. So it
is about 10 ms now. tests/pipeline/crawl/test_prune.py compares it with the library as it is.
"""

import re
from copy import copy
from functools import cache
from typing import Any

import lxml.html
from lxml.etree import ElementDefaultClassLookup, XPath, tostring
from trafilatura import core, external, utils, xpaths
from trafilatura.main_extractor import extract_content
from trafilatura.settings import Extractor

from pipeline.crawl.paragraphs import ParagraphMaker
from pipeline.crawl.walks import UnknownExpressionError, read_expression

_read_stop_words = external.jt_stoplist_init
_all_stages = core.trafilatura_sequence


@cache
def quicken() -> None:
    """Change trafilatura in this process, once. An expression that is not understood stays with lxml."""
    for expressions in vars(xpaths).values():
        if isinstance(expressions, list):  # in place: trafilatura's modules have imported these lists
            expressions[:] = [_walk(expression) for expression in expressions]
    # lxml.html asks a Python function for the class of each element it meets (1 ms a page), so that <input> and its
    # like have methods for filling in forms, which trafilatura does not use.
    lookup = ElementDefaultClassLookup(
        element=Element,
        comment=lxml.html.HtmlComment,
        pi=lxml.html.HtmlProcessingInstruction,
        entity=lxml.html.HtmlEntity,
    )
    utils.HTML_PARSER.set_element_class_lookup(lookup)
    utils.INVALID_XML_CHARS = RarelyFound(utils.INVALID_XML_CHARS)
    core._extract_and_compare = _extract_and_compare
    core.trafilatura_sequence = _sequence
    external.jt_stoplist_init = _stop_words
    external.JT_STOPLIST = None  # the tuple that an extraction before this has left
    external.ParagraphMaker = ParagraphMaker


class Element(lxml.html.HtmlElement):
    """An element that has its text at a third of the cost of XPath's `string()`, 500 times a page."""

    def text_content(self) -> str:
        """The text of this and all elements below it."""
        if not len(self):
            return self.text or ""
        return tostring(self, method="text", encoding="unicode", with_tail=False)


@cache
def precise() -> Extractor:
    """The options of all pages; made for each, 0.4 ms go into today's date, which only metadata need."""
    # No dedup=True: it keeps state between pages, so results would depend on their order.
    return Extractor(precision=True, comments=False, dedup=False)


def _sequence(tree: Any, *arguments: Any) -> Any:
    """The library's function, while all elements of the page are held: lxml makes an object for an element when it is
    met and forgets it at once, in each of some ten walks (7%)."""
    held = list(tree.iter())
    result = _all_stages(tree, *arguments)
    del held
    return result


def _extract_and_compare(cleaned: Any, cleaned_copy: Any, tree: Any, options: Extractor) -> tuple[Any, str]:
    """The library's function, which copies the whole page for readability to change (1.2 ms): in precision mode nobody
    looks at the page afterwards."""
    body, text = extract_content(cleaned, options)
    if options.fast:
        return body, text
    page = tree if options.focus == "precision" else copy(tree)
    return external.compare_extraction(cleaned_copy, page, body, text, options)


class RarelyFound:
    """A pattern of control characters that hardly any page has: a look at the bytes is three times as fast."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.controls = bytes(code for code in range(128) if pattern.match(chr(code)))

    def sub(self, replacement: str, text: str) -> str:
        """As `re.Pattern.sub`."""
        raw = text.encode(errors="surrogatepass")
        if len(raw.translate(None, self.controls)) == len(raw) and b"\xef\xbf" not in raw:
            return text
        return self.pattern.sub(replacement, text)


def _walk(expression: Any) -> Any:
    try:
        return read_expression(expression.path) if isinstance(expression, XPath) else expression
    except UnknownExpressionError:
        return expression


def _stop_words() -> frozenset[str]:
    """jusText's 154,000 stop words. It keeps a set for each collection it was given, and a tuple's hash is computed
    anew each time that it looks (5 ms a page that needs jusText, one in four), a frozenset's once."""
    external.JT_STOPLIST = frozenset(_read_stop_words())
    return external.JT_STOPLIST
