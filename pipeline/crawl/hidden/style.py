"""What the stylesheets in a page and its style attributes declare of each element: the cascade, as far as needed.

Rules are indexed by what the last part of a selector names, as browsers do; a selector that names a class or an id that
the page has not is never read, nor one whose block can hide nothing here.
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from lxml.etree import XPath

from pipeline.crawl.hidden.css import MOST_RULES, Sheet, split_list
from pipeline.crawl.hidden.dangers import Block, block_of, followed
from pipeline.crawl.hidden.escapes import simplify
from pipeline.crawl.hidden.names import may_be_met, names_on
from pipeline.crawl.hidden.selector_reader import read_selector
from pipeline.crawl.hidden.selectors import Budget, Compound, Selector
from pipeline.crawl.hidden.sheets import Sheets
from pipeline.crawl.hidden.values import UNSET, Declared, Style

Element = Any

MOST_STEPS = 500_000
"""Of matching, 0.5 us each. Of 2,918 real pages the most took 50,525."""
LONGEST_STYLE = 20_000
BITS = 1_024
"""Of the filter for names of ancestors. Names beyond share bits, and what it lets through is looked at."""

NOTHING: Style = {}
_STYLES = XPath("//@style", smart_strings=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with one selector. `priority` is (outside layers, specificity, number); `above` the bits of the names that
    the selector wants of ancestors."""

    priority: tuple[bool, int, int]
    selector: Selector
    block: str
    above: int


@dataclass(slots=True)
class _Candidates:
    """For elements of the same names: rules that match, by ascending priority, and their style; rules that may match
    (number, rule, whether all depends on what stands around the element)."""

    sure: tuple[int, ...]
    perhaps: list[tuple[int, Rule, bool]]
    style: Style | None = None


_NONE = _Candidates((), [], NOTHING)


class Cascade:
    """The stylesheets of one page. `skipped` says what was beyond the limits, `follows` which properties count."""

    def __init__(self, tree: Element) -> None:
        self.skipped: set[str] = set()
        self.budget = Budget(MOST_STEPS)
        self.rules: list[Rule] = []
        self.index: dict[str, list[int]] = {}
        self.attributes: set[str] = set()
        self.last: set[str] = set()
        """The names that last parts of selectors ask for."""
        self.known_classes: dict[str | None, tuple[str, ...]] = {None: ()}
        self.candidates: dict[tuple[Any, ...], _Candidates] = {}
        self.blocks: dict[str, Block] = {}
        self.declared: dict[str, Declared] = {}
        self.styles: dict[tuple[str | None, tuple[int, ...]], Style] = {}
        self.bits: dict[str, int] = {}
        self.class_bits: dict[str, int] = {}
        self.above: dict[Element | None, int] = {None: 0}
        sheets = Sheets(tree)
        self.is_partial = sheets.is_partial
        self.variables = sheets.variables
        if sheets.skipped:
            self.skipped.add("css")
        inline = [self._block(simplify(text)) for text in set(_STYLES(tree)) if len(text) <= LONGEST_STYLE]
        names = names_on(tree) if any(sheet.rules for sheet in sheets.sheets) else set()
        raw = self._met(sheets.sheets, names) if names else []
        self.follows = followed([*inline, *(self._block(rule[1]) for rule in raw)], tree)
        self._add(raw, names)
        if any(sheet.cut for sheet in sheets.sheets):
            self.skipped.add("css")

    def _met(self, sheets: list[Sheet], names: set[str]) -> list[tuple[str, str, bool]]:
        """(selector, block, layered) of the rules whose selector may be met on a page with these names."""
        met = []
        for sheet in sheets:
            for selectors, block, layered in sheet.rules:
                if selectors in names:
                    met.append((selectors, block, layered))
                    continue
                for text in split_list(selectors):
                    if may_be_met(text, names):
                        met.append((text, block, layered))
        return met

    def _add(self, raw: list[tuple[str, str, bool]], names: set[str]) -> None:
        for text, block, layered in raw:
            if not self._declared(block):
                continue
            selector = read_selector(text)
            if selector is None or not all(names.issuperset(part.names) for part in selector.parts):
                continue
            if len(self.rules) >= MOST_RULES:
                self.skipped.add("css")
                break
            number, last = len(self.rules), selector.parts[-1]
            priority = (not layered, selector.specificity, number)
            self.rules.append(Rule(priority, selector, block, self._bits(selector.above)))
            self.index.setdefault(_key(last), []).append(number)
            self.last.update(last.names)
        self.attributes = {key[1:] for key in self.index if key.startswith("[")} - {"class", "id"}

    def _bits(self, names: tuple[str, ...]) -> int:
        found = 0
        for name in names:
            found |= self.bits.setdefault(name, 1 << len(self.bits) % BITS)
        return found

    def of(self, element: Element, tag: str, attributes: list[str]) -> Style:
        """What is declared of an element, longhand property by property, of what is followed."""
        text = element.get("style") if "style" in attributes else None
        if text and not (len(text) > LONGEST_STYLE or self._declared(simplify(text))):
            text = None
        if not self.index:
            return self._style(text, ()) if text else NOTHING
        signature: tuple[Any, ...] = (tag, (), None)
        if attributes:
            classes, own_id = element.get("class"), element.get("id")
            wanted = self.known_classes.get(classes)
            if wanted is None:
                wanted = tuple([f".{name}" for name in classes.split() if f".{name}" in self.last])
                self.known_classes[classes] = wanted
            name = f"#{own_id}" if own_id is not None else None
            signature = (tag, wanted, name if name in self.last else None)
            if self.attributes:
                signature += tuple([name for name in attributes if name in self.attributes])
        known = self.candidates.get(signature)
        if known is None:
            known = self.candidates[signature] = self._candidates(*signature)
        if known is _NONE and not text:
            return NOTHING
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
        parent = element.getparent()
        budget, above = self.budget, self.above.get(parent)
        if above is None:
            above = self._above(parent)
        matching = []
        for number, rule, is_sure in rules:
            if rule.above & above != rule.above:
                continue
            if (is_sure or (budget.take() and rule.selector.parts[-1].holds(element, budget))) and (
                budget.take() and rule.selector.leads_to(element, budget)
            ):
                matching.append(number)
        return matching

    def _above(self, element: Element) -> int:
        """The bits of the names that an element and its ancestors have."""
        way = []
        while element not in self.above:
            way.append(element)
            element = element.getparent()
        found = self.above[element]
        for element in reversed(way):
            classes, own_id = element.get("class"), element.get("id")
            found |= self.bits.get(element.tag, 0)
            if own_id is not None:
                found |= self.bits.get(f"#{own_id}", 0)
            if classes:
                if classes not in self.class_bits:
                    self.class_bits[classes] = reduce(
                        or_, [self.bits.get(f".{name}", 0) for name in classes.split()], 0
                    )
                found |= self.class_bits[classes]
            self.above[element] = found
        return found

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

    def _candidates(self, tag: str, classes: tuple[str, ...], own_id: str | None, *named: str) -> "_Candidates":
        """Of an element with these names, as far as some rule asks for them."""
        names = [tag, *classes] if own_id is None else [tag, *classes, own_id]
        index = self.index
        listed = [index[key] for key in ["", *names, *(f"[{name}" for name in named)] if key in index]
        if not listed:
            return _NONE
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
        return _Candidates(tuple(sure), perhaps) if sure or perhaps or self.budget.steps < 0 else _NONE

    def _won(self, text: str | None, numbers: tuple[int, ...]) -> Style:
        """Important wins over not, then the style attribute over sheets, then the order of priority."""
        blocks = [self._declared(self.rules[number].block) for number in numbers]
        if text and len(text) <= LONGEST_STYLE:
            blocks.append(self._declared(simplify(text)))
        elif text:
            self.skipped.add("css")
        style = {name: value for block in blocks for name, (value, important) in block.items() if not important}
        style |= {name: value for block in blocks for name, (value, important) in block.items() if important}
        return {name: value for name, value in style.items() if value is not UNSET}

    def _declared(self, block: str) -> Declared:
        """What a block declares of the properties that are followed."""
        found = self.declared.get(block)
        if found is None:
            declared = self._block(block).declared
            found = {name: value for name, value in declared.items() if name in self.follows}
            self.declared[block] = found
        return found

    def _block(self, block: str) -> Block:
        found = self.blocks.get(block)
        if found is None:
            found = self.blocks[block] = block_of(self.variables.put_into(block) if "var(" in block else block)
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
