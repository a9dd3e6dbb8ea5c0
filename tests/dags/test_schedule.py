"""When DAGs run, and which month a run is about."""

from datetime import UTC, datetime, timedelta

import pytest

from dags.corpuscle_dags.schedule import defaults, every, month_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_given_month_comes_first() -> None:
    assert month_of("2025-12", datetime(2026, 2, 1, tzinfo=UTC), NOON) == "2025-12"


def test_a_run_by_schedule_is_about_the_month_of_its_interval() -> None:
    assert month_of(None, datetime(2026, 2, 1, tzinfo=UTC), NOON) == "2026-02"


@pytest.mark.parametrize(
    ("day", "month"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-02"),
        (datetime(2026, 3, 31, 23, 59, tzinfo=UTC), "2026-02"),
        (datetime(2026, 1, 15, tzinfo=UTC), "2025-12"),
    ],
)
def test_a_run_without_an_interval_is_about_the_last_month_that_is_over(day: datetime, month: str) -> None:
    assert month_of(None, None, day) == month
    assert month_of("", None, day) == month


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "../../etc", "2026-01/..", "２０２６-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a year and a month, such as 2026-11"):
        month_of(text, None, NOON)


def test_intervals_can_be_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORPUSCLE_EVERY_MINUTES", raising=False)
    assert every(5) == timedelta(minutes=5)
    assert defaults()["retry_delay"] == timedelta(minutes=1)
    monkeypatch.setenv("CORPUSCLE_EVERY_MINUTES", "0.25")
    assert every(5) == timedelta(seconds=15)
    assert defaults()["retry_delay"] == timedelta(seconds=15)


def test_longer_intervals_leave_the_time_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSCLE_EVERY_MINUTES", "30")
    assert defaults()["retry_delay"] == timedelta(minutes=1)


@pytest.mark.parametrize("text", ["0", "-1", "0.001", "nan", "soon"])
def test_an_interval_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CORPUSCLE_EVERY_MINUTES", text)
    with pytest.raises(ValueError):
        every(5)
