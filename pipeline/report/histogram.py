"""How values are put into bins that people can read: round edges, the thresholds in view, the far tails apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["real", "integer", "boolean"]
Values = npt.NDArray[np.float64]

BINS = 28
"""About as many bars as a chart of 300 pixels shows apart."""
LOW, HIGH = 1, 99
"""Percentiles between which a chart shows single bins; what lies further out is gathered at its ends."""
DECADES = 1.5
"""Decades between the 5th and the 99th percentile from which an axis is logarithmic."""
MOST_DECADES = 12
"""Decades that an axis shows; what is smaller is gathered at its end."""


@dataclass(frozen=True)
class Bins:
    """Bins `edges[i] <= value < edges[i + 1]`, the last one closed; what lies below and above is counted apart.

    Integers have edges halfway between two of them, so that no value lies on an edge.
    """

    edges: tuple[float, ...]
    logarithmic: bool = False
    kind: Kind = "real"

    def __len__(self) -> int:
        return len(self.edges) - 1

    def count(self, values: Values) -> npt.NDArray[np.int64]:
        """[below, the bins..., above]. Values that are not numbers are not counted."""
        edges = np.asarray(self.edges)
        values = values[~np.isnan(values)]
        place = np.searchsorted(edges, values, side="right")
        place[values == edges[-1]] = len(self)
        return np.bincount(place, minlength=len(edges) + 1).astype(np.int64)


def plan_bins(sample: Values, kind: Kind, marks: Sequence[float] = ()) -> Bins:
    """Bins for values of which `sample` is a sample (NaN for those that are missing), wide enough to show `marks`.

    A mark so far out that the values would shrink to less than half of the axis is not shown.
    """
    if kind == "boolean":
        return Bins((-0.5, 0.5, 1.5), kind=kind)
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        sample = np.asarray(marks if len(marks) else [0.0], np.float64)
    positive = sample[sample > 0]
    # Shares stay linear, however small most of them are: people think of them as parts of a whole.
    if sample.min() >= 0 and len(positive) >= 0.95 * len(sample):
        low, high = np.percentile(positive, [5, HIGH])
        if high > 1 and math.log10(high / low) >= DECADES:
            low, high = np.percentile(positive, [LOW, HIGH])
            return _logarithmic(max(float(low), float(high) / 10**MOST_DECADES), float(high), kind, marks)
    return _linear(*_range(sample), kind, marks)


def _range(sample: Values) -> tuple[float, float]:
    """The percentiles, or the extremes where these lie near by."""
    low, high = np.percentile(sample, [LOW, HIGH]).tolist()
    margin = 0.25 * (high - low)
    least, most = float(sample.min()), float(sample.max())
    return (least if low - least <= margin else low), (most if most - high <= margin else high)


def _extended(low: float, high: float, marks: Sequence[float]) -> tuple[float, float]:
    """A range with those marks for which it need not become more than twice as wide, the nearest first."""
    span = high - low
    for mark in sorted(marks, key=lambda mark: max(low - mark, mark - high)):
        wider = min(low, mark), max(high, mark)
        if wider[1] - wider[0] <= 2 * span or span == 0:
            low, high = wider
    return low, high


def _linear(low: float, high: float, kind: Kind, marks: Sequence[float]) -> Bins:
    low, high = _extended(low, high, marks)
    if kind == "integer":
        whole = round(_step(max(high - low, 1), whole=True))
        first = math.floor(low / whole)
        stop = max(math.floor(high / whole) + 1, first + 3)  # one bar alone would fill the whole chart
        return Bins(tuple(number * whole - 0.5 for number in range(first, stop + 1)), kind=kind)
    if high == low:
        spread = 0.05 * max(abs(low), 1)
        low, high = low - (spread if low else 0), high + spread
    step = _step(high - low)
    # Multiples of the step, told apart from rounding errors: 0.30000000000000004 would put a value on the wrong side.
    first, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Bins(tuple(float(f"{number * step:.12g}") for number in range(first, max(stop, first + 1) + 1)), kind=kind)


def _step(span: float, whole: bool = False) -> float:
    """The width of a bin, 1, 2, 2.5 or 5 times a power of ten, of which about BINS fit into `span` (18 to 40)."""
    power = 10.0 ** math.floor(math.log10(span / BINS))
    steps = [float(f"{factor * power:.12g}") for factor in (1, 2, 2.5, 5, 10)]
    if whole:
        steps = [step for step in steps if step >= 1 and step == round(step)] or [1.0]
    return min(steps, key=lambda step: abs(math.log(span / step / BINS)))


def _logarithmic(low: float, high: float, kind: Kind, marks: Sequence[float]) -> Bins:
    usable = [math.log10(mark) for mark in marks if mark > 0]
    start, stop = _extended(math.log10(low), math.log10(high), usable)
    each = min((1, 2, 5, 10, 20), key=lambda each: abs((stop - start) * each - BINS))
    powers = range(math.floor(start * each + 1e-9), math.ceil(stop * each - 1e-9) + 1)
    edges = [float(f"{10 ** (power / each):.12g}") for power in powers]
    if kind == "integer":  # a bin that holds no integer would always be empty
        edges = sorted({math.ceil(edge) - 0.5 for edge in edges})
    return Bins(tuple(edges), True, kind)
