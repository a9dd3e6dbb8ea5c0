"""The stylesheets that stand in a page.

Sheets outside the page are not in a crawl's archive, so nothing is known of them.
"""

import base64
import binascii
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from pipeline.crawl.hidden.css import MOST_CSS, Sheet, Variables, media_holds, read_sheet

Element = Any

LONGEST_KEPT = 50_000
"""Characters of a sheet that is remembered: sites of one maker have the same."""


class Sheets:
    """Those of one page. `skipped` says that some were beyond MOST_CSS."""

    def __init__(self, tree: Element) -> None:
        self.skipped = False
        self.is_partial = False
        """Whether the page names sheets that are not in it."""
        texts = list(self._texts(tree))
        self.variables = Variables(texts)
        self.sheets = [_sheet(text) for text in texts]

    def _texts(self, tree: Element) -> Iterable[str]:
        left = MOST_CSS
        for element in tree.iter("style", "link"):
            text = _sheet_text(element)
            if not text:
                self.is_partial |= element.tag == "link" and "stylesheet" in (element.get("rel") or "").lower()
                continue
            self.is_partial |= "@import" in text
            if len(text) > left:
                self.skipped = True
                continue
            left -= len(text)
            yield text


def _sheet(text: str) -> Sheet:
    return _known_sheet(text) if len(text) <= LONGEST_KEPT else read_sheet(text)


@lru_cache(256)
def _known_sheet(text: str) -> Sheet:
    return read_sheet(text)


def _sheet_text(element: Element) -> str:
    """The CSS that a <style> holds, or the address of a <link>, if it is for the screen of a person with scripts."""
    if element.tag == "style":
        if (element.get("type") or "text/css").strip().lower() != "text/css" or not element.text:
            return ""
        text = element.text
    else:
        address = element.get("href") or ""
        if address[:13].lower() != "data:text/css" or "stylesheet" not in (element.get("rel") or "").lower().split():
            return ""
        text = _of_address(address)
    if media_holds(element.get("media") or "") is not True:
        return ""
    return "" if next(element.iterancestors("noscript", "template"), None) is not None else text


def _of_address(address: str) -> str:
    head, _, body = address[:MOST_CSS].partition(",")
    data = unquote_to_bytes(body)
    try:
        return (base64.b64decode(data) if head.endswith(";base64") else data).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
