"""XPath expressions over attributes, such as `.//*[self::div or self::p][re:test(@class, 'footer|menu')]`, as walks.

libxml2 calls Python for each element and each `re:test` (EXSLT). Pages repeat their classes, so a walk remembers the
verdict of an attribute's value, and an element without a telling value costs a look into a dictionary: 0.2 to 0.8 ms
on a page of 700 elements, against 0.4 to 3.8 ms. The subset of XPath 1.0 is the one that trafilatura writes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

Element = Any
Test = Callable[[Element], bool]
ValueTest = Callable[[str], bool]

MOST_VALUES, LONGEST_VALUE = 5_000, 200
"""What is remembered of an attribute, for each expression: 50 columns are at most some 50 MB, and 10 MB in practice."""

NONE, PERHAPS, ENOUGH = range(3)

_TOKEN = re.compile(r"""\s*('[^']*'|"[^"]*"|\.//|[\w:.-]+|[@=\[\]()|,*])""")


class UnknownExpressionError(Exception):
    """An expression beyond the subset, or one that no attribute's value decides."""


@dataclass(frozen=True)
class Sign:
    """A test of an attribute's value: one of a condition's signs is there wherever the condition holds.

    With `enough` it holds wherever this sign is.
    """

    test: ValueTest
    enough: bool


Signs = dict[str, list[Sign]]
"""Attribute -> the signs that its value may be."""


class Verdicts(dict[str, int]):
    """An attribute's value -> NONE, PERHAPS or ENOUGH. Forgets all when full, so nothing depends on what it knows."""

    def __init__(self, signs: Iterable[Sign]) -> None:
        super().__init__()
        self.tests = sorted(((sign.test, ENOUGH if sign.enough else PERHAPS) for sign in signs), key=lambda t: -t[1])

    def __missing__(self, value: str) -> int:
        verdict = NONE
        for test, meaning in self.tests:
            if test(value):
                verdict = meaning
                break
        if len(value) <= LONGEST_VALUE:
            if len(self) >= MOST_VALUES:
                self.clear()
            self[value] = verdict
        return verdict


@dataclass(frozen=True)
class Condition:
    """What stands in `[...]`, or a part of it. `signs` is None where it may hold without any."""

    test: Test
    signs: Signs | None = None
    names: frozenset[str] = frozenset()
    """The elements, where it says no more than `self::a or self::b`."""


@dataclass(repr=False)
class Walk:
    """Called as an XPath of lxml is: an element -> the matching elements below it, in the order of the document."""

    names: frozenset[str]
    """Those of the elements that may match; empty for any."""
    test: Test
    signs: Signs
    first: bool = False
    first_of_parent: bool = False
    columns: dict[str, Verdicts] = field(init=False)

    def __post_init__(self) -> None:
        self.columns = {attribute: Verdicts(signs) for attribute, signs in self.signs.items()}

    def __call__(self, tree: Element) -> list[Element]:
        matches = self._matches(tree)
        if self.first_of_parent:
            matches = _first_of_each_parent(matches)
        return list(islice(matches, 1) if self.first else matches)

    def _matches(self, tree: Element) -> Iterator[Element]:
        columns, test = self.columns, self.test
        for element in tree.iterdescendants(*(self.names or "*")):
            for attribute, value in element.items():
                if attribute in columns and (verdict := columns[attribute][value]):
                    if verdict == ENOUGH or test(element):
                        yield element
                    break


def _first_of_each_parent(elements: Iterable[Element]) -> Iterator[Element]:
    parents = set()
    for element in elements:
        parent = element.getparent()
        if parent not in parents:
            parents.add(parent)
            yield element


def read_expression(text: str) -> Walk:
    """An XPath expression -> its walk. Raises UnknownExpressionError."""
    return _Reader(text).whole()


class _Reader:
    """Recursive descent, a method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.at = 0
        start, end = 0, len(text.rstrip())
        while start < end:
            token = _TOKEN.match(text, start)
            if token is None:
                raise UnknownExpressionError(text[start:])
            self.tokens.append(token[1])
            start = token.end()

    def accept(self, *tokens: str) -> bool:
        if self.tokens[self.at : self.at + len(tokens)] != list(tokens):
            return False
        self.at += len(tokens)
        return True

    def expect(self, *tokens: str) -> None:
        if not self.accept(*tokens):
            raise self.unknown()

    def word(self, pattern: str) -> str:
        if self.at == len(self.tokens) or not re.fullmatch(pattern, self.tokens[self.at], re.DOTALL):
            raise self.unknown()
        self.at += 1
        return self.tokens[self.at - 1]

    def name(self) -> str:
        return self.word(r"[\w-]+")

    def literal(self) -> str:
        return self.word(r"'.*'|\".*\"")[1:-1]

    def unknown(self) -> UnknownExpressionError:
        return UnknownExpressionError(" ".join(self.tokens[self.at :]))

    def whole(self) -> Walk:
        """`path` or `(path)[1]`."""
        first = self.accept("(")
        walk = self.path()
        if first:
            self.expect(")", "[", "1", "]")
            walk.first = True
        if self.at < len(self.tokens):
            raise self.unknown()
        return walk

    def path(self) -> Walk:
        """`.//name[condition]...`, with `[1]` at the end: the first child of each parent for which the rest holds."""
        self.expect(".//")
        names: frozenset[str] = frozenset() if self.accept("*") else frozenset({self.name()})
        conditions = []
        first_of_parent = False
        while not first_of_parent and self.accept("["):
            first_of_parent = self.accept("1", "]")
            if not first_of_parent:
                conditions.append(self.either())
                self.expect("]")
        if not names and conditions and conditions[0].names:
            names = conditions.pop(0).names
        condition = _all_of(conditions)
        if condition.signs is None:
            raise UnknownExpressionError("no attribute decides")
        return Walk(names, condition.test, condition.signs, first_of_parent=first_of_parent)

    def either(self) -> Condition:
        conditions = [self.every()]
        while self.accept("or"):
            conditions.append(self.every())
        return _one_of(conditions)

    def every(self) -> Condition:
        conditions = [self.single()]
        while self.accept("and"):
            conditions.append(self.single())
        return _all_of(conditions)

    def single(self) -> Condition:
        if self.accept("not", "("):
            inner = self.either().test
            self.expect(")")
            return Condition(lambda element: not inner(element))
        if self.accept(".//"):
            below = self.name()
            return Condition(lambda element: next(element.iterdescendants(below), None) is not None)
        if self.accept("@"):
            attribute = self.name()
            if not self.accept("="):
                return _of_attributes([attribute], lambda _: True)
            wanted = self.literal()
            return _of_attributes([attribute], lambda value: value == wanted)
        if self.at < len(self.tokens) and self.tokens[self.at] in ("re:test", "contains", "starts-with"):
            return self.function()
        name = self.word(r"self::[\w-]+").removeprefix("self::")
        return Condition(lambda element: element.tag == name, names=frozenset({name}))

    def function(self) -> Condition:
        """`f(attributes, 'wanted')`, where attributes may be `translate(attributes, 'from', 'to')`."""
        function = self.word(".*")
        self.expect("(")
        table: dict[int, int] | None = None
        if self.accept("translate", "("):
            attributes = self.attributes()
            self.expect(",")
            letters = self.literal()
            self.expect(",")
            others = self.literal()
            self.expect(")")
            if len(letters) != len(others):
                raise self.unknown()
            table = str.maketrans(letters, others)
        else:
            attributes = self.attributes()
        self.expect(",")
        wanted = self.literal()
        test: ValueTest
        if function == "re:test":
            pattern = re.compile(wanted, re.IGNORECASE if self.accept(",", "'i'") else 0)
            test = lambda value: pattern.search(value) is not None  # noqa: E731
        elif function == "contains":
            test = lambda value: wanted in value  # noqa: E731
        else:
            test = lambda value: value.startswith(wanted)  # noqa: E731
        self.expect(")")
        if test(""):  # to a function an absent attribute is empty, so this would hold without any sign
            raise self.unknown()
        return _of_attributes(attributes, test if table is None else lambda value: test(value.translate(table)))

    def attributes(self) -> list[str]:
        self.expect("@")
        names = [self.name()]
        while self.accept("|", "@"):
            names.append(self.name())
        return names


def _of_attributes(names: list[str], test: ValueTest) -> Condition:
    """A test of one attribute; of `@a|@b` XPath takes the first that the element has, in the order of the source."""

    def holds(element: Element) -> bool:
        return next((test(value) for name, value in element.items() if name in names), False)

    return Condition(holds, {name: [Sign(test, enough=len(names) == 1)] for name in names})


def _one_of(conditions: list[Condition]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    if all(condition.names for condition in conditions):
        names = frozenset(name for condition in conditions for name in condition.names)
        return Condition(lambda element: element.tag in names, names=names)
    tests = [condition.test for condition in conditions]
    known = [condition.signs for condition in conditions if condition.signs is not None]
    signs: Signs = {}
    for attribute, found in (item for part in known for item in part.items()):
        signs.setdefault(attribute, []).extend(found)
    return Condition(
        lambda element: any(test(element) for test in tests), signs if len(known) == len(conditions) else None
    )


def _all_of(conditions: list[Condition]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    tests = [condition.test for condition in conditions]
    signs = next((condition.signs for condition in conditions if condition.signs is not None), None)
    if signs is not None:
        signs = {name: [Sign(sign.test, enough=False) for sign in found] for name, found in signs.items()}
    return Condition(lambda element: all(test(element) for test in tests), signs)
