import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.quality.alpha import MOST_VALUES, Level, alpha

_ = math.nan
# Four observers, twelve units: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]


def columns(table: list[list[float]]) -> tuple[list[int], list[float]]:
    """Units and values of a table of people by units."""
    return list(range(len(table[0]))) * len(table), [value for row in table for value in row]


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_published_example_is_reproduced(level: Level, published: float) -> None:
    found = alpha(*columns(PUBLISHED), level)

    assert found.value == pytest.approx(published, abs=5e-4)
    assert found.low < found.value < found.high
    assert (found.units, found.labels) == (11, 40)  # the twelfth unit has one label


def distance(level: Level, a: float, b: float, values: list[float]) -> float:
    """Squared, as the paper spells it out."""
    if level == "nominal":
        return float(a != b)
    if level == "interval":
        return (a - b) ** 2
    low, high = sorted((a, b))
    between = sum(low <= value <= high for value in values)
    return (between - (values.count(low) + values.count(high)) / 2) ** 2


def brute_force(units: list[int], values: list[float], level: Level) -> float:
    """Mean disagreement of pairs within units, over that of pairs of all labels."""
    groups = [[v for u, v in zip(units, values, strict=True) if u == unit] for unit in sorted(set(units))]
    groups = [group for group in groups if len(group) > 1]
    pooled = [value for group in groups for value in group]
    observed = expected = 0.0
    for group in groups:
        for i, a in enumerate(group):
            for j, b in enumerate(group):
                observed += distance(level, a, b, pooled) / (len(group) - 1) if i != j else 0
    for a in pooled:
        for b in pooled:
            expected += distance(level, a, b, pooled)
    return 1 - observed / len(pooled) / (expected / (len(pooled) * (len(pooled) - 1)))


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5)), min_size=2, max_size=24),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_is_what_counting_pairs_gives(labels: list[tuple[int, int]], level: Level) -> None:
    units, values = [unit for unit, _ in labels], [float(value) for _, value in labels]

    found = alpha(units, values, level, rounds=5)

    if found.reason:
        assert math.isnan(found.value)
    else:
        assert found.value == pytest.approx(brute_force(units, values, level))


def test_what_one_person_labelled_has_no_alpha() -> None:
    found = alpha([0, 1, 2], [1, 2, 1])

    assert math.isnan(found.value)
    assert found.reason == "not measurable: nothing was labelled twice"


def test_equal_labels_have_no_alpha() -> None:
    assert alpha([0, 0, 1, 1], [3, 3, 3, 3]).reason == "not measurable: all labels are the same"


def test_labels_at_random_have_an_interval_around_nothing() -> None:
    values = np.random.default_rng(0).integers(0, 3, 900)

    found = alpha(np.repeat(np.arange(300), 3), values)

    assert found.low < 0 < found.high
    assert found.high - found.low < 0.15


def test_the_same_seed_gives_the_same_interval() -> None:
    assert alpha(*columns(PUBLISHED), seed=4) == alpha(*columns(PUBLISHED), seed=4)
    assert alpha(*columns(PUBLISHED), seed=4).low != alpha(*columns(PUBLISHED), seed=5, rounds=50).low


def test_too_many_distinct_values_are_refused() -> None:
    values = np.arange(2 * (MOST_VALUES + 1))

    with pytest.raises(ValueError, match="Round them"):
        alpha(values // 2, values)
