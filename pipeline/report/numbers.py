"""Numbers as people read them: thousands separators, shares, sizes, short labels for axes."""

import math


def count(value: int) -> str:
    """1234567 -> 1,234,567."""
    return f"{value:,}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """(1, "document") -> 1 document; (2, "document") -> 2 documents."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def share(part: float, whole: float) -> str:
    """A percentage with one decimal; what is neither nothing nor all never reads as such."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "<0.1%"
    if 99.95 <= percent < 100:
        return ">99.9%"
    return f"{percent:.1f}%"


def size(value: float) -> str:
    """Bytes in decimal units: 31400000 -> 31.4 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB" if value < 999.5 else f"{value:,.0f} TB"


def big(value: float) -> str:
    """Three digits and a suffix: 1234567 -> 1.23M."""
    for suffix in ("", "k", "M", "B"):
        if abs(value) < 999.5:
            return f"{value:.3g}{suffix}"
        value /= 1000
    return f"{value:,.3g}T" if abs(value) < 999.5 else f"{value:,.0f}T"


def short(value: float) -> str:
    """A threshold or an axis's label: 0.12, 50, 1,500, 100k."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return big(value)
    if abs(value) >= 1_000 and value == round(value):
        return f"{value:,.0f}"
    return f"{value:.6g}" if abs(value) >= 1e-4 else f"{value:.1e}"


def nice_step(span: float, about: int) -> float:
    """A step of 1, 2 or 5 times a power of ten, of which about `about` fit into `span` (> 0)."""
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    factor = next((factor for factor in (1, 2, 5) if raw <= factor * power * 1.0001), 10)
    step = factor * power
    return float(f"{step:.12g}")
