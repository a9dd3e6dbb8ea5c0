"""Colours of CSS, and whether two of them can be told apart.

Parsing is tinycss2's (CSS Color 4 and 5); contrast is that of WCAG 2.2 (relative luminance).
"""

import re
from functools import lru_cache

from tinycss2.color4 import Color
from tinycss2.color5 import parse_color

RGBA = tuple[float, float, float, float]
"""Red, green, blue and alpha, from 0 to 1."""

BLACK: RGBA = (0.0, 0.0, 0.0, 1.0)
WHITE: RGBA = (1.0, 1.0, 1.0, 1.0)
LINK: RGBA = (0.0, 0.0, 0.933, 1.0)
BUTTON: RGBA = (0.937, 0.937, 0.937, 1.0)
MARK: RGBA = (1.0, 1.0, 0.0, 1.0)
"""What browsers give to `a`, and what they paint behind `button` and `mark`."""
LEAST_CONTRAST = 1.2
"""WCAG 2.2 asks for 4.5 and calls 3 the least for large type. Pale grey on white as designers use it for decoration,
#ddd, has 1.36; #eee has 1.16, and who reads that text has been told where it is."""
LEAST_DIFFERENCE = 32 / 255
"""Of any channel: red and green of one luminance have no contrast, and can be told apart all the same."""
LONGEST = 200
_HEXADECIMAL = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})", re.IGNORECASE)
_COLOUR = re.compile(r"#[0-9a-f]{3,8}\b|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch|color)\([^()]*\)|\b[a-z]{3,25}\b")


def colour(text: str) -> RGBA | None:
    """A value of CSS, in lower case -> its colour; None where it is none, or one that is not known (`canvastext`)."""
    if text[:1] == "#":
        return _hexadecimal(text)
    return _known_colour(text) if len(text) <= LONGEST else None


def _hexadecimal(text: str) -> RGBA | None:
    """`#rgb`, `#rrggbb`, and with alpha; seven of ten colours on real pages."""
    if not _HEXADECIMAL.fullmatch(text):
        return None
    digits = text[1:] if len(text) > 5 else "".join(digit + digit for digit in text[1:])
    red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return (red, green, blue, int(digits[6:], 16) / 255 if len(digits) == 8 else 1.0)


@lru_cache(4096)
def _known_colour(text: str) -> RGBA | None:
    try:
        parsed = parse_color(text)
        return _srgb(parsed) if isinstance(parsed, Color) else None
    except (ValueError, NotImplementedError, RecursionError, TypeError):
        return None


def colours(text: str) -> list[RGBA]:
    """All colours that a value of several parts names: those of a gradient, or of a shadow."""
    return [found for word in _COLOUR.findall(text[:2000]) if (found := colour(word)) is not None]


def legacy_colour(text: str) -> RGBA | None:
    """The value of `bgcolor` or `<font color>`, where a `#` may be missing (HTML, legacy colours)."""
    text = text.strip().lower()
    return colour(text) or (colour("#" + text) if re.fullmatch("[0-9a-f]{6}|[0-9a-f]{3}", text) else None)


def over(top: RGBA, bottom: RGBA) -> RGBA:
    """A colour painted over an opaque one."""
    alpha = top[3]
    red, green, blue = (alpha * a + (1 - alpha) * b for a, b in zip(top[:3], bottom[:3], strict=True))
    return (red, green, blue, 1.0)


@lru_cache(4096)
def alike(text: RGBA, background: RGBA) -> bool:
    """Whether text in this colour can't be made out on this opaque background."""
    seen = over(text, background)
    if max(abs(a - b) for a, b in zip(seen, background, strict=True)) > LEAST_DIFFERENCE:
        return False
    light, dark = sorted((_luminance(seen), _luminance(background)), reverse=True)
    return (light + 0.05) / (dark + 0.05) < LEAST_CONTRAST


def _luminance(rgba: RGBA) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgba[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _xyz(parsed: Color) -> tuple[float, float, float]:
    """XYZ under D65; the lab colours are given under D50, whose white is scaled to that of D65."""
    try:
        x, y, z = parsed.to("xyz-d65").coordinates
    except NotImplementedError:
        x, y, z = parsed.to("xyz-d50").coordinates
        x, z = x * 0.9505 / 0.9643, z * 1.0891 / 0.8251
    return (x, y, z)


def _srgb(parsed: Color) -> RGBA:
    try:
        red, green, blue = parsed.to("srgb").coordinates
    except NotImplementedError:  # lab, oklch and their like: by way of XYZ (CSS Color 4, section 17)
        x, y, z = _xyz(parsed)
        linear = (
            3.2409699419 * x - 1.5373831776 * y - 0.4986107603 * z,
            -0.9692436363 * x + 1.8759675015 * y + 0.0415550574 * z,
            0.0556300797 * x - 0.2039769589 * y + 1.0569715142 * z,
        )
        red, green, blue = (12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in linear)
    red, green, blue = (min(max(float(c), 0.0), 1.0) for c in (red, green, blue))
    return (red, green, blue, float(parsed.alpha))
