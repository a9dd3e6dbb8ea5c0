"""Selectors (Selectors 4) as far as an element and what stands above and before it decide them.

A selector that is not understood matches nothing. Matching goes from right to left as in browsers, without recursion,
and looks at each pair of (part, element) once: parts x depth steps, whatever the selector.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pipeline.crawl.hidden.css import split_list
from pipeline.crawl.hidden.values import unescape

Element = Any

MOST_PARTS = 16
LONGEST = 400
MOST_BROTHERS = 1_000

_IDENT = r"(?:[-\w\x80-\U0010ffff]|\\[0-9a-fA-F]{1,6}\s?|\\.)++"
"""Possessive: an escape can be read in several ways, which backtracking would try in all combinations."""
_TOKEN = re.compile(
    rf"\s*(?P<combinator>[>+~])\s*|(?P<space>\s+)|\#(?P<id>{_IDENT})|\.(?P<class>{_IDENT})"
    rf"|\[\s*(?P<name>{_IDENT})\s*(?:(?P<operator>[~|^$*]?=)\s*(?P<value>\"[^\"]*\"|'[^']*'|{_IDENT})\s*(?P<case>[is])?\s*)?\]"
    rf"|::?(?P<pseudo>[\w-]+)(?P<open>\()?|(?P<tag>\*|{_IDENT})"
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


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """`[name operator value]`; values of some names of HTML are compared without regard to case by browsers."""

    name: str
    operator: str | None
    value: str
    ignore_case: bool

    def holds(self, element: Element, budget: "Budget") -> bool:
        actual = element.get(self.name)
        if actual is None:
            return False
        budget.spend(actual)
        if self.operator is None:
            return True
        wanted = self.value
        if self.ignore_case:
            actual, wanted = actual.lower(), wanted.lower()
        if self.operator == "=":
            return bool(actual == wanted)
        if self.operator == "|=":
            return bool(actual == wanted or actual.startswith(wanted + "-"))
        if not wanted:
            return False
        if self.operator == "~=":
            return wanted in actual.split()
        test = {"^=": actual.startswith, "$=": actual.endswith, "*=": actual.__contains__}[self.operator]
        return bool(test(wanted))


@dataclass(frozen=True, slots=True, eq=False)
class Compound:
    """What is asked of one element."""

    tag: str | None = None
    id: str | None = None
    classes: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    structure: tuple[str, ...] = ()
    nth: tuple[tuple[int, int, bool], ...] = ()
    """(a, b, from the end) of `:nth-child(an+b)`."""
    among: tuple[tuple[bool, tuple["Compound", ...]], ...] = ()
    """(wanted, compounds) of `:is(...)`, and of `:not(...)` with False."""
    never: bool = False

    names: tuple[str, ...] = field(init=False)
    """What the element must have: `.class`, `#id`, and the tag's name."""
    is_named: bool = field(init=False)
    """Whether that is all that is asked, or follows from its classes and id."""

    def __post_init__(self) -> None:
        names = [f".{name}" for name in self.classes]
        names += [f"#{self.id}"] if self.id is not None else []
        object.__setattr__(self, "names", tuple(names + ([self.tag] if self.tag is not None else [])))
        more = self.attributes or self.structure or self.nth or self.among or self.never
        object.__setattr__(self, "is_named", not more)

    def holds(self, element: Element, budget: "Budget") -> bool:
        if self.never or (self.tag is not None and element.tag != self.tag):
            return False
        if self.id is not None and element.get("id") != self.id:
            return False
        if self.classes:
            own = budget.spend(element.get("class") or "").split()
            if not all(name in own for name in self.classes):
                return False
        return (
            all(attribute.holds(element, budget) for attribute in self.attributes)
            and all(_has_structure(element, name, budget) for name in self.structure)
            and all(_is_nth(element, *nth, budget) for nth in self.nth)
            and all(any(one.holds(element, budget) for one in compounds) == wanted for wanted, compounds in self.among)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Selector:
    """`parts` from left to right; `combinators[i]` stands between parts i and i + 1."""

    parts: tuple[Compound, ...]
    combinators: tuple[str, ...]
    specificity: int
    """Ids x 10,000 + classes x 100 + tags, each up to 99."""

    above: tuple[str, ...] = field(init=False)
    """Names that some ancestor of a match has."""

    def __post_init__(self) -> None:
        parts = [part for part, combinator in zip(self.parts, self.combinators, strict=False) if combinator in " >"]
        object.__setattr__(self, "above", tuple({name: 0 for part in parts for name in part.names}))

    def leads_to(self, element: Element, budget: "Budget") -> bool:
        """Whether what stands left of the last part is there too, if the last part is this element."""
        if not self.combinators:
            return True
        if self.combinators[-1] in "+~":
            return self._leads_to(element, budget)
        key = (self, element.getparent())
        if key not in budget.known:
            budget.known[key] = self._leads_to(element, budget)
        return budget.known[key]

    def _leads_to(self, element: Element, budget: "Budget") -> bool:
        todo = [(len(self.parts) - 1, element)]
        tried: set[tuple[int, Element]] = set()
        while todo:
            part, here = todo.pop()
            compound = self.parts[part - 1]
            for found in _candidates(here, self.combinators[part - 1]):
                budget.steps -= 1
                if budget.steps < 0 or (part - 1, found) in tried:
                    break
                tried.add((part - 1, found))
                if compound.holds(found, budget):
                    if part == 1:
                        return True
                    todo.append((part - 1, found))
        return False


@dataclass(slots=True)
class Budget:
    """Steps of matching that are left for a page (below 0 nothing matches); and what matching found out about it."""

    steps: int
    known: dict[tuple[Selector, Element], bool] = field(default_factory=dict)
    wide: dict[Element, bool] = field(default_factory=dict)

    def take(self) -> bool:
        """One step, if there is one left."""
        self.steps -= 1
        return self.steps >= 0

    def spend(self, text: str) -> str:
        """A step for each 100 characters that are looked through."""
        self.steps -= len(text) // 100
        return text if self.steps >= 0 else ""

    def is_wide(self, parent: Element) -> bool:
        """Counting brothers is linear, for each of them; beyond MOST_BROTHERS `:nth-child` and its like don't match."""
        if parent not in self.wide:
            self.wide[parent] = len(parent) > MOST_BROTHERS
        return self.wide[parent]


def _candidates(element: Element, combinator: str) -> Iterator[Element]:
    if combinator == " ":
        yield from element.iterancestors()
    elif combinator == ">":
        if (parent := element.getparent()) is not None:
            yield parent
    else:
        for before in element.itersiblings(preceding=True):
            if isinstance(before.tag, str):
                yield before
                if combinator == "+":
                    return


def _has_structure(element: Element, name: str, budget: Budget) -> bool:
    if name == "empty":
        return next(element.iterchildren(), None) is None and not element.text
    if name in ("link", "any-link"):
        return element.tag in ("a", "area") and element.get("href") is not None
    if name in ("checked", "disabled"):
        return element.get(name) is not None or (name == "checked" and element.get("selected") is not None)
    parent = element.getparent()
    if name == "root" or parent is None:
        return name == "root" and parent is None
    by_type = name.endswith("type")
    if by_type and budget.is_wide(parent):
        return False
    tag = element.tag if by_type else "*"
    return (
        not name.startswith(("first", "only")) or next(element.itersiblings(tag, preceding=True), None) is None
    ) and (not name.startswith(("last", "only")) or next(element.itersiblings(tag), None) is None)


def _is_nth(element: Element, a: int, b: int, from_end: bool, budget: Budget) -> bool:
    parent = element.getparent()
    if parent is None or budget.is_wide(parent):
        return False
    place = parent.index(element)
    place = len(parent) - place if from_end else place + 1
    return bool(place == b if a == 0 else (place - b) % a == 0 and (place - b) // a >= 0)


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
