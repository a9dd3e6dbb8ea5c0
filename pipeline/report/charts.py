"""Charts as inline SVG: a bar, a histogram with its thresholds, a loss curve. Pure functions of the data.

Colours are classes that the style sheet fills, so a chart follows light and dark mode.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from pipeline.report.axes import Axis
from pipeline.report.data import Curve, Measured, Threshold
from pipeline.report.markup import Markup, join, tag
from pipeline.report.numbers import count, plural, share, short
from pipeline.report.removals import bounds

WIDTH, HEIGHT = 340, 170
LEFT, RIGHT, TOP, BOTTOM = 34, 6, 22, 24
TAIL = 15
"""Pixels that a tail's bar takes, with the gap that sets it apart."""
CROWD = 4
"""How many times as high as the next one a bar must be to be cut off: the others would else be invisible."""
LETTER = 6.2
"""About how wide a letter of a label is."""
CURVE_WIDTH, CURVE_HEIGHT = 640, 300
CURVE_POINTS = 400


def bar(*segments: tuple[str, float]) -> Markup:
    """A horizontal bar of (class, share of the full width). Not read out: the numbers beside it say the same."""
    drawn, start = [], 0.0
    for name, part in segments:
        width = f"{100 * part:.2f}%"
        if part > 0:
            drawn.append(tag("rect", x=f"{100 * start:.2f}%", y=0, width=width, height="100%", class_=name))
        start += part
    return tag("svg", *drawn, class_="bar", aria_hidden="true", focusable="false")


def histogram(measured: Measured) -> Markup:
    """Kept documents below, removed ones on top of them; the tails apart, the side that fails shaded."""
    totals = [kept + removed for kept, removed in zip(measured.kept, measured.removed, strict=True)]
    bins, base = measured.bins, HEIGHT - BOTTOM
    start = LEFT + (TAIL if totals[0] else 0)
    stop = WIDTH - RIGHT - (TAIL if totals[-1] else 0)
    across = Axis(bins.edges[0], bins.edges[-1], start, stop, bins.logarithmic)
    edges = [across.at(edge) for edge in bins.edges]
    spans = [(LEFT, LEFT + TAIL - 4.0), *pairwise(edges), (stop + 4.0, WIDTH - RIGHT)]
    top, cut = _top(totals)
    up = Axis(0, top, base, TOP + 4)
    parts = [_shade(threshold, measured, across) for threshold in measured.thresholds]
    parts += [
        tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up.at(value), y2=up.at(value), class_="grid")
        for value, _ in up.ticks(3, "integer")
        if value
    ]
    for number, (span, total) in enumerate(zip(spans, totals, strict=True)):
        if total:
            tall = measured.kept[number], measured.removed[number]
            parts.append(_column(span, tall, up, _bin_name(measured, number), number == cut))
    parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base, class_="axis"))
    parts += _x_labels(measured, across, totals)
    parts += [
        tag("text", label, x=LEFT - 5, y=up.at(value) + 4, text_anchor="end") for value, label in up.ticks(3, "integer")
    ]
    parts += _threshold_marks(measured, across)
    return tag(
        "svg", tag("title", _summary(measured)), *parts, class_="chart", role="img", viewBox=f"0 0 {WIDTH} {HEIGHT}"
    )


def _top(totals: Sequence[int]) -> tuple[float, int | None]:
    """How high the axis goes, and which bar is cut off there, if one towers above all others."""
    order = np.argsort(totals)[::-1]
    highest, second = totals[order[0]], totals[order[1]] if len(totals) > 1 else 0
    if second and highest > CROWD * second:
        return second * 1.6, int(order[0])
    return max(highest, 1) * 1.04, None


def _column(span: tuple[float, float], tall: tuple[int, int], up: Axis, name: str, cut: bool) -> Markup:
    """One bin's bar. A bar that is cut off keeps the proportion of kept and removed, and bears its number."""
    left, width = span[0] + 0.4, max(span[1] - span[0] - 0.8, 0.8)
    kept, removed = tall
    factor = up.high / (kept + removed) if cut else 1
    foot, middle, head = up.at(0), up.at(kept * factor), up.at((kept + removed) * factor)
    parts: list[Markup] = [tag("title", f"{name}: {count(kept)} kept, {count(removed)} removed")]
    if kept:
        parts.append(tag("rect", x=left, y=middle, width=width, height=foot - middle, class_="kept"))
    if removed:
        parts.append(tag("rect", x=left, y=head, width=width, height=middle - head, class_="removed"))
    if cut:
        notch = head + 9
        wave = f"M{left - 2:.1f} {notch + 3:.1f} L{left + width + 2:.1f} {notch - 3:.1f}"
        parts.append(tag("path", d=wave, class_="notch"))
        right = span[1] < WIDTH * 0.7
        where = {"x": span[1] + 4 if right else span[0] - 4, "text_anchor": "start" if right else "end"}
        parts.append(tag("text", count(kept + removed), y=head + 10, class_="strong", **where))
    return tag("g", *parts)


def _bin_name(measured: Measured, number: int) -> str:
    """The values that a bar stands for."""
    edges, kind = measured.bins.edges, measured.bins.kind
    if kind == "boolean":
        return ("below no", "no", "yes", "above yes")[number]
    if number == 0:
        return f"below {short(edges[0] + (0.5 if kind == 'integer' else 0))}"
    if number == len(edges):
        return f"above {short(edges[-1] - (0.5 if kind == 'integer' else 0))}"
    low, high = edges[number - 1], edges[number]
    if kind == "integer":
        first, last = round(low + 0.5), round(high - 0.5)
        return short(first) if first == last else f"{short(first)} to {short(last)}"
    return f"{short(low)} to {short(high)}"


def _x_labels(measured: Measured, across: Axis, totals: Sequence[int]) -> list[Markup]:
    """Values below the axis; the tails get theirs first, and what would run into them is left out."""
    y, kind = HEIGHT - 8, measured.bins.kind
    if kind == "boolean":
        names = ((0, "no"), (1, "yes"))
        return [tag("text", name, x=across.at(value), y=y, text_anchor="middle") for value, name in names]
    labels, taken = [], []
    low, high = across.low, across.high
    inset = 0.5 if kind == "integer" else 0.0
    if totals[0]:
        text = f"<{_rounded(low + inset)}"
        labels.append(tag("text", text, x=LEFT - 4, y=y, text_anchor="start"))
        taken.append((0.0, LEFT - 4 + len(text) * LETTER))
    if totals[-1]:
        text = f">{_rounded(high - inset)}"
        labels.append(tag("text", text, x=WIDTH - RIGHT + 4, y=y, text_anchor="end"))
        taken.append((WIDTH - RIGHT + 4 - len(text) * LETTER, float(WIDTH)))
    for value, text in across.ticks(5, kind):
        x, half = across.at(value), len(text) * LETTER / 2
        if all(x + half + 8 < begin or x - half - 8 > end for begin, end in taken):
            x = min(x, WIDTH - half)
            labels.append(tag("text", text, x=x, y=y, text_anchor="middle"))
            labels.append(tag("line", x1=x, x2=x, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM + 3, class_="axis"))
            taken.append((x - half, x + half))
    return labels


def _rounded(value: float) -> str:
    """A tail's bound, which need not be a round number, in three digits."""
    return short(float(f"{value:.3g}"))


def _limits(threshold: Threshold, measured: Measured) -> list[tuple[float, bool]]:
    """(where a bound stands on the axis, whether it is a minimum). Between two integers, where a bar begins."""
    off = 0.0 if measured.bins.kind == "real" else -0.5 if threshold.exclusive else 0.5
    limits = []
    if threshold.minimum is not None:
        limits.append((threshold.minimum - off, True))
    if threshold.maximum is not None:
        limits.append((threshold.maximum + off, False))
    return limits


def _shade(threshold: Threshold, measured: Measured, across: Axis) -> Markup:
    """The side of each bound where documents fail."""
    shades = []
    for value, is_minimum in _limits(threshold, measured):
        if across.shows(value):
            x = across.at(value)
            left, right = (LEFT, x) if is_minimum else (x, WIDTH - RIGHT)
            area = {"x": left, "y": TOP, "width": max(right - left, 0.0), "height": HEIGHT - TOP - BOTTOM}
            shades.append(tag("rect", class_="fail", **area))
    return join(shades)


def _threshold_marks(measured: Measured, across: Axis) -> list[Markup]:
    """A line at each bound with its value above; a bound outside the chart is named at the edge it lies behind."""
    marks = []
    limits = [(limit, threshold) for threshold in measured.thresholds for limit in _limits(threshold, measured)]
    for (value, is_minimum), threshold in limits:
        text = _bound_name(threshold, is_minimum, measured)
        if not across.shows(value):
            before = value < across.low
            edge, anchor = (LEFT, "start") if before else (WIDTH - RIGHT, "end")
            label = f"← {text}" if before else f"{text} →"
            marks.append(tag("text", label, x=edge, y=TOP - 8, text_anchor=anchor, class_="bound"))
            continue
        line, wide = across.at(value), len(text) * LETTER
        marks.append(tag("line", x1=line, x2=line, y1=TOP - 4, y2=HEIGHT - BOTTOM, class_="bound"))
        # Of two bounds the lower one's label reaches to the left and the upper one's to the right.
        if len(limits) == 1:
            anchor, start = "middle", min(max(line, LEFT + wide / 2 - 6), WIDTH - wide / 2)
        elif is_minimum:
            anchor, start = "end", max(line + 4, wide)
        else:
            anchor, start = "start", min(line - 4, WIDTH - wide)
        marks.append(tag("text", text, x=start, y=TOP - 8, text_anchor=anchor, class_="bound"))
    return marks


def _bound_name(threshold: Threshold, is_minimum: bool, measured: Measured) -> str:
    if measured.bins.kind == "boolean":
        return "must be yes" if is_minimum else "must be no"
    half = Threshold(
        "", threshold.minimum if is_minimum else None, None if is_minimum else threshold.maximum,
        threshold.exclusive, 0, 0,
    )  # fmt: skip
    return bounds(half)


def _summary(measured: Measured) -> str:
    """What a histogram shows, for people who do not see it."""
    kept, removed = sum(measured.kept), sum(measured.removed)
    totals = [one + other for one, other in zip(measured.kept, measured.removed, strict=True)]
    fullest = _bin_name(measured, int(np.argmax(totals)))
    text = f"Histogram of {measured.column} over {plural(kept + removed, 'document')}"
    text += f" ({count(kept)} kept, {count(removed)} removed); the fullest bin is {fullest}." if removed else "."
    for threshold in measured.thresholds:
        text += f" Wanted: {bounds(threshold)}; {share(threshold.fail, measured.documents)} fail."
    return text


def curve(data: Curve) -> Markup:
    """Training and held-out loss over steps. Long trainings are averaged to `CURVE_POINTS` points."""
    steps, losses = _averaged(data.steps, data.loss)
    shown = np.array([*losses, *data.validation_loss])
    low, high = float(shown.min()), float(shown.max())
    logarithmic = low > 0 and high / low > 3
    margin = 1.03 if logarithmic else 1 + 0.05 * (high - low) / high if high > low else 1.05
    left, base = 52, CURVE_HEIGHT - 44
    across = Axis(0, max(data.steps[-1], 1), left, CURVE_WIDTH - 14)
    up = Axis(low / margin, high * margin, base, 12, logarithmic)
    parts = []
    for value, text in up.ticks(5):
        parts.append(tag("line", x1=left, x2=CURVE_WIDTH - 14, y1=up.at(value), y2=up.at(value), class_="grid"))
        parts.append(tag("text", text, x=left - 8, y=up.at(value) + 4, text_anchor="end"))
    for value, text in across.ticks(6, "integer"):
        parts.append(tag("text", text, x=across.at(value), y=base + 18, text_anchor="middle"))
    parts.append(tag("line", x1=left, x2=CURVE_WIDTH - 14, y1=base, y2=base, class_="axis"))
    middle = f"translate(12 {(12 + base) / 2:.0f}) rotate(-90)"
    parts.append(
        tag(
            "text", f"loss, nats a token{' (log scale)' if logarithmic else ''}", transform=middle, text_anchor="middle"
        )
    )
    parts.append(tag("text", "training step", x=(left + CURVE_WIDTH) / 2, y=CURVE_HEIGHT - 6, text_anchor="middle"))
    parts.append(tag("path", d=_line(across, up, steps, losses), class_="training"))
    parts.append(tag("path", d=_line(across, up, data.validation_steps, data.validation_loss), class_="held-out"))
    parts += [
        tag("circle", tag("title", f"step {count(step)}: {loss:.4f}"), cx=across.at(step), cy=up.at(loss), r=3)
        for step, loss in zip(data.validation_steps, data.validation_loss, strict=True)
    ]
    title = f"Loss over {plural(data.steps[-1], 'training step')}: from {data.loss[0]:.3f} to {data.loss[-1]:.3f}"
    if data.validation_loss:
        title += f"; held out, from {data.validation_loss[0]:.3f} to {data.validation_loss[-1]:.3f}"
    box = f"0 0 {CURVE_WIDTH} {CURVE_HEIGHT}"
    return tag("svg", tag("title", title + "."), *parts, class_="chart wide", role="img", viewBox=box)


def _averaged(steps: Sequence[int], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most `CURVE_POINTS` points, each the mean of its neighbours."""
    groups = np.array_split(np.arange(len(steps)), min(len(steps), CURVE_POINTS))
    x, y = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    return [float(x[group].mean()) for group in groups], [float(y[group].mean()) for group in groups]


def _line(across: Axis, up: Axis, x: Iterable[float], y: Iterable[float]) -> str:
    points = [f"{across.at(one):.1f} {up.at(other):.1f}" for one, other in zip(x, y, strict=True)]
    return "M" + " L".join(points) if points else ""
