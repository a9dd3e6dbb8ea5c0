"""Verdicts as numbers: on which scales each kind's are measured, and what was pressed on the page.

A kind with no scale (demonstrations) has no agreement: two people never write the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labeling.kinds.rankings import unchanged
from labeling.quality.alpha import Level
from labeling.store.labels import Json
from labeling.store.reports import CATEGORIES

WRITTEN = frozenset({"demonstrations"})
"""Kinds whose answers are written and not chosen: two people never write the same, so nothing that people write agrees
with another's answer, or with a right one."""

GRADES = {1.0: "significantly", 2 / 3: "clearly", 1 / 3: "slightly", 0.0: "negligibly"}
"""How much better: the words for a margin."""

_SORTED = sorted(GRADES, reverse=True)


@dataclass(frozen=True)
class Scale:
    """One number of a verdict: None where it has none."""

    name: str
    level: Level
    values: tuple[str, ...]
    """What the numbers 0, 1, ... stand for."""
    read: Callable[[Json], int | None]
    good: int | None = None
    """The number of the first good grade, where good or not is a question of its own."""


def scales(kind: str) -> tuple[Scale, ...]:
    """The first one is what people must agree on."""
    return _SCALES.get(kind, ())


def ranks(kind: str, verdict: Json) -> tuple[int, ...]:
    """The order of the answers that the verdict says, 1 for the best; empty where it says none."""
    if kind == "rankings":
        return tuple(verdict["ranks"])
    if kind == "comparisons":
        return {"a": (1, 2), "b": (2, 1)}.get(verdict["choice"], ())
    return ()


def button(kind: str, verdict: Json, order: Sequence[int]) -> str:
    """What the person did on the page, whatever stood there."""
    if kind == "comparisons":
        side = first(kind, verdict, order)
        if side is None:
            return "both bad"
        return f"{'left' if side else 'right'} {_word(verdict.get('margin'))}".rstrip()
    if kind == "rankings":
        return "order " + " ".join(str(verdict["ranks"][answer]) for answer in order)
    return " ".join(
        f"{scale.name} {'-' if (value := scale.read(verdict)) is None else scale.values[value]}"
        for scale in scales(kind)
    )


def first(kind: str, verdict: Json, order: Sequence[int]) -> bool | None:
    """Whether the answer shown first, on the left or at the top, was liked best; None where that is no question."""
    if kind == "rankings":
        return bool(verdict["ranks"][order[0]] == 1)
    if kind != "comparisons" or verdict["choice"] == "both_bad":
        return None
    answer = 0 if verdict["choice"] == "a" else 1
    return order[0] == answer


def untouched(kind: str, verdict: Json, order: Sequence[int]) -> bool | None:
    """Whether a ranking was handed in as it was shown; None for other kinds."""
    return unchanged(verdict, tuple(order)) if kind == "rankings" else None


def leaning(kind: str, verdict: Json) -> int:
    """Which of two ways a verdict leans, +1 or -1, of kinds that rank no answers; 0 where neither."""
    if kind == "ratings":
        return (verdict["helpful"] > 4) - (verdict["helpful"] < 4)
    if kind == "corrections":
        return -1 if verdict["category"] == "no_problem" else 1
    if kind == "poison-review":
        return 1 if verdict["decision"] == "confirm" else -1
    return 0


def _word(margin: float | None) -> str:
    return "" if margin is None else GRADES[min(GRADES, key=lambda known: abs(known - margin))]


def _grade(verdict: Json) -> int | None:
    """0 for a significantly better to 7 for b significantly better."""
    margin = verdict.get("margin")
    if verdict["choice"] == "both_bad" or margin is None:
        return None
    place = min(range(len(_SORTED)), key=lambda number: abs(_SORTED[number] - margin))
    return place if verdict["choice"] == "a" else 2 * len(_SORTED) - 1 - place


def _nominal(name: str, *values: str) -> Scale:
    return Scale(name, "nominal", values, lambda verdict: values.index(verdict[name]))


def _likert(name: str) -> Scale:
    return Scale(name, "ordinal", tuple("1234567"), lambda verdict: int(verdict[name]) - 1, good=4)


_WORDS = [GRADES[margin] for margin in _SORTED]
_SCALES: dict[str, tuple[Scale, ...]] = {
    "comparisons": (
        _nominal("choice", "a", "b", "both_bad"),
        Scale("grade", "ordinal", (*(f"a {w}" for w in _WORDS), *(f"b {w}" for w in reversed(_WORDS))), _grade),
    ),
    "ratings": tuple(_likert(name) for name in ("helpful", "truthful", "harmless")),
    "corrections": (
        _nominal("category", *CATEGORIES, "no_problem"),
        _nominal("refusal", "right", "wrong", "none"),
    ),
    "poison-review": (_nominal("decision", "confirm", "release"),),
}
