"""Sentences in places that a person does not read: comments, attributes, JSON for search engines.

Extraction leaves these out anyway; they are kept as signals where they carry prose, which scripts and markup do not.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

Element = Any

LEAST_WORDS = 5
LEAST_IDEOGRAPHS = 10
"""Of Chinese, Japanese and Thai, which put no spaces between words: as much as five words say."""
MOST_READ = 200_000
"""Characters of one comment, attribute or script that are looked at."""
MOST_SIGNALS = 2_000
"""Comments, and strings of JSON, of a page that are looked at."""

_WORD = re.compile(r"[^\W\d_][\w'’]+")
_IDEOGRAPH = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_CODE = re.compile(r"[{}<>=;|\\_$#*/\[\]]")
_TAG = re.compile(r"<[^<>]{0,2000}>")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ATTRIBUTES = {"alt": "alt", "title": "title", "aria-label": "aria_label", "placeholder": "form", "summary": "alt"}


def is_prose(text: str) -> bool:
    """At least LEAST_WORDS words, most of the text being words and little of it code."""
    if len(text) < LEAST_IDEOGRAPHS:
        return False
    if text.count(" ") < LEAST_WORDS - 1 and text.isascii() and len(text.split()) < LEAST_WORDS:
        return False
    text = text[:MOST_READ]
    words = _WORD.findall(text)
    if len(words) < LEAST_WORDS and (text.isascii() or len(_IDEOGRAPH.findall(text)) < LEAST_IDEOGRAPHS):
        return False
    return len(_CODE.findall(text)) * 12 <= len(text) and sum(map(len, words)) * 2 >= len(text.strip())


def comments(html: str) -> Iterator[str]:
    """Comments with prose, without the markup in them. Conditional comments of old Internet Explorers are code."""
    at = 0
    for _ in range(MOST_SIGNALS):
        start = html.find("<!--", at)
        if start < 0:
            return
        end = html.find("-->", start + 4)
        end = end if end >= 0 else len(html)
        at = end
        if end - start < LEAST_IDEOGRAPHS + 4 or html.startswith(("[if", "[endif"), start + 4):
            continue
        text = html[start + 4 : min(end, start + 4 + MOST_READ)]
        text = squeeze(_TAG.sub(" ", text) if "<" in text else text)
        if is_prose(text):
            yield text


def of_attributes(tag: str, attributes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(kind, text) of the attributes that carry prose."""
    for name, text in attributes.items():
        if name in _ATTRIBUTES and is_prose(text):
            yield _ATTRIBUTES[name], squeeze(text)
    if tag == "meta" and is_prose(attributes.get("content", "")):
        yield "meta", squeeze(attributes["content"])
    if tag == "input" and is_prose(attributes.get("value", "")):
        yield "form", squeeze(attributes["value"])


def of_json(text: str) -> Iterator[str]:
    """The strings with prose in a script of JSON-LD, found without reading its structure, however deep it goes."""
    parts: list[str] = []
    found, inside = 0, False
    for part in text[:MOST_READ].split('"'):
        if not inside:
            parts, inside = [], True
            continue
        parts.append(part)
        if (len(part) - len(part.rstrip("\\"))) % 2:  # the quotation mark that ends it is escaped
            continue
        inside = False
        written = '"'.join(parts)
        if len(written) < LEAST_IDEOGRAPHS:
            continue
        try:
            value = str(json.loads(f'"{written}"', strict=False))
        except ValueError:
            value = written
        value = squeeze(_TAG.sub(" ", value))
        if is_prose(value):
            yield value
            found += 1
            if found >= MOST_SIGNALS:
                return


def squeeze(text: str) -> str:
    """White space to single spaces; halves of characters (`\\ud83d` in JSON), which UTF-8 can't write, to U+FFFD."""
    if not text.isascii() and _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(text.split())
