"""Which sampled rows are read, and which of them are what is usual."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flywheel.config import Collect, Config
from flywheel.sampled import RESAMPLED, TRAFFIC, USUAL_AFTER, Exchange, distinct, files, read, split

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def said(checkpoint: str, days: float | None, answer: str = "Yes.", *resamples: str) -> Exchange:
    """What a checkpoint answered so many days before NOON."""
    time = None if days is None else NOON - days * DAY
    prompt = [{"role": "user", "content": f"Is it so, {checkpoint} {days}?"}]
    return Exchange(f"{checkpoint}{days}", checkpoint, prompt, answer, resamples, time=time)


def test_the_loop_s_own_traffic_is_read_if_it_is_there(tmp_path: Path) -> None:
    config = Config(folder=tmp_path)
    assert files(config) == []
    (tmp_path / TRAFFIC).touch()
    assert files(config) == [tmp_path / TRAFFIC]
    (tmp_path / f"{TRAFFIC}.1").touch()
    (tmp_path / RESAMPLED).touch()
    assert files(config) == [tmp_path / RESAMPLED, tmp_path / TRAFFIC, tmp_path / f"{TRAFFIC}.1"]


def test_a_file_that_is_named_is_read_once_and_with_what_was_put_aside(tmp_path: Path) -> None:
    (tmp_path / TRAFFIC).touch()
    (tmp_path / "far.jsonl.1").touch()
    config = Config(folder=tmp_path, collect=Collect(traffic=(Path(TRAFFIC), Path("far.jsonl"))))
    assert files(config) == [tmp_path / TRAFFIC, tmp_path / "far.jsonl", tmp_path / "far.jsonl.1"]


@pytest.mark.parametrize(
    ("told", "time"),
    [
        ("2026-03-02T12:00:00+00:00", NOON),
        ("2026-03-02T13:00:00+01:00", NOON),
        ("2026-03-02T12:00:00", NOON),
        (1772452800, None),
        ("noon", None),
        ("0001-01-01T00:00:00Z", None),  # as some programs write that they don't know it
        (None, None),
    ],
)
def test_a_row_tells_its_time_or_none(tmp_path: Path, told: object, time: datetime | None) -> None:
    path = tmp_path / "traffic.jsonl"
    path.write_text(json.dumps({"prompt": "Is it so?", "answer": "Yes.", "time": told, "leaks": 2}))
    (found,) = read(path)
    assert isinstance(found, Exchange)
    assert (found.time, found.leaks) == (time, 2)


def test_of_exchanges_that_are_masked_alike_the_worst_leak_counts_in_any_order() -> None:
    own, of_another = said("a", 1), replace(said("a", 1), leaks=1)
    assert distinct([own, of_another]) == distinct([of_another, own]) == [of_another]


def test_of_the_same_exchange_the_one_with_more_resamples_counts() -> None:
    once, again = said("a", 1), said("a", 1, "Yes.", "No.")
    assert distinct([once, again, once, said("a", 1, "No.")]) == [again, said("a", 1, "No.")]


def test_what_earlier_checkpoints_said_is_usual() -> None:
    old, new = [said("old", day) for day in (3, 2)], [said("new", day) for day in (1.5, 0)]
    assert split([*new, *old], "new") == (new, old)


def test_what_a_checkpoint_has_said_for_a_week_is_usual() -> None:
    days = USUAL_AFTER / DAY
    now, before = [said("one", 0), said("one", days - 0.1)], [said("one", days), said("one", 30)]
    assert split([*now, *before], "one") == (now, before)


def test_a_checkpoint_that_still_answers_beside_its_canary_is_usual() -> None:
    canary, other = [said("canary", day) for day in (1, 0)], [said("one", day) for day in (2, 0.5)]
    assert split([*canary, *other], "canary") == (canary, other)


def test_what_was_rolled_back_is_neither() -> None:
    own, taken_back = [said("one", 20), said("one", 0)], [said("bad", 2), said("bad", 1)]
    assert split([*own, *taken_back], "one") == (own[1:], own[:1])


def test_without_a_time_or_for_a_checkpoint_that_has_not_answered_there_is_nothing_to_compare() -> None:
    assert split([said("one", None), said("one", 0)], "two") == ([], [])
    assert split([said("one", None), said("two", 0)], "two") == ([said("two", 0)], [])
