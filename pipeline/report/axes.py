"""Where values stand on an axis and which of them get a label. Pure arithmetic, no drawing."""

import math
from dataclasses import dataclass

from pipeline.report.histogram import Kind
from pipeline.report.numbers import nice_step, short


@dataclass(frozen=True)
class Axis:
    """Values `low` to `high` on pixels `start` to `stop` (which may run backwards, as heights do)."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; values beyond the ends stand at the ends."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.stop - self.start)

    def shows(self, value: float) -> bool:
        """Whether a value is within the ends."""
        return self.low <= value <= self.high

    def ticks(self, about: int, kind: Kind = "real") -> list[tuple[float, str]]:
        """About so many round values with their labels."""
        if self.logarithmic:
            return [(value, short(value)) for value in _powers(self.low, self.high, about)]
        step = nice_step(self.high - self.low, about)
        if kind != "real":
            step = max(1.0, step)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [float(f"{number * step:.12g}") for number in range(first, last + 1)]
        return [(value, short(value)) for value in values]


def _powers(low: float, high: float, about: int) -> list[float]:
    """Powers of ten, and so many round multiples of them as are needed."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        found = [float(f"{factor * 10.0**power:.12g}") for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) >= about - 1:
            break
    return found
