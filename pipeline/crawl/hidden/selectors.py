"""What selectors (Selectors 4) ask of an element and of what stands above and before it, and whether it holds.

Matching goes from right to left as in browsers, without recursion, and looks at each pair of (part, element) once:
parts x depth steps, whatever the selector.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Element = Any

MOST_BROTHERS = 1_000


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
            written = budget.spend(element.get("class") or "")
            for name in self.classes:  # before anything is split
                if name not in written:
                    return False
            own = written.split()
            for name in self.classes:
                if name not in own:
                    return False
        if self.is_named:
            return True
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
