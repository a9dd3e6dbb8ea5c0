"""trafilatura at twice the speed, with the same text.

Of its 23.5 ms a page 12 were XPath expressions; as walks (walks.py) they take 3. Two more things that were out of
proportion took 1.8 ms, see below. So it is 12.5 ms now, and nothing large is left. tests/pipeline/crawl/test_prune.py
compares it with the library as it is.
"""

from functools import cache
from typing import Any

import lxml.html
from lxml.etree import ElementDefaultClassLookup, XPath
from trafilatura import external, utils, xpaths

from pipeline.crawl.walks import UnknownExpressionError, read_expression

_read_stop_words = external.jt_stoplist_init


@cache
def quicken() -> None:
    """Change trafilatura in this process, once. An expression that is not understood stays with lxml."""
    for expressions in vars(xpaths).values():
        if isinstance(expressions, list):  # in place: trafilatura's modules have imported these lists
            expressions[:] = [_walk(expression) for expression in expressions]
    # lxml.html asks a Python function for the class of each element it meets (1 ms a page), so that <input> and its
    # like have methods for filling in forms, which trafilatura does not use.
    lookup = ElementDefaultClassLookup(
        element=lxml.html.HtmlElement,
        comment=lxml.html.HtmlComment,
        pi=lxml.html.HtmlProcessingInstruction,
        entity=lxml.html.HtmlEntity,
    )
    utils.HTML_PARSER.set_element_class_lookup(lookup)
    external.jt_stoplist_init = _stop_words


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
