"""Numbers read as people write them, and no share that is not all of it reads as all."""

import pytest

from pipeline.report.numbers import big, nice_step, plural, share, short, size


def test_a_trace_is_not_nothing_and_almost_all_is_not_all() -> None:
    assert share(1, 100_000) == "<0.1%"
    assert share(0, 100_000) == "0.0%"
    assert share(99_999, 100_000) == ">99.9%"
    assert share(100_000, 100_000) == "100.0%"


def test_a_share_of_nothing_is_a_dash() -> None:
    assert share(0, 0) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (31_400_000, "31.4 MB"), (999_600, "1 MB"), (2.5e15, "2,500 TB")],
)
def test_sizes_have_three_digits(value: float, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(("value", "text"), [(999, "999"), (1_234_567, "1.23M"), (213_540, "214k"), (15e12, "15T")])
def test_big_numbers_have_three_digits(value: float, text: str) -> None:
    assert big(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.12, "0.12"), (50, "50"), (1_500, "1,500"), (100_000, "100k"), (0, "0"), (1e-6, "1.0e-06")]
)
def test_thresholds_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_one_document_two_documents() -> None:
    assert plural(1, "document") == "1 document"
    assert plural(2_000, "copy", "copies") == "2,000 copies"


@pytest.mark.parametrize(("span", "about", "step"), [(1, 5, 0.2), (0.9, 3, 0.5), (100, 10, 10), (7, 2, 5)])
def test_steps_of_an_axis_are_round(span: float, about: int, step: float) -> None:
    assert nice_step(span, about) == step
