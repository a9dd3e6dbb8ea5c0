"""What the stylesheets in a page and its style attributes declare of each element: the cascade, as far as needed.

Rules are indexed by what the last part of a selector names, as browsers do; a selector that names a class or an id that
the page has not is never read.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lxml.etree import XPath

from pipeline.crawl.hidden.css import MOST_RULES, Sheet, split_list
from pipeline.crawl.hidden.escapes import simplify
from pipeline.crawl.hidden.selector_reader import read_selector
from pipeline.crawl.hidden.selectors import Budget, Compound, Selector
from pipeline.crawl.hidden.sheets import Sheets
from pipeline.crawl.hidden.values import UNSET, Declared, Style, declarations

Element = Any

MOST_STEPS = 500_000
"""Of matching, 0.5 us each. Of 2,918 real pages the most took 50,525."""
LONGEST_STYLE = 20_000

_NAMES = re.compile(r"[.#][-\w\x80-\U0010ffff]+")
NOTHING: Style = {}
_UNCOMMON = re.compile(r"[\\(\[]")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with one selector. `priority` is (outside layers, specificity, number)."""

    priority: tuple[bool, int, int]
    selector: Selector
    block: str


@dataclass(slots=True)
class _Candidates:
    """For elements of the same names: rules that match, by ascending priority, and their style; rules that may match
    (number, rule, whether all depends on what stands around the element)."""

    sure: tuple[int, ...]
    perhaps: list[tuple[int, Rule, bool]]
    style: Style | None = None


class Cascade:
    """The stylesheets of one page. `skipped` says what was beyond the limits."""

    def __init__(self, tree: Element) -> None:
        self.skipped: set[str] = set()
        self.budget = Budget(MOST_STEPS)
        self.rules: list[Rule] = []
        self.index: dict[str, list[int]] = {}
        self.attributes: set[str] = set()
        self.candidates: dict[tuple[str, ...], _Candidates] = {}
        self.blocks: dict[str, Declared] = {}
        self.styles: dict[tuple[str | None, tuple[int, ...]], Style] = {}
        self.open: dict[str, int] = {}
        sheets = Sheets(tree)
        self.is_partial = sheets.is_partial
        self.variables = sheets.variables
        if sheets.skipped:
            self.skipped.add("css")
        if any(sheet.rules for sheet in sheets.sheets):
            self._add(sheets.sheets, _names(tree))

    def _add(self, sheets: list[Sheet], names: set[str]) -> None:
        for raw in (rule for sheet in sheets for rule in sheet.rules):
            for text in split_list(raw[0]):
                if not _UNCOMMON.search(text) and not names.issuperset(_NAMES.findall(text)):
                    continue
                selector = read_selector(text)
                if selector is None or not all(names.issuperset(part.names) for part in selector.parts):
                    continue
                if not self._block(raw[1]):
                    break
                if len(self.rules) >= MOST_RULES:
                    self.skipped.add("css")
                    return
                number = len(self.rules)
                self.rules.append(Rule((not raw[2], selector.specificity, number), selector, raw[1]))
                self.index.setdefault(_key(selector.parts[-1]), []).append(number)
        if any(sheet.cut for sheet in sheets):
            self.skipped.add("css")
        self.attributes = {key[1:] for key in self.index if key.startswith("[")} - {"class", "id"}

    def of(self, element: Element, attributes: dict[str, str], names: list[str]) -> Style:
        """What is declared of an element, longhand property by property. `names` are its own (see names_of)."""
        text = attributes.get("style")
        if not self.index:
            return self._style(text, ()) if text else NOTHING
        known = self._candidates(attributes, names)
        numbers = known.sure
        if known.perhaps:
            more = self._matching(element, known.perhaps)
            if more:
                self.budget.steps -= len(numbers) // 10
                numbers = tuple(sorted([*numbers, *more], key=self._priority))
        if self.budget.steps < 0:
            self.skipped.add("css")
            return self._style(text, ()) if text else NOTHING
        if numbers is not known.sure:
            return self._style(text, numbers)
        if text:
            self.budget.steps -= len(numbers) // 10
            return self._style(text, numbers)
        if known.style is None:
            known.style = self._style(None, numbers)
        return known.style

    def _matching(self, element: Element, rules: list[tuple[int, Rule, bool]]) -> list[int]:
        budget, above = self.budget, self.open
        matching = []
        for number, rule, is_sure in rules:
            for name in rule.selector.above:
                if name not in above:
                    break
            else:
                if (is_sure or (budget.take() and rule.selector.parts[-1].holds(element, budget))) and (
                    budget.take() and rule.selector.leads_to(element, budget)
                ):
                    matching.append(number)
        return matching

    def _style(self, text: str | None, numbers: tuple[int, ...]) -> Style:
        if not text and not numbers:
            return NOTHING
        key = (text, numbers)
        style = self.styles.get(key)
        if style is None:
            style = self.styles[key] = self._won(text, numbers)
        return style

    def _priority(self, number: int) -> tuple[bool, int, int]:
        return self.rules[number].priority

    def _candidates(self, attributes: dict[str, str], names: list[str]) -> "_Candidates":
        named = tuple([name for name in attributes if name in self.attributes]) if self.attributes else ()
        signature = (*names, *named)
        known = self.candidates.get(signature)
        if known is not None:
            return known
        listed = [self.index[key] for key in ["", *names, *(f"[{name}" for name in named)] if key in self.index]
        self.budget.steps -= sum(map(len, listed)) // 4
        sure: list[int] = []
        perhaps: list[tuple[int, Rule, bool]] = []
        for number in {number for numbers in listed for number in numbers} if self.budget.steps >= 0 else ():
            rule = self.rules[number]
            part = rule.selector.parts[-1]
            if not all(name in names for name in part.names):
                continue
            if part.is_named and not rule.selector.combinators:
                sure.append(number)
            else:
                perhaps.append((number, rule, part.is_named))
        sure.sort(key=self._priority)
        found = self.candidates[signature] = _Candidates(tuple(sure), perhaps)
        return found

    def enter(self, names: list[str]) -> None:
        """What is asked about next stands below an element with these names."""
        for name in names:
            self.open[name] = self.open.get(name, 0) + 1

    def leave(self, names: list[str]) -> None:
        """The last element entered has ended."""
        for name in names:
            if self.open[name] == 1:
                del self.open[name]
            else:
                self.open[name] -= 1

    def _won(self, text: str | None, numbers: tuple[int, ...]) -> Style:
        """Important wins over not, then the style attribute over sheets, then the order of priority."""
        blocks = [self._block(self.rules[number].block) for number in numbers]
        if text and len(text) <= LONGEST_STYLE:
            blocks.append(self._block(simplify(text)))
        elif text:
            self.skipped.add("css")
        style = {name: value for block in blocks for name, (value, important) in block.items() if not important}
        style |= {name: value for block in blocks for name, (value, important) in block.items() if important}
        return {name: value for name, value in style.items() if value is not UNSET}

    def _block(self, block: str) -> Declared:
        found = self.blocks.get(block)
        if found is None:
            found = _declarations(self.variables.put_into(block) if "var(" in block else block)
            self.blocks[block] = found
        return found


def _key(part: Compound) -> str:
    """The rarest of what an element must have; "" where it may be any."""
    if part.id is not None:
        return f"#{part.id}"
    if part.classes:
        return f".{part.classes[0]}"
    if part.tag is not None:
        return part.tag
    return f"[{part.attributes[0].name}" if part.attributes else ""


def names_of(tag: str, attributes: dict[str, str]) -> list[str]:
    """What selectors may ask for of an element: its tag, `.class`, `#id`."""
    names = [tag]
    if "class" in attributes:
        names += [f".{name}" for name in attributes["class"].split()]
    if "id" in attributes:
        names.append(f"#{attributes['id']}")
    return names


_CLASSES, _IDS = XPath("//@class", smart_strings=False), XPath("//@id", smart_strings=False)


def _names(tree: Element) -> set[str]:
    """What selectors may ask for on this page: tags, `.class`, `#id`."""
    names = {f".{name}" for value in set(_CLASSES(tree)) for name in value.split()}
    names.update([f"#{value}" for value in _IDS(tree)])
    names.update([element.tag for element in tree.iter("*")])
    return names


def _declarations(block: str) -> Declared:
    return _known_declarations(block) if len(block) <= 500 else declarations(block)


@lru_cache(8192)
def _known_declarations(block: str) -> Declared:
    return declarations(block)
