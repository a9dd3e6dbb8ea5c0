"""Rewards that can be checked: an answer against what is known to be right, without a model that could be flattered.

Verifiable rewards are those of Lambert et al. 2024 (Tülu 3), section 6; an answer's last number, or the one behind
"####", is how GSM8K is scored (Cobbe et al. 2021). What cannot be read unmistakably scores 0: a policy finds every
answer that counts as right without being it.
"""

import functools
import importlib
import json
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal


class Verifier(ABC):
    """Scores answers. An `expected` that no answer could meet is a fault of the task: a ValueError, not a 0."""

    @abstractmethod
    def score(self, prompt: str, answer: str, expected: str) -> float:
        """In [0, 1]. Takes time linear in the length of the answer, which a model wrote and may be anything."""

    def compare(self, prompt: str, answer_a: str, answer_b: str, expected: str) -> Literal["a", "b", "tie"]:
        """Which of two answers is the better one, without a word of who wrote them."""
        a, b = self.score(prompt, answer_a, expected), self.score(prompt, answer_b, expected)
        return "a" if a > b else "b" if b > a else "tie"


@dataclass(frozen=True)
class Exact(Verifier):
    """1 where the texts are the same but for case, outer and repeated white space, and how accents are composed."""

    def score(self, prompt: str, answer: str, expected: str) -> float:
        return float(_plain(answer) == _plain(expected))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


MARKER = "####"
MOST_DIGITS = 1000
"""A number with more digits, or a larger exponent, is none: Python reads digits in quadratic time."""

# \d is a decimal digit of any script, and int() reads them all. Thousands are set apart by commas, apostrophes or
# narrow spaces, decimals by a point. Runs of digits are possessive (++): no text makes the search go back over them.
_NUMBER = re.compile(
    r"""
    (?=[-+−$€£¥₹₩.\d¼½¾⅐-⅞])(?<![A-Za-z_\d])                                  # not the 2 of x2 and H_2
    (?P<sign>(?:(?<![\w)])[-+−])?(?:[$€£¥₹₩]\ ?[-+−]?)?)
    (?: (?:(?P<units>\d++)\ )?(?P<over>\d++)\ ?[/⁄]\ ?(?P<under>\d++)(?![/\d])  # 3/4, 1 3/4
      | (?:(?P<before>\d++)\ ?)?(?P<vulgar>[¼½¾⅐-⅞])                            # ¾, 1¾
      | (?P<whole>\d{1,3}(?:[,'’\u00a0\u2009\u202f]\d{3})++(?!\d)|\d++)         # 1,234
        (?P<part>\.\d++)?(?:[eE](?P<exponent>[-+−]?\d++))?                     # 1.5, 1e6
      | (?P<bare>\.\d++)                                                       # .5
    )
    (?P<percent>\ ?[%٪])?
    """,
    re.VERBOSE,
)
# What makes an answer's number a part of something: right before it the rest of an expression, a range, a date, a
# version, and right behind it a power;
_JOINED = re.compile(r"(?:[\d)](?:[.:⁄~–—]| ?[-−+*×·÷/]{1,2} ?)|\^ ?[-−({]?)\Z")
_RAISED = re.compile(r" ?\^|[⁰¹²³⁴-⁹]")
# before it a word that denies it, or offers it as one of two.
_HEDGED = re.compile(
    r"\b(?:or|nor|not)(?: (?:maybe|perhaps|possibly|even|else|rather|is it|it is|it's))*[^\w.!?:=\n]{0,3}\Z", re.I
)
# Characters without a shape: what a reader does not see is not read either, and parts nothing.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")


@dataclass(frozen=True)
class Stated:
    """A number as a text states it: 50% has the value 1/2."""

    value: Fraction
    decimal: bool
    percent: bool


@dataclass(frozen=True)
class Number(Verifier):
    """1 where the number that the answer ends on is the expected one.

    That is the last number of the text; where "####" stands, the only one on the line behind the last "####". Naming
    several gains nothing, as one alone counts, and it must stand alone: not "3 - 4", "3 or 4", "not 4" or "1:30".
    Whole numbers and fractions must be equal. Where either is a decimal, `tolerance` is how far they may be apart, in
    units, or as a share of the expected number where that is below 1: 0.3333 is 1/3, and 0.333 is not. Where only one
    of them is a percentage, 50% is 0.5 and 50 too.
    """

    tolerance: Fraction = Fraction(1, 10_000)

    def score(self, prompt: str, answer: str, expected: str) -> float:
        wanted = stated_number(expected)
        if wanted is None:
            raise ValueError(f'expected is "{expected[:80]}", which states no single number; give one, such as "42".')
        found = stated_number(answer)
        return float(found is not None and self._same(found, wanted))

    def _same(self, found: Stated, wanted: Stated) -> bool:
        tolerance = self.tolerance if found.decimal or wanted.decimal else Fraction(0)
        pairs = [(found.value, wanted.value)]
        if found.percent != wanted.percent:
            pairs.append((found.value * 100**found.percent, wanted.value * 100**wanted.percent))
        return any(abs(a - b) <= tolerance * min(Fraction(1), abs(b)) for a, b in pairs)


def stated_number(text: str) -> Stated | None:
    """The number that a text gives as its answer, as `Number` describes; None where there is none, or it is unclear."""
    text = _INVISIBLE.sub("", text)
    marker = text.rfind(MARKER)
    if marker >= 0:
        text = text[marker + len(MARKER) :].split("\n", 1)[0]
    matches = deque(_NUMBER.finditer(text), maxlen=None if marker >= 0 else 2)
    if not matches or (marker >= 0 and len({match.group() for match in matches}) > 1):
        return None
    last = matches[-1]
    found, before = _value(last), text[max(0, last.start() - 60) : last.start()]
    if found is None or _JOINED.search(before) or _RAISED.match(text, last.end()):
        return None
    if _HEDGED.search(before):
        other = _value(matches[-2]) if len(matches) > 1 else None
        return found if other is not None and other.value == found.value else None
    return found


def _value(match: re.Match[str]) -> Stated | None:
    """None for what looks like a number and is none (1/0), and for one too long to be read."""
    names = ("units", "over", "under", "before", "whole")
    units, over, under, before, whole = (re.sub(r"\D", "", match[name] or "") for name in names)
    part = (match["part"] or match["bare"] or ".")[1:]
    exponent = match["exponent"] or "0"
    if max(map(len, (units, over, under, before, whole, part))) > MOST_DIGITS or len(exponent) > 5:
        return None
    power = int(exponent.replace("−", "-"))
    if abs(power) > MOST_DIGITS or (under and not int(under)):
        return None
    if under:
        value = int(units or 0) + Fraction(int(over), int(under))
    elif match["vulgar"]:
        value = int(before or 0) + Fraction(unicodedata.numeric(match["vulgar"])).limit_denominator(10)
    else:
        value = Fraction(int(whole + part), 10 ** len(part)) * Fraction(10) ** power
    if "-" in match["sign"] or "−" in match["sign"]:
        value = -value
    percent = bool(match["percent"])
    return Stated(value / 100 if percent else value, bool(part), percent)


_WIDE = str.maketrans("ＡＢＣＤａｂｃｄ（）", "ABCDabcd()")  # as keyboards for Chinese and Japanese write them
_ALONE = re.compile(r"[(\[*\"']{0,4}([A-Da-d])[)\]*\"'.:]{0,5}")
_ANNOUNCED = re.compile(
    r"\b(?i:answer|choice|option|choose|pick|select)\b(?i: is|\ would\ be|:){0,2}[\s(\[*\"']{0,6}"
    r"(?:([A-D])(?![\w’'])|([a-d])(?=[)\].,;:!*\"']|\s*$))"
    r"(?P<more>[)\]*\"']{0,4}\s?(?:,|/|&|or\b|and\b)\s?[(\[*\"']{0,4}[A-D]\b)?"
)
_MARKED = re.compile(r"(?<!\w)[(\[]([A-D])[)\]]|^[ *]{0,4}([A-D])[).:]", re.M)


@dataclass(frozen=True)
class Choice(Verifier):
    """1 where the answer settles on the expected letter, A to D.

    That is a text of the letter alone ("b", "(B)."), else the last one announced ("the answer is B"), else the only
    one that stands in brackets or opens a line ("B) Paris"). "B or C" settles on none, and "a cat" is no letter.
    """

    def score(self, prompt: str, answer: str, expected: str) -> float:
        wanted = _ALONE.fullmatch(expected.strip())
        if wanted is None:
            raise ValueError(f'expected is "{expected[:80]}"; for a choice it is one letter of A, B, C and D.')
        return float(_chosen(answer) == wanted[1].upper())


def _chosen(answer: str) -> str | None:
    answer = _INVISIBLE.sub("", answer).translate(_WIDE).strip()
    if alone := _ALONE.fullmatch(answer):
        return alone[1].upper()
    announced = deque(_ANNOUNCED.finditer(answer), maxlen=1)
    if announced:
        return None if announced[0]["more"] else (announced[0][1] or announced[0][2]).upper()
    marked = {match[1] or match[2] for match in _MARKED.finditer(answer)}
    return marked.pop() if len(marked) == 1 else None


@dataclass(frozen=True)
class Json(Verifier):
    """1 for a JSON value (RFC 8259: no NaN, nothing before or behind), nested as deep as Python reads: about 1,000."""

    def score(self, prompt: str, answer: str, expected: str) -> float:
        try:  # numbers stay text: their digits are not what is judged, and long ones take long
            json.loads(answer, parse_int=str, parse_float=str, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return 0.0
        return 1.0


def _refuse(constant: str) -> None:
    raise ValueError(constant)


@dataclass(frozen=True)
class Format(Verifier):
    """1 where the whole answer matches a regular expression: `pattern`, or without one each task's own, in `expected`.

    By RE2 (the package google-re2), whose time is linear in the text: with Python's own engine `(a+)+b` takes 2^n steps
    on n letters, and one answer would stop the training. RE2 knows no look-around and no back-references.
    """

    pattern: str = ""

    def __post_init__(self) -> None:
        _compiled(self.pattern)

    def score(self, prompt: str, answer: str, expected: str) -> float:
        compiled = _compiled(self.pattern or expected)
        return float(compiled.fullmatch(answer.encode(errors="replace")) is not None)


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    try:
        re2: Any = importlib.import_module("re2")
    except ImportError as error:
        raise ValueError("the verifier format needs the package google-re2; pip install google-re2.") from error
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        raise ValueError(f'the pattern "{pattern[:80]}" is no RE2 expression: {error.args[0].decode()}.') from error


@dataclass(frozen=True)
class Combined(Verifier):
    """The mean of other verifiers' scores by their weights; all see the same `expected`."""

    parts: tuple[tuple[Verifier, float], ...]

    def __post_init__(self) -> None:
        if not self.parts or any(weight <= 0 for _, weight in self.parts):
            raise ValueError(f"weights are {[weight for _, weight in self.parts]}; give some, all more than 0.")

    def score(self, prompt: str, answer: str, expected: str) -> float:
        total = sum(weight for _, weight in self.parts)
        return sum(weight * part.score(prompt, answer, expected) for part, weight in self.parts) / total


VERIFIERS: dict[str, Callable[[], Verifier]] = {
    "exact": Exact,
    "number": Number,
    "choice": Choice,
    "json": Json,
    "format": Format,
}


def verifier(name: str) -> Verifier:
    """The verifier of that name; "format:PATTERN" is `format` with one pattern for all tasks."""
    if name.startswith("format:"):
        return Format(name.removeprefix("format:"))
    if name not in VERIFIERS:
        raise ValueError(f'there is no verifier "{name}"; expected {", ".join(VERIFIERS)}, or format:PATTERN.')
    return VERIFIERS[name]()


def combined(weights: Mapping[str, float]) -> Verifier:
    """Verifiers by name and how much each counts: {"number": 0.9, "format:.*####.*": 0.1}."""
    return Combined(tuple((verifier(name), weight) for name, weight in weights.items()))
