"""The page's part about what people left as they were shown it: of all of them together."""

from labeling.quality.elements import cell, interval, percent, rate, table, text
from labeling.quality.quality import Quality
from labeling.quality.rates import Rate
from labeling.quality.speed import READ_PER_SECOND

UNKNOWN = "unknown (no times)"


def habits(found: Quality) -> str:
    shown = found.as_shown
    rows = []
    if shown.first.count:
        rows.append(_row(f"the {first_name(found.kind)}", shown.first, shown.first_chance, None))
    if shown.order.count:
        rows.append(_row("order unchanged", shown.order, shown.order_chance, shown.order_fast))
    if shown.draft.count:
        rows.append(_row("draft unchanged", shown.draft, None, shown.draft_fast))
    if not rows:
        return "<p>Nothing in these labels could be left as it was shown: no order of answers, and no draft.</p>"
    notes = []
    if shown.first.count:
        notes.append(
            "Where an answer stands is drawn by lot for each task. So chance, the line in the bar, is what people "
            "reach who go by what the answers say; where the interval does not touch it, they go by the place."
        )
    if shown.order.count or shown.draft.count:
        notes.append(
            f"Faster than it can be read is faster than {READ_PER_SECOND} characters a second; it counts only labels "
            "whose time is known."
        )
    heads = ["", "of all", "0 to 100%", "by chance", "faster than it can be read"]
    return table(heads, rows) + f'<p class="soft">{" ".join(notes)}</p>'


def first_name(kind: str) -> str:
    """What is counted as the answer shown first."""
    return "first answer ranked best" if kind == "rankings" else "left answer chosen"


def fast(found: Rate) -> str:
    """In words, how many of what was left were left too fast."""
    return str(found) if found.count else UNKNOWN


def _row(name: str, found: Rate, chance: float | None, fast: Rate | None) -> str:
    marks = () if chance is None else (chance,)
    return (
        cell(text(name), "name")
        + rate(found)
        + cell(interval(found.value, found.low, found.high, marks=marks))
        + cell("–" if chance is None else percent(chance))
        + (cell("–") if fast is None else rate(fast) if fast.count else cell(UNKNOWN))
    )
