"""Lengths of CSS (Values and Units 4) in pixels, or relative to what only the element knows."""

import re
from functools import lru_cache

VIEWPORT = (1280, 800)
"""Pixels of the window that widths in `vw`, heights in `vh` and media queries are about: a desk, not a phone."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_LENGTH = re.compile(rf"({_NUMBER})([a-z]+|%)?")
_CALC_PART = re.compile(rf"\s*({_NUMBER})([a-z]+|%)?\s*([-+*/]?)")
_PIXELS = {"px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945, "rem": 16.0}
_PIXELS |= dict.fromkeys(("vw", "vmax", "svw", "lvw", "dvw", "vi"), VIEWPORT[0] / 100)
_PIXELS |= dict.fromkeys(("vh", "vmin", "svh", "lvh", "dvh", "vb"), VIEWPORT[1] / 100)

Length = tuple[float, str]
"""(number, unit): `px`, `em` or `%`."""


def length(text: str) -> Length | None:
    """`-9999px` -> (-9999.0, "px"); absolute units come as pixels; None where it is no length."""
    if text.startswith("calc(") and text.endswith(")"):
        return _calc(text[5:-1])
    match = _LENGTH.fullmatch(text)
    if match is None:
        return None
    return _length(match)


def _length(match: re.Match[str]) -> Length | None:
    number, unit = float(match[1]), match[2]
    if unit is None:
        return (0.0, "px") if number == 0 else None
    if unit in _PIXELS:
        return number * _PIXELS[unit], "px"
    if unit in ("em", "ex", "ch", "lh", "ic", "cap"):
        return number * (0.5 if unit in ("ex", "ch") else 1), "em"
    return (number, "%") if unit == "%" else None


def fraction(text: str) -> float | None:
    """`.5` and `50%` -> 0.5, nothing below 0 or above 1."""
    match = _LENGTH.fullmatch(text)
    if match is None or match[2] not in (None, "%"):
        return None
    return min(max(float(match[1]) / (100 if match[2] else 1), 0.0), 1.0)


@lru_cache(2048)
def _calc(text: str) -> Length | None:
    """Sums of lengths of one unit and products with numbers, without brackets."""
    terms: list[tuple[float, str]] = []
    at, sign, product, unit, operator = 0, 1.0, 1.0, "", "*"
    while at < len(text):
        part = _CALC_PART.match(text, at)
        if part is None or part.end() == at:
            return None
        here = (float(part[1]), "") if part[2] is None else _length(part)
        if here is None or (operator == "/" and (here[1] or not here[0])):
            return None
        product = product / here[0] if operator == "/" else product * here[0]
        unit = unit or here[1]
        at, operator = part.end(), part[3]
        if operator in ("+", "-") or at >= len(text):
            terms.append((sign * product, unit))
            sign, product, unit, operator = (-1.0 if operator == "-" else 1.0), 1.0, "", "*"
        elif not operator:
            return None
    units = {unit for value, unit in terms if value}
    if len(units) > 1 or "" in units:
        return None
    return (sum(value for value, _ in terms), units.pop()) if units else (0.0, "px")
