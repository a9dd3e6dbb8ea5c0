"""Boxes that a person does not see although they are there: moved off the screen, clipped to nothing, made tiny.

Nothing is laid out, so only what is far (off the screen wherever the box was) or zero counts; a box that would have to
be measured is taken for visible.
"""

import re
from functools import lru_cache

from pipeline.crawl.hidden.lengths import length
from pipeline.crawl.hidden.values import UNKNOWN, Style, Value

FAR = 999.0
"""Pixels: `left: -999px` and `-9999px` are what people write; menus slide by less, and by percentages."""
FAR_RIGHT = 2_000.0
"""Beyond a wide screen. What is there can be reached by scrolling sideways, and nobody does."""
LEAST_PULLED = 50.0
"""Pixels by which a box is pulled off the screen: narrower ones hold no text."""
TINY = 1.0
LEAST_SCALE = 0.05
LEAST_OPACITY = 0.05

_FUNCTION = re.compile(r"(?<![\w-])([\w-]+)\(([^()]*)\)")
"""Beginning where a name does: tried at each letter of it, a long name takes time by its square."""
_MARGINS = ("margin-left", "margin-top")
NONE = (0.0, "px")


def pixels(value: Value, font: float) -> float | None:
    """A length in pixels; None for percentages and what is unknown."""
    if value is None or value is UNKNOWN:
        return None
    number, unit = value
    if unit == "em":
        return float(number * font)
    return float(number) if unit == "px" else None


def out_of_sight(style: Style, is_block: bool, font: float) -> str | None:
    """`off_screen`, `clipped` or `opacity`, if a box of this style can't be seen. `font` in pixels."""
    if _is_moved_away(style, font):
        return "off_screen"
    for name in ("transform", "translate", "scale"):
        if name in style and is_block and (verdict := transformed(name, str(style[name]))):
            return verdict
    if "filter" in style and filtered_out(str(style["filter"])):
        return "opacity"
    if "clip-path" in style and clip_path_is_empty(str(style["clip-path"])):
        return "clipped"
    if "clip" in style and style.get("position") in ("absolute", "fixed") and clip_is_empty(str(style["clip"])):
        return "clipped"
    return "clipped" if is_block and _is_tiny(style, font) else None


def _is_moved_away(style: Style, font: float) -> bool:
    for name in _MARGINS:
        if name in style and (moved := pixels(style[name], font)) is not None and moved <= -FAR:
            return True
    position = style.get("position")
    if position in (None, "static", UNKNOWN):
        return False
    left, right, top, bottom = (pixels(style.get(side), font) for side in ("left", "right", "top", "bottom"))
    if left is not None and (left <= -FAR or left >= FAR_RIGHT):
        return True
    if position == "fixed" and (
        waits_outside(style, "left", "width", font) or waits_outside(style, "top", "height", font)
    ):
        return True
    if "left" not in style and right is not None and (right >= FAR_RIGHT or right <= -FAR):
        return True
    if top is not None and (top <= -FAR or (top >= FAR_RIGHT and position == "fixed")):
        return True
    return (
        "top" not in style and bottom is not None and (bottom >= FAR_RIGHT or (bottom <= -FAR and position == "fixed"))
    )


def waits_outside(style: Style, side: str, size: str, font: float) -> bool:
    """Whether a box that is fixed to the screen ends where the screen begins.

    `left: 0; margin-left: -350px; width: 350px`, or `left: 0; transform: translateX(-100%)`, are menus that slide in.
    """
    names = (side, f"margin-{side}", f"padding-{side}")
    start, margin, padding = (pixels(style.get(name, NONE), font) for name in names)
    if side not in style or start is None or margin is None or padding is None or start + margin > 0:
        return False
    extent = pixels(style.get(size), font)
    if extent is not None and min(start, margin) <= -LEAST_PULLED and start + margin + padding + extent <= 0:
        return True
    return pulled_by_its_size(str(style.get("transform", ""))) == side


@lru_cache(4096)
def pulled_by_its_size(text: str) -> str | None:
    """The side, `left` or `top`, to which a value of `transform` moves a box by the whole of its size."""
    for function, argument in _FUNCTION.findall(text[:500]):
        moved = [part.strip() for part in argument.split(",")]
        if moved[0] == "-100%" and function in ("translatex", "translate", "translate3d"):
            return "left"
        if "-100%" in moved[:2] and function in ("translatey", "translate", "translate3d"):
            return "top"
    return None


@lru_cache(4096)
def transformed(name: str, text: str) -> str | None:
    """What a value of `transform`, `translate` or `scale` does to a box: `off_screen`, `clipped` or None."""
    if name == "scale":
        numbers = _numbers(text)
        return "clipped" if numbers and min(map(abs, numbers[:2])) < LEAST_SCALE else None
    calls = [("translate", text)] if name == "translate" else _FUNCTION.findall(text)
    for function, argument in calls:
        if function.startswith("translate"):
            moved = [pixels(length(part), 16.0) for part in re.split(r"[,\s]+", argument.strip()) if part]
            if function == "translatey":
                moved = [None, *moved]
            if function != "translatez" and any(
                far is not None and (far <= -FAR or (far >= FAR_RIGHT and not down))
                for down, far in enumerate(moved[:2])
            ):
                return "off_screen"
        elif function in ("scale", "scalex", "scaley", "scale3d"):
            numbers = _numbers(argument)
            if numbers and min(map(abs, numbers[:2])) < LEAST_SCALE:
                return "clipped"
        elif function in ("matrix", "matrix3d"):
            numbers = _numbers(argument)
            if len(numbers) == 6 and abs(numbers[0] * numbers[3] - numbers[1] * numbers[2]) < LEAST_SCALE**2:
                return "clipped"
    return None


def _numbers(text: str) -> list[float]:
    return [
        float(number) / (100 if percent else 1)
        for number, percent in re.findall(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(%)?", text[:500])
    ]


@lru_cache(4096)
def filtered_out(text: str) -> bool:
    """Whether a value of `filter` leaves nothing to be seen."""
    return any(
        function == "opacity" and (numbers := _numbers(argument)) and numbers[0] < LEAST_OPACITY
        for function, argument in _FUNCTION.findall(text)
    )


@lru_cache(4096)
def clip_is_empty(text: str) -> bool:
    """`rect(top, right, bottom, left)`, in pixels from the upper left corner."""
    match = re.fullmatch(r"rect\(([^()]*)\)", text)
    if match is None:
        return False
    sides = [pixels(length(part), 16.0) for part in re.split(r"[,\s]+", match[1].strip())]
    if len(sides) != 4:
        return False
    top, right, bottom, left = sides
    return (bottom is not None and bottom - (top or 0) <= TINY) or (right is not None and right - (left or 0) <= TINY)


@lru_cache(4096)
def clip_path_is_empty(text: str) -> bool:
    """Whether a value of `clip-path` leaves nothing to be seen."""
    match = re.match(r"(inset|circle|ellipse|polygon|rect|xywh)\(([^()]*)\)", text)
    if match is None:
        return False
    shape, argument = match[1], match[2]
    if shape == "inset":
        parts = [length(part) for part in argument.partition("round")[0].split()]
        if not parts or any(part is None or (part[1] != "%" and part[0]) for part in parts):
            return False
        top, right, bottom, left = (_side(parts, number) for number in range(4))
        return top + bottom >= 100 or left + right >= 100
    if shape in ("circle", "ellipse"):
        radii = [length(part) for part in argument.partition(" at ")[0].removeprefix("at ").split()]
        return any(radius is not None and radius[0] <= 0 for radius in radii)
    if shape == "polygon":
        points = {tuple(point.split()) for point in argument.removeprefix("evenodd,").split(",")}
        return all(len(point) == 2 for point in points) and (
            len({point[0] for point in points}) == 1 or len({point[1] for point in points}) == 1
        )
    return False


def _side(parts: list[tuple[float, str] | None], number: int) -> float:
    """Of one to four values, as margins are written."""
    here = number if number < len(parts) else (0, 0, 0, 1)[number] if number == 3 and len(parts) > 1 else number % 2
    part = parts[here if here < len(parts) else 0]
    return part[0] if part else 0.0


def _is_tiny(style: Style, font: float) -> bool:
    """A side of a pixel or none, nothing flowing over it, and no padding that would give it room."""
    if all(style.get(name, "visible") in ("visible", UNKNOWN) for name in ("overflow-x", "overflow-y")):
        return False
    if str(style.get("display", "")).startswith("table"):
        return False
    for name, paddings in (("height", ("padding-top", "padding-bottom")), ("width", ("padding-left", "padding-right"))):
        sizes = [size for key in (name, f"max-{name}") if (size := pixels(style.get(key), font)) is not None]
        if not sizes or min(sizes) > TINY:
            continue
        least = pixels(style.get(f"min-{name}"), font)
        if (least is None and f"min-{name}" not in style) or (least is not None and least <= TINY):
            padded = [style.get(padding) for padding in paddings]
            if all(padding is None or (padding is not UNKNOWN and padding[0] <= 0) for padding in padded):
                return True
    return False
