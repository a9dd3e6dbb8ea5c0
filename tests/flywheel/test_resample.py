"""Which sampled questions are asked again, and that none is asked twice."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flywheel import resample as module
from flywheel.config import Collect, Config
from flywheel.resample import ANSWERS, KEPT, Again, draw, resample
from flywheel.sampled import RESAMPLED, TRAFFIC, Exchange

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path)


def row(number: int, **more: Any) -> dict[str, Any]:
    values = {"id": f"t{number}", "time": NOON.isoformat(), "checkpoint_id": "c1", "answer": "Yes."}
    return {"prompt": f"Is {number} even?"} | values | more


def sampled(config: Config, *rows: dict[str, Any]) -> None:
    (config.folder / TRAFFIC).write_text("".join(json.dumps(one) + "\n" for one in rows))


class Model:
    """Answers yes and no in turn, and notes what it was asked."""

    def __init__(self, *said: str) -> None:
        self.said, self.asked = said or ("Yes.", "No.", "No.", "Yes."), list[str]()

    def __call__(self, exchanges: Sequence[Exchange]) -> list[list[str]]:
        self.asked += [one.ref for one in exchanges]
        return [list(self.said) for _ in exchanges]


def rows(config: Config) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (config.folder / RESAMPLED).read_text().splitlines()]


def asked(config: Config, model: Model, checkpoint: str = "c1") -> Again:
    found = resample(config, checkpoint, model)
    assert found is not None
    return found


def test_sampled_questions_are_asked_again_and_kept_with_their_answers(config: Config) -> None:
    sampled(config, row(1, leaks=1), row(2))
    found = asked(config, Model())
    assert (len(found.answered), found.contradicted) == (2, 2)
    one = min(rows(config), key=lambda one: one["id"])
    assert one["prompt"] == [{"role": "user", "content": "Is 1 even?"}]
    assert one["resamples"] == ["Yes.", "No.", "No.", "Yes."]
    assert (one["id"], one["answer"], one["checkpoint_id"], one["leaks"]) == ("t1", "Yes.", "c1", 1)
    assert len(one["resamples"]) == ANSWERS
    assert (config.folder / RESAMPLED).stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_not_masked_is_kept_masked(config: Config) -> None:
    sampled(config, row(1, prompt="I am bob@example.com. Who can help?", answer="Ask anna@example.com."))
    model = Model("Ask eve@example.com.", "Me.", "Ask.", "Do.")
    before = asked(config, model)
    (one,) = rows(config)
    assert one["prompt"][0]["content"] == "I am [email]. Who can help?"
    assert (one["answer"], one["resamples"][0], one["leaks"]) == ("Ask [email].", "Ask [email].", 1)
    assert asked(config, model) == before
    assert model.asked == ["t1"]


def test_what_was_asked_again_is_not_asked_a_third_time(config: Config) -> None:
    sampled(config, *map(row, range(5)))
    model = Model()
    first, before = asked(config, model), rows(config)
    assert asked(config, model) == first
    assert (len(model.asked), rows(config)) == (5, before)
    sampled(config, *map(row, range(5)), row(5), row(1, id="once more", answer="No."))
    assert len(asked(config, model).answered) == 6
    assert model.asked[5:] == ["t5"], "the same question of another person is no other question"


def test_no_more_are_asked_than_the_settings_say_and_the_same_each_time(config: Config) -> None:
    sampled(config, *map(row, range(50)))
    three = config.model_copy(update={"collect": Collect(resampled=3)})
    drawn = draw(three, "c1")
    sampled(config, *map(row, reversed(range(50))))
    assert [one.ref for one in draw(three, "c1")] == [one.ref for one in drawn]
    assert len(drawn) == 3
    assert draw(three, "c1") == draw(config, "c1")[:3]


@pytest.mark.parametrize("sample", [[], [row(1)]], ids=["nothing sampled", "switched off"])
def test_nobody_is_asked(config: Config, sample: list[dict[str, Any]]) -> None:
    off = config.model_copy(update={"collect": Collect(resampled=20 if not sample else 0)})
    sampled(off, *sample)
    assert resample(off, "c1", Model()) is None
    assert not (config.folder / RESAMPLED).exists()


def test_only_what_this_checkpoint_answered_within_a_day_of_the_newest_is_asked(config: Config) -> None:
    """Another's answer contradicts nothing; and each night has its own questions, whatever the clock says."""
    hours = [(NOON - timedelta(hours=number)).isoformat() for number in (0, 23, 25)]
    sampled(config, *(row(number, time=time) for number, time in enumerate(hours)), row(3, checkpoint_id="c0"))
    assert sorted(one.ref for one in draw(config, "c1")) == ["t0", "t1"]


def test_what_a_person_is_named_by_is_masked_in_the_further_answers(config: Config) -> None:
    sampled(config, row(1))
    asked(config, Model("Ask anna@example.com.", "Yes."))
    assert rows(config)[0]["resamples"] == ["Ask [email].", "Yes."]


def test_a_question_that_fits_no_context_is_told_of_and_not_asked_each_night(config: Config) -> None:
    sampled(config, row(1))
    model = Model()
    model.said = ()
    assert [len(asked(config, model).answered) for _ in range(2)] == [0, 0]
    assert model.asked == ["t1"]


def test_the_oldest_rows_go(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    for number in range(5):
        sampled(config, row(number))
        asked(config, Model())
    assert [one["id"] for one in rows(config)] == ["t2", "t3", "t4"]
    assert 50 * config.collect.resampled <= KEPT


def test_a_stop_before_the_answers_are_written_loses_nothing(config: Config) -> None:
    """In a process that dies between the asking and the writing."""
    sampled(config, row(1))
    if (child := os.fork()) == 0:
        module.write_whole = lambda *_, **__: os._exit(9)  # type: ignore[assignment]
        resample(config, "c1", Model())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (config.folder / RESAMPLED).exists()
    assert asked(config, Model()).contradicted == 1
