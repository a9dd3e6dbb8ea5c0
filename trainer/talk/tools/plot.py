"""The tool `plot`: numbers as JSON in, a picture as PNG out. Matplotlib's object API: no window, no global figure."""

import io
import json
import math
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.talk.tools.tool import Result, ToolError, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

WIDTH, HEIGHT = 640, 400
"""Pixels."""
KINDS = ("line", "bar", "scatter")
FIELDS = ("kind", "x", "y", "title", "xlabel", "ylabel")
MAX_POINTS, MAX_LABELS, MAX_SERIES, MAX_CHARACTERS = 1000, 40, 8, 80
LEGEND_CHARACTERS = 24
"""The legend stands beside the axes, where it hides no point; longer names would leave them no room."""
LARGEST = 1e100
"""Beyond about 1e150 the axes' arithmetic overflows."""

_one_at_a_time = threading.Lock()
"""Matplotlib is not safe to use from several threads: they share its fonts."""


class Plot:
    name = "plot"
    description = (
        'plot JSON: draws numbers. "kind" is line, bar or scatter, "x" a list of numbers or labels, "y" a list of '
        'numbers or {"name": [numbers], ...}; "title", "xlabel", "ylabel" are optional. '
        'Example: plot {"kind": "bar", "x": ["a", "b"], "y": [3, 5], "title": "Votes"}'
    )

    def run(self, input: str) -> Result:
        chart = parse(input)
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a character that the font lacks is drawn as a box
            png = draw(chart)
        points = len(chart.x) * len(chart.series)
        return Result(f"plot of {points} point{'s' * (points != 1)}, {WIDTH}x{HEIGHT}", png)


@dataclass(frozen=True)
class Chart:
    """A valid request: each series has as many numbers as `x` has, and x is all numbers or all labels."""

    kind: str
    x: list[float] | list[str]
    series: Mapping[str, list[float]]
    """By name; a single series that has none is called ""."""
    title: str
    xlabel: str
    ylabel: str


def parse(input: str) -> Chart:
    """Raises ToolError, which says what is wrong with which field."""
    try:
        fields = json.loads(input)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"plot takes JSON, and this is none ({str(error)[:100]})") from None
    if not isinstance(fields, dict):
        raise ToolError('plot takes a JSON object with "kind", "x" and "y"')
    for name in fields:
        if name not in FIELDS:
            raise ToolError(f'plot has no "{name[:40]}"; its fields are {", ".join(FIELDS)}')
    kind = fields.get("kind", "line")
    if kind not in KINDS:
        raise ToolError(f'"kind" is {json.dumps(kind)[:40]}; expected {", ".join(KINDS)}')
    x = _x(fields.get("x"))
    y = fields.get("y")
    series = y if isinstance(y, dict) else {"": y}
    if not 1 <= len(series) <= MAX_SERIES:
        raise ToolError(f'"y" has {len(series)} series; expected 1 to {MAX_SERIES}')
    numbers = {_short(name, "a series' name"): _numbers(values, "y") for name, values in series.items()}
    for name, values in numbers.items():
        if len(values) != len(x):
            which = f'"y" of "{name}"' if name else '"y"'
            raise ToolError(f'{which} has {len(values)} numbers and "x" {len(x)}; expected as many')
    texts = {name: _short(fields.get(name, ""), f'"{name}"') for name in ("title", "xlabel", "ylabel")}
    return Chart(kind, x, numbers, **texts)


def _x(values: Any) -> list[float] | list[str]:
    if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
        if len(values) > MAX_LABELS:
            raise ToolError(f'"x" has {len(values)} labels; at most {MAX_LABELS} can be read')
        return [_short(value, 'a label of "x"') for value in values]
    return _numbers(values, "x")


def _numbers(values: Any, name: str) -> list[float]:
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_POINTS:
        raise ToolError(f'"{name}" must be a list of 1 to {MAX_POINTS} numbers')
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ToolError(f'"{name}" has {json.dumps(value)[:40]} in it; expected a number')
        if not (math.isfinite(value) if isinstance(value, float) else True) or abs(value) > LARGEST:
            raise ToolError(f'"{name}" has a number in it that is not within ±{LARGEST:g}')
    return [float(value) for value in values]


def _short(text: Any, what: str) -> str:
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        raise ToolError(f"{what} must be a text of at most {MAX_CHARACTERS} characters")
    return visible(" ".join(text.split()))


def draw(chart: Chart) -> bytes:
    """The picture, as PNG of WIDTH x HEIGHT pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="y" if chart.kind == "bar" else "both", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _draw_series(axes, chart)
    texts: list[Text] = [
        axes.set_title(chart.title, fontsize=11),
        axes.set_xlabel(chart.xlabel),
        axes.set_ylabel(chart.ylabel),
    ]
    if list(chart.series) != [""]:
        texts += figure.legend(loc="outside right upper", frameon=False).get_texts()
    for text in [*texts, *axes.get_xticklabels()]:
        text.set_parse_math(False)  # "$" is a currency here, and what stands behind it no formula
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return file.getvalue()


def _draw_series(axes: "Axes", chart: Chart) -> None:
    """Labels stand at 0, 1, 2, ...; the bars of several series beside each other."""
    labels = [value for value in chart.x if isinstance(value, str)]
    places = [float(place) for place in range(len(labels))] or [float(value) for value in chart.x]
    gaps = sorted({after - before for before, after in zip(sorted(places), sorted(places)[1:], strict=False)} - {0.0})
    width = 0.8 * (gaps[0] if gaps else 1.0) / len(chart.series)
    for number, (name, values) in enumerate(chart.series.items()):
        # Matplotlib leaves names out of the legend that begin with an underscore.
        label = f"\u200b{name}" if name.startswith("_") else name
        label = label if len(label) <= LEGEND_CHARACTERS else label[: LEGEND_CHARACTERS - 1] + "…"
        if chart.kind == "bar":
            offset = (number - (len(chart.series) - 1) / 2) * width
            axes.bar([place + offset for place in places], values, width, label=label)
        elif chart.kind == "scatter":
            axes.scatter(places, values, s=18, label=label)
        else:
            axes.plot(places, values, marker="o" if len(places) <= 40 else None, markersize=4, label=label)
    if labels:
        crowded = sum(map(len, labels)) > 60
        axes.set_xticks(places, labels, rotation=40 if crowded else 0, ha="right" if crowded else "center")
