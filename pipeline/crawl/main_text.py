"""A page's main text, by trafilatura or resiliparse, without what the page hides from people."""

from dataclasses import replace
from typing import Literal

import lxml.html
import trafilatura
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from trafilatura.utils import load_html

from pipeline.crawl.hidden import SIGNALS, HiddenText, strip_hidden
from pipeline.crawl.prune import precise, quicken

Extractor = Literal["trafilatura", "resiliparse"]


class ExtractorError(Exception):
    """An extractor that failed on a page."""


def main_text(html: str, tree: HTMLTree, extractor: Extractor, strip: bool) -> tuple[str, HiddenText | None]:
    """(the main text, what is hidden in the page), `tree` being the page as resiliparse parses it.

    With `strip` hidden text is taken out before extraction. A page of which nothing is left then waits for a script to
    show it (4 of 1,458 real pages): its text is extracted as it stands, and what was found is marked `kept`.
    Raises ExtractorError.
    """
    extract = _by_trafilatura if extractor == "trafilatura" else _by_resiliparse
    try:
        return extract(html, tree, strip)
    except Exception as error:
        raise ExtractorError(f"{extractor}: {type(error).__name__}: {error}") from None


def _by_trafilatura(html: str, tree: HTMLTree, strip: bool) -> tuple[str, HiddenText | None]:
    quicken()
    if not strip:
        return trafilatura.extract(html, options=precise()) or "", None
    parsed = load_html(html)
    if parsed is None:
        return "", None
    hidden = strip_hidden(parsed, html)
    text = trafilatura.extract(parsed, options=precise())
    if not text and _took_out(hidden):
        return trafilatura.extract(html, options=precise()) or "", replace(hidden, kept=True)
    return text or "", hidden


def _by_resiliparse(html: str, tree: HTMLTree, strip: bool) -> tuple[str, HiddenText | None]:
    parsed = load_html(html) if strip else None
    if parsed is None:
        return _plain(tree), None
    hidden = strip_hidden(parsed, html)
    if not _took_out(hidden):
        return _plain(tree), hidden
    text = _plain(HTMLTree.parse(lxml.html.tostring(parsed, encoding="unicode")))
    return (text, hidden) if text.strip() else (_plain(tree), replace(hidden, kept=True))


def _plain(tree: HTMLTree) -> str:
    return str(extract_plain_text(tree, main_content=True, alt_texts=False))


def _took_out(hidden: HiddenText) -> bool:
    return not hidden.kept and any(kind not in SIGNALS for kind in hidden.kinds)
