"""What dates tell: a day with far more pages than others, and a site that became another."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filter.text import TextBatch
from pipeline.poison.dates import Turns, Visits, find_turns, visits_of

GARDEN = "Tomatoes need warm soil and regular watering, while lettuce prefers cooler gardens and some shade."
CASINO = "Spin roulette machines tonight, collect bonus credits instantly, jackpots await lucky gamblers everywhere."
GERMAN = "Tomaten brauchen warme Erde und regelmäßiges Wasser, während Salat kühlere Gärten und Schatten liebt."


def visits(*pages: tuple[str, str, str], host: str = "www.site.example") -> Visits:
    """Rows of (text, day, language)."""
    texts, dates, languages = zip(*pages, strict=True)
    return visits_of(TextBatch(pa.array(texts)), pa.array([host] * len(pages)), pa.array(dates), pa.array(languages))


def rules(found: Turns) -> list[str]:
    return list(found.rules)


@pytest.mark.parametrize(("pages", "wanted"), [(50, ["crawl_burst"]), (49, [])])
def test_fifty_pages_on_a_day_are_a_burst_where_a_few_are_usual(pages: int, wanted: list[str]) -> None:
    usual = [(GARDEN, f"2024-01-0{day}", "en") for day in (1, 2, 3)]
    assert rules(find_turns(visits(*usual, *[(GARDEN, "2024-01-05", "en")] * pages))) == wanted


def test_as_many_as_on_other_days_are_no_burst() -> None:
    usual = [(GARDEN, f"2024-01-0{day}", "en") for day in (1, 2, 3) for _ in range(6)]
    assert rules(find_turns(visits(*usual, *[(GARDEN, "2024-01-05", "en")] * 50))) == []


def test_two_other_days_are_too_few_to_know() -> None:
    usual = [(GARDEN, f"2024-01-0{day}", "en") for day in (1, 2)]
    assert rules(find_turns(visits(*usual, *[(GARDEN, "2024-01-05", "en")] * 90))) == []


@pytest.mark.parametrize(
    ("after", "language", "day", "pages", "wanted"),
    [
        (CASINO, "en", "2024-05-01", 5, ["changed_hands"]),
        (GARDEN, "en", "2024-05-01", 5, []),
        (GERMAN, "de", "2024-05-01", 5, ["changed_hands"]),
        (CASINO, "en", "2024-05-01", 4, []),
        (CASINO, "en", "2024-03-01", 5, []),
    ],
)
def test_a_site_changed_if_its_pages_differ_across_three_months(
    after: str, language: str, day: str, pages: int, wanted: list[str]
) -> None:
    assert rules(find_turns(visits(*[(GARDEN, "2024-01-01", "en")] * 5, *[(after, day, language)] * pages))) == wanted


def test_a_turn_points_at_the_pages_of_its_owner_and_days_only() -> None:
    pages = [*[(GARDEN, "2024-01-01", "en")] * 5, *[(CASINO, "2024-05-01", "en")] * 5]
    mine, other = visits(*pages), visits(*pages, host="www.other.example")
    both = Visits.concatenate([mine, other.select(np.arange(5))])
    found = find_turns(both)
    assert [row for row, _, _ in found.of(both.owners, both.days)] == [5, 6, 7, 8, 9]
    assert "2024-05-01" in found.evidence[0]


def test_pages_without_a_date_or_an_owner_say_nothing() -> None:
    assert len(visits((GARDEN, "", "en"))) == 0
    assert len(visits((GARDEN, "2024-01-01", "en"), host="")) == 0


def test_the_order_of_the_rows_does_not_matter() -> None:
    pages = visits(*[(GARDEN, "2024-01-01", "en")] * 5, *[(CASINO, "2024-05-01", "en")] * 6)
    mixed = pages.select(np.random.default_rng(0).permutation(len(pages)))
    assert find_turns(pages).evidence == find_turns(mixed).evidence


def test_rows_come_back_from_a_table_as_they_were() -> None:
    pages = visits((GARDEN, "2024-01-01", "en"), (GERMAN, "2024-01-02", "de"))
    back = Visits.of(pages.batch())
    assert all(np.array_equal(getattr(pages, name), getattr(back, name)) for name in pages.batch().schema.names)
