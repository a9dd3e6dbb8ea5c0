"""Pieces of the quality page: texts, rates, intervals and bars. Every text of a stranger comes through `text`."""

import html
import math
import re
import unicodedata
from collections.abc import Sequence

from labeling.quality.rates import INSUFFICIENT, Rate

LONG = 1500
"""Characters of an answer that are shown."""

_HIDDEN = ("Cf", "Cc", "Cs", "Co")
_WIDTH = 180


def shown(text: str) -> str:
    """A text for people to read: what is invisible, or would reorder the line, is named: `[U+202E]`."""
    return "".join(
        f"[U+{ord(one):04X}]" if unicodedata.category(one) in _HIDDEN and one not in "\n\t" else one for one in text
    )


def text(value: str) -> str:
    return html.escape(shown(value))


def marked(value: str, phrase: str) -> str:
    """A text with each place of a phrase marked, whatever stands between its words; cut where it is LONG."""
    cut = value if len(value) <= LONG else f"{value[:LONG]} ... ({len(value):,} characters)"
    pattern = r"\s*".join(re.escape(word) for word in phrase.split())
    parts, last = [], 0
    for found in re.finditer(pattern, cut, re.IGNORECASE):
        parts += [text(cut[last : found.start()]), f"<mark>{text(found.group())}</mark>"]
        last = found.end()
    return "".join([*parts, text(cut[last:])])


def percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}".replace(".0%", "%")


def number(value: float, digits: int = 2) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def seconds(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s" if value < 600 else f"{value / 60:.0f} min"


def rate(found: Rate) -> str:
    """A cell: the share with its interval and its count."""
    if not found.count:
        return '<td class="number">–</td>'
    note = "" if found.enough else f", {INSUFFICIENT}"
    return (
        f'<td class="number">{percent(found.value)}'
        f"<small>{percent(found.low)} to {percent(found.high)} of {found.count:,}{note}</small></td>"
    )


def interval(
    value: float,
    low: float,
    high: float,
    ends: tuple[float, float] = (0, 1),
    marks: Sequence[float] = (0.5,),
    anchors: Sequence[float] = (),
) -> str:
    """A value as a dot on its interval, between two ends, with ticks."""
    if math.isnan(value):
        return ""

    def at(one: float) -> str:
        share = (min(max(one, ends[0]), ends[1]) - ends[0]) / (ends[1] - ends[0])
        return f"{5 + _WIDTH * share:.1f}"

    lines = "".join(f'<line class="tick" x1="{at(one)}" x2="{at(one)}" y1="0" y2="20"/>' for one in marks)
    lines += "".join(f'<line class="anchor" x1="{at(one)}" x2="{at(one)}" y1="0" y2="20"/>' for one in anchors)
    return (
        f'<svg class="interval" viewBox="0 0 190 20" role="img" aria-label="{value:.2f}, from {low:.2f} to {high:.2f}">'
        f'<rect class="track" x="5" width="{_WIDTH}" height="20"/>{lines}'
        f'<line class="span" x1="{at(low)}" x2="{at(high)}" y1="10" y2="10" stroke-width="2"/>'
        f'<circle class="dot" cx="{at(value)}" cy="10" r="3.5"/></svg>'
    )


def bars(rows: Sequence[tuple[str, int]], kind: str = "") -> str:
    """Counts as bars, the longest one full."""
    most = max((count for _, count in rows), default=0) or 1
    drawn = "".join(
        f'<dt>{text(name)}</dt><dd class="draw">'
        '<svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="12"/><rect class="fill {kind}" width="{100 * count / most:.2f}" '
        f'height="12"/></svg></dd><dd class="number">{count:,}</dd>'
        for name, count in rows
    )
    return f'<dl class="bars">{drawn}</dl>'


def table(heads: Sequence[str], rows: Sequence[str]) -> str:
    """Rows are ready cells."""
    head = "".join(f"<th>{text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{cells}</tr>" for cells in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(value: str, kind: str = "number") -> str:
    return f'<td class="{kind}">{value}</td>'
