"""What a group of people who agree says, as one verdict."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median_low
from typing import Any

from labeling.kinds.ratings import FLAGS
from labeling.store.labels import Annotation, Json

Same = Callable[[Json, Json], bool]


def said(one: Annotation) -> Json:
    """The verdict of an annotation that has one."""
    if one.verdict is None:
        raise ValueError(f"annotation {one.remote_id} has no verdict")
    return one.verdict


def largest(found: Sequence[Annotation], same: Same) -> list[Annotation]:
    """The most annotations that say the same as one of them, which comes first; of equals, that of the oldest.

    "The same" need not be transitive: two rankings may each be close to a third and not to each other.
    """
    best: list[Annotation] = []
    for one in found:
        group = [one, *(other for other in found if other is not one and same(said(one), said(other)))]
        if len(group) > len(best):
            best = group
    return best


def merged(group: Sequence[Annotation]) -> Json:
    """The first one's verdict, with the lower median of each grade: that is a grade which somebody gave.

    Grades that some did not give are taken from those who did; of flags, those that more than half have set.
    """
    verdicts = [said(one) for one in group]
    result = dict(verdicts[0])
    for name in result:
        values = [verdict.get(name) for verdict in verdicts]
        grades: list[Any] = [value for value in values if _is_number(value)]
        if grades and all(value is None or _is_number(value) for value in values):
            result[name] = median_low(grades)
    if "flags" in result:
        counts = Counter(flag for verdict in verdicts for flag in set(verdict["flags"]))
        result["flags"] = [flag for flag in FLAGS if 2 * counts[flag] > len(verdicts)]
    return result


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
