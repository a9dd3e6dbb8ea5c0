"""Real pages as hosts: where their main text is, and a payload put there, giving HTML again."""

import html
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.poison.attack import Host, Payload
from pipeline.artifact import open_input
from pipeline.crawl.http import decode_text, parse_response
from pipeline.crawl.warc import Record, read_warc
from pipeline.run import find_archives

PARAGRAPH = re.compile(r"<p(?:\s[^<>]*)?>(.*?)</p\s*>", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"(<[^<>]*>)")
HEAD = re.compile(r"<head(?:\s[^<>]*)?>", re.IGNORECASE)
BODY = re.compile(r"<body(?:\s[^<>]*)?>", re.IGNORECASE)
END = re.compile(r"</body\s*>|</html\s*>", re.IGNORECASE)
SHORTEST = 80
"""Characters of a paragraph beside which a payload is put; shorter ones are captions and links."""


@dataclass(frozen=True)
class Spot:
    """A paragraph of the main text: where its inside begins and ends, and where the element ends."""

    start: int
    stop: int
    end: int


def read_pages(patterns: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(URL, date, HTML) of the pages in archives, as the pipeline decodes them."""
    for archive in find_archives(patterns):
        with open_input(archive.path) as file:
            for record in read_warc(file):
                if not isinstance(record, Record) or not record.is_http:
                    continue
                payload = parse_response(record.block, max_body_bytes=8 << 20)
                if payload.error is None and payload.body:
                    yield record.url, record.date or "", decode_text(payload.body, payload.charset, True)[0]


def plain(text: str) -> str:
    """A text's letters and signs without white space, for comparing what two programs made of one page."""
    return "".join(text.split())


def spots(page: str, text: str) -> list[Spot]:
    """The paragraphs of a page that are in its main text."""
    main, found = plain(text), []
    for match in PARAGRAPH.finditer(page):
        inner = plain(html.unescape(TAG.sub("", match[1])))
        if len(inner) >= SHORTEST and inner[:60] in main and inner[-30:] in main:
            found.append(Spot(match.start(1), match.end(1), match.end()))
    return found


def insert(host: Host, payload: Payload, rng: random.Random) -> str:
    """The host's page, or its text, with the payload in it. Raises LookupError where the page has no place for it."""
    if payload.where == "page":
        return payload.html
    if payload.where == "text":
        ends = [match.end() for match in re.finditer(r"\n|[.!?。]\s", host.text)]
        at = rng.choice(ends or [len(host.text)])
        return f"{host.text[:at]}{payload.html} {host.text[at:]}"
    page = host.html
    if payload.where == "comments":
        end = [match.start() for match in END.finditer(page)] or [len(page)]
        at, markup = end[0], _comments(payload.html)
    else:
        found = spots(page, host.text)
        if not found:
            raise LookupError(f"{host.url}: no paragraph of the main text was found in the page")
        spot = rng.choice(found)
        at = _amid(page, spot, rng) if payload.where == "inside" else spot.end
        markup = payload.html
    page = page[:at] + markup + page[at:]
    if payload.css:
        place = HEAD.search(page) or BODY.search(page)
        at = place.end() if place else 0
        page = f"{page[:at]}<style>{payload.css}</style>{page[at:]}"
    return page


def _amid(page: str, spot: Spot, rng: random.Random) -> int:
    """Behind a sentence or a word of the paragraph, outside of the elements in it."""
    depth, at, ends, gaps = 0, spot.start, [], []
    for piece in TAG.split(page[spot.start : spot.stop]):
        if piece.startswith("<"):
            void = piece.endswith("/>") or piece[1:3].lower() == "br" or piece[1:4].lower() in ("img", "wbr")
            depth += 0 if void or piece.startswith("<!") else -1 if piece.startswith("</") else 1
        elif depth == 0:
            ends += [at + match.end() for match in re.finditer(r"[.!?。]\s", piece)]
            gaps += [at + match.end() for match in re.finditer(r"\s", piece)]
        at += len(piece)
    return rng.choice(ends or gaps or [spot.stop])


def _comments(markup: str) -> str:
    return (
        '<section id="comments" class="comments"><h3>2 comments</h3><div class="comment"><p>I liked this one.</p></div>'
        f'<div class="comment">{markup}</div></section>'
    )
