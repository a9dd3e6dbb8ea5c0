"""The text of a stylesheet -> its rules that may take text out of sight, as they hold on a screen.

Splitting at braces takes 1 us a rule, where tinycss2 takes 100; blocks are read later, and only those of rules whose
selectors meet an element. CSS Syntax 3, Cascade 5 (layers), Nesting 1 and Media Queries 4 as far as they matter here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from pipeline.crawl.hidden.escapes import simplify
from pipeline.crawl.hidden.lengths import VIEWPORT, length

MOST_CSS = 2 << 20
"""Characters of CSS that are read of a page. Of 2,918 real pages the largest held 1.15 million."""
MOST_RULES = 100_000
MOST_NESTED = 64
"""Selectors of a nested rule: each `a, b { c, d { } }` multiplies them."""
MOST_NESTED_CHARS = 20_000
MOST_GROWTH = 20
"""Times the length of a sheet: what its selectors may come to when nested ones are written out."""
LONGEST_QUERY = 1_000

_BRACE = re.compile(r"([{}])")
_NOT_PLAIN = ("", "@", "<", "-")
_ESCAPED_BRACE = re.compile(r"\\[{};]")
_FEATURE = re.compile(r"\(\s*(min-|max-|)(device-)?(width|height|aspect-ratio)\s*:\s*([^()\s][^()]*)\)")
_RANGE = re.compile(r"\(\s*(width|height)\s*(<=|>=|<|>)\s*([\w.]+)\s*\)")
_KNOWN_FEATURES = {
    **{"(orientation:landscape)": True, "(orientation:portrait)": False, "(hover:hover)": True, "(hover:none)": False},
    **{"(pointer:fine)": True, "(pointer:coarse)": False, "(any-hover:hover)": True, "(color)": True, "(hover)": True},
    **{"(prefers-reduced-motion:reduce)": False, "(prefers-reduced-motion:no-preference)": True},
    **{"(prefers-reduced-motion)": False, "(prefers-color-scheme:dark)": False, "(prefers-color-scheme:light)": True},
    **{"(prefers-contrast:more)": False, "(forced-colors:active)": False, "(forced-colors:none)": True},
    **{"(-ms-high-contrast:none)": False, "(-ms-high-contrast:active)": False, "(scripting:none)": False},
    **{"(scripting:enabled)": True, "(scripting)": True, "(display-mode:browser)": True, "(update:fast)": True},
}


RawRule = tuple[str, str, bool]
"""(selectors as written, block simplified, whether it stands in a layer, which any rule outside overrules)."""


class _Context(NamedTuple):
    """What a brace opened: `selectors` of the enclosing rule ("" for none), and whether what is in it holds."""

    selectors: str
    holds: bool
    is_rule: bool
    layered: bool


_TOP = _Context("", holds=True, is_rule=False, layered=False)
_OFF = _Context("", holds=False, is_rule=False, layered=False)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rules in order, and what `--name: value` the whole sheet says of each variable."""

    rules: tuple[RawRule, ...]
    cut: bool = False


def read_sheet(text: str) -> Sheet:
    """Beyond MOST_RULES and MOST_GROWTH rules are not read, and `cut` says so."""
    text = simplify(_ESCAPED_BRACE.sub("", text) if "\\" in text else text)
    rules: list[RawRule] = []
    left = MOST_GROWTH * len(text)
    for rule in _rules(text):
        left -= len(rule[0])
        if len(rules) >= MOST_RULES or left < 0:
            return Sheet(tuple(rules), cut=True)
        rules.append(rule)
    return Sheet(tuple(rules))


def _rules(text: str) -> Iterator[RawRule]:
    pieces = _BRACE.split(text)
    pieces.append("}")  # the end of a sheet closes what is open
    stack: list[_Context] = []
    here = _TOP
    broken = False
    at = 0
    while at < len(pieces):
        before, brace = pieces[at], pieces[at + 1]
        at += 2
        if brace == "{" and pieces[at + 1] == "}" and not (here.is_rule or broken or ";" in before):
            prelude = before.strip()
            if prelude[:1] not in _NOT_PLAIN:  # `selectors { declarations }`, without a way down and up
                if here.holds and pieces[at]:
                    yield prelude, pieces[at], here.layered
                at += 2
                continue
        if brace == "}":
            if here.is_rule and here.holds and before:
                yield here.selectors, before, here.layered
            if stack:
                here = stack.pop()
            else:
                broken = True  # a brace too many: it belongs to the next rule's selector, which is void
            continue
        prelude = before
        if ";" in before:
            declared, _, prelude = before.rpartition(";")
            if here.is_rule:
                if here.holds:
                    yield here.selectors, declared, here.layered
            else:
                broken = broken or any(part.strip()[:1] not in ("@", "") for part in declared.split(";"))
        prelude = prelude.strip()
        if prelude.startswith(("<!--", "-->")):
            prelude = prelude.replace("<!--", "").replace("-->", "").strip()
        stack.append(here)
        here = _open(prelude, here) if here.holds and not broken else _OFF
        broken = False


def _open(prelude: str, here: _Context) -> _Context:
    if not prelude.startswith("@"):
        selectors = _nested(prelude, here.selectors) if here.selectors else prelude
        return _Context(selectors, holds=bool(selectors), is_rule=True, layered=here.layered)
    name = re.match(r"@([\w-]*)", prelude)
    assert name is not None
    word, rest = name[1].lower(), prelude[name.end() :].strip()
    if word == "media":
        return _Context(here.selectors, media_holds(rest) is True, here.is_rule, here.layered)
    if word == "supports":
        return _Context(here.selectors, "not" not in rest.lower().split(), here.is_rule, here.layered)
    if word == "layer":
        return _Context(here.selectors, True, here.is_rule, layered=True)
    return _OFF  # keyframes, fonts, pages, and conditions that only a layout can tell (@container)


def _nested(inner: str, outer: str) -> str:
    """The selectors of a rule within a rule. Empty, so that it never matches, where they are too many."""
    inners, outers = split_list(inner), split_list(outer)
    if len(inners) * len(outers) > MOST_NESTED or len(inner) + len(outer) > 2_000:
        return ""
    if len(inner) * len(outers) + (len(inners) + inner.count("&")) * len(outer) > MOST_NESTED_CHARS:
        return ""
    return ", ".join(
        own.replace("&", parent) if "&" in own else f"{parent} {own}" for parent in outers for own in inners
    )


def split_list(text: str) -> list[str]:
    """`a, :is(b, c)` -> [`a`, `:is(b, c)`]."""
    if "(" not in text and "[" not in text:
        return [part for part in map(str.strip, text.split(",")) if part]
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [part for part in [*parts, text[start:].strip()] if part]


def media_holds(text: str) -> bool | None:
    """Whether a list of media queries holds for a screen of VIEWPORT; None where that is not known.

    A list beyond LONGEST_QUERY is not read.
    """
    return _known_media(text) if len(text) <= LONGEST_QUERY else None


@lru_cache(2048)
def _known_media(text: str) -> bool | None:
    verdicts = [_query_holds(query) for query in text.lower().split(",")] if text.strip() else [True]
    if any(verdict is True for verdict in verdicts):
        return True
    return None if any(verdict is None for verdict in verdicts) else False


def _query_holds(query: str) -> bool | None:
    parts = [part.strip() for part in re.split(r"\band\b", query)]
    negated = parts[0].startswith("not ")
    verdict: bool | None = True
    for part in parts:
        part = re.sub(r"^(?:not|only)\s+", "", part)
        here = _condition_holds(part)
        if here is False:
            verdict = False
            break
        if here is None:
            verdict = None
    return verdict if not negated or verdict is None else not verdict


def _condition_holds(part: str) -> bool | None:
    if part in ("all", "screen"):
        return True
    if re.fullmatch(r"[a-z-]+", part):
        return False  # print, speech, tty
    feature = _FEATURE.fullmatch(part)
    if feature is not None and feature[3] != "aspect-ratio":
        wanted = _media_pixels(feature[4])
        here = VIEWPORT[0] if feature[3] == "width" else VIEWPORT[1]
        if wanted is None:
            return None
        return here >= wanted if feature[1] == "min-" else here <= wanted if feature[1] else here == wanted
    bound = _RANGE.fullmatch(part)
    if bound is not None and (wanted := _media_pixels(bound[3])) is not None:
        here = VIEWPORT[0] if bound[1] == "width" else VIEWPORT[1]
        return {"<": here < wanted, "<=": here <= wanted, ">": here > wanted, ">=": here >= wanted}[bound[2]]
    return _KNOWN_FEATURES.get(re.sub(r"\s", "", part))


def _media_pixels(text: str) -> float | None:
    found = length(text.strip())
    if found is None or found[1] == "%":
        return None
    return found[0] * (16 if found[1] == "em" else 1)


MOST_EXPANDED = 2_000
_VARIABLE = re.compile(r"var\(\s*(--[\w-]+)\s*(?:,([^()]*(?:\([^()]*\)[^()]*)*))?\)")
_DEFINED = re.compile(r"(?:^|[;{\s])(--[\w-]+)\s*:\s*([^;{}]*)")


class Variables:
    """What `var(--name)` stands for, on the whole page: a name with two values stays unknown."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.values: dict[str, str | None] | None = None

    def put_into(self, block: str) -> str:
        """The block with its variables replaced, five levels deep, until it has grown by MOST_EXPANDED; values that
        would take it beyond are not put in."""
        room = MOST_EXPANDED

        def fitting(match: re.Match[str]) -> str:
            nonlocal room
            value = self._value(match)
            growth = len(value) - len(match[0])
            if growth > room:
                return match[0]
            room -= max(growth, 0)
            return value

        for _ in range(5):
            expanded = _VARIABLE.sub(fitting, block) if "var(" in block else block
            if expanded == block:
                break
            block = expanded
        return block

    def _value(self, match: re.Match[str]) -> str:
        if self.values is None:
            self.values = {}
            for text in self.texts:
                for name, value in _DEFINED.findall(text):
                    value = re.sub(r"!\s*important\s*$", "", value).strip()
                    self.values[name] = value if self.values.get(name, value) == value else None
        if match[1] in self.values:
            value = self.values[match[1]]
            return match[0] if value is None else value
        return match[2].strip() if match[2] is not None else match[0]
