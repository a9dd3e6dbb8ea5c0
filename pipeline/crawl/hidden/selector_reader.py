"""Reads a selector (Selectors 4). One that is not understood matches nothing."""

import re
from functools import lru_cache
from typing import Any

from pipeline.crawl.hidden.css import split_list
from pipeline.crawl.hidden.escapes import unescape
from pipeline.crawl.hidden.selectors import Attribute, Compound, Selector

MOST_PARTS = 16
LONGEST = 400

IDENT = r"(?:[-\w\x80-\U0010ffff]++|\\[0-9a-fA-F]{1,6}\s?|\\.)++"
"""Possessive: an escape can be read in several ways, which backtracking would try in all combinations."""
_TOKEN = re.compile(
    rf"\s*(?P<combinator>[>+~])\s*|(?P<space>\s+)|\#(?P<id>{IDENT})|\.(?P<class>{IDENT})"
    rf"|\[\s*(?P<name>{IDENT})\s*(?:(?P<operator>[~|^$*]?=)\s*(?P<value>\"[^\"]*\"|'[^']*'|{IDENT})\s*(?P<case>[is])?\s*)?\]"
    rf"|::?(?P<pseudo>[\w-]+)(?P<open>\()?|(?P<tag>\*|{IDENT})"
)
_NEVER = frozenset(
    "hover focus focus-within focus-visible active visited target target-within fullscreen modal popover-open "
    "-webkit-full-screen autofill -webkit-autofill playing user-invalid user-valid current past future".split()
)
"""States that a page just loaded is not in."""
_STRUCTURE = frozenset(
    "first-child last-child only-child first-of-type last-of-type only-of-type empty root link any-link checked "
    "disabled defined".split()
)
_LISTS = frozenset("is where not matches -webkit-any -moz-any".split())


def read_selector(text: str) -> Selector | None:
    """One selector, without commas -> None where it is not understood, or matches nothing in a page at rest."""
    return _known_selector(text) if len(text) <= LONGEST else None


@lru_cache(16384)
def _known_selector(text: str) -> Selector | None:
    reader = _Reader(text)
    if not reader.read() or len(reader.parts) > MOST_PARTS or any(part.never for part in reader.parts):
        return None
    ids, classes, tags = (min(count, 99) for count in reader.counts)
    return Selector(tuple(reader.parts), tuple(reader.combinators), ids * 10_000 + classes * 100 + tags)


class _Reader:
    def __init__(self, text: str, inner: bool = False) -> None:
        self.text, self.inner = text, inner
        self.parts: list[Compound] = []
        self.combinators: list[str] = []
        self.counts = [0, 0, 0]

    def read(self) -> bool:
        """False where the text is not understood."""
        at = 0
        fields: dict[str, Any] = {}
        text = self.text.strip()
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                return False
            at = token.end()
            if token["combinator"] or token["space"]:
                if not fields or self.inner:
                    return False
                self.parts.append(Compound(**fields))
                self.combinators.append(token["combinator"] or " ")
                fields = {}
                continue
            if token["open"]:
                end = _closing(text, at)
                if end is None or not self._function(token["pseudo"].lower(), text[at:end], fields):
                    return False
                at = end + 1
            elif not self._simple(token, fields):
                return False
        if not fields:
            return False
        self.parts.append(Compound(**fields))
        return True

    def _simple(self, token: re.Match[str], fields: dict[str, Any]) -> bool:
        if token["id"]:
            if "id" in fields:
                return False
            fields["id"] = unescape(token["id"])
            self.counts[0] += 1
        elif token["class"]:
            fields["classes"] = (*fields.get("classes", ()), unescape(token["class"]))
            self.counts[1] += 1
        elif token["name"]:
            value = token["value"] or ""
            value = value[1:-1] if value[:1] in ("'", '"') else value
            name = unescape(token["name"]).lower()
            attribute = Attribute(name, token["operator"], unescape(value), token["case"] == "i" or name in _CASELESS)
            fields["attributes"] = (*fields.get("attributes", ()), attribute)
            self.counts[1] += 1
        elif token["pseudo"]:
            name = token["pseudo"].lower()
            if token[0].startswith("::") or name in ("before", "after", "first-line", "first-letter"):
                return False
            if name in _NEVER:
                fields["never"] = True
            elif name in _STRUCTURE:
                fields["structure"] = (*fields.get("structure", ()), name)
            else:
                return False
            self.counts[1] += 1
        elif fields:
            return False  # a tag's name comes first
        else:
            tag = unescape(token["tag"]).lower()
            fields["tag"] = None if tag == "*" else tag
            self.counts[2] += tag != "*"
        return True

    def _function(self, name: str, argument: str, fields: dict[str, Any]) -> bool:
        if name in ("nth-child", "nth-last-child"):
            nth = _read_nth(argument)
            if nth is None:
                return False
            fields["nth"] = (*fields.get("nth", ()), (*nth, name == "nth-last-child"))
            self.counts[1] += 1
            return True
        if name not in _LISTS or self.inner:
            return False
        readers = [_Reader(part, inner=True) for part in split_list(argument)]
        if not readers or not all(reader.read() for reader in readers):
            return False
        compounds = tuple(reader.parts[0] for reader in readers)
        fields["among"] = (*fields.get("among", ()), (name != "not", compounds))
        if name != "where":
            worst = max(reader.counts for reader in readers)
            self.counts = [own + more for own, more in zip(self.counts, worst, strict=True)]
        return True


_CASELESS = frozenset("type align dir lang rel media method shape valign hidden disabled checked".split())


def _closing(text: str, at: int) -> int | None:
    depth = 1
    for place in range(at, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    return None


def _read_nth(text: str) -> tuple[int, int] | None:
    text = re.sub(r"\s", "", text.lower())
    if text in ("even", "odd"):
        return (2, text == "odd")
    match = re.fullmatch(r"(?:([+-]?\d{0,6})n)?([+-]?\d{1,6})?", text)
    if match is None or not text:
        return None
    a = 0 if match[1] is None else int(match[1] + "1") if match[1] in ("", "+", "-") else int(match[1])
    return a, int(match[2] or 0)
