"""What all stages share: a run that is stopped by Ctrl-C, its folder, and what is said of another run in it."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.test_pretrain import config, history
from trainer import checkpoint
from trainer.log import Record
from trainer.loop import where_it_goes_on
from trainer.pretrain import pretrain
from trainer.progress import Silent

STEPS = {"checkpoint_every": 10, "eval_every": 5}


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """As in a terminal: a shell starts what it puts into the background with SIGINT ignored, and tests inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Pressing(Silent):
    """Presses Ctrl-C after a step, which the loop sees when the step is over."""

    def __init__(self, after: int, times: int = 1) -> None:
        self.after, self.times, self.notes = after, times, list[str]()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, record: Record) -> None:
        if record.step == self.after:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("after", [3, 5, 10, 13])
def test_ctrl_c_saves_the_step_and_the_run_ends_as_one_that_was_not_stopped(
    shards: Path, tmp_path: Path, after: int
) -> None:
    stopped, straight = (config(shards, tmp_path / name, **STEPS) for name in ("stopped", "straight"))
    pressing = Pressing(after)
    with pytest.raises(KeyboardInterrupt):
        pretrain(stopped, pressing)
    assert pressing.notes == [f"step {after} of 20 is saved."]
    assert where_it_goes_on(stopped.output) == f"the same command goes on from step {after}."
    assert checkpoint.read_about(checkpoint.find(stopped.output, "last")).step == after
    one, other = pretrain(stopped), pretrain(straight)
    assert history(stopped.output) == history(straight.output)
    assert (one.id, one.checkpoint.name) == (other.id, other.checkpoint.name)
    for name in ("last", "best"):
        mine, theirs = checkpoint.find(stopped.output, name), checkpoint.find(straight.output, name)
        assert {path.name: path.read_bytes() for path in mine.iterdir()} == {
            path.name: path.read_bytes() for path in theirs.iterdir()
        }


def test_a_checkpoint_made_by_ctrl_c_does_not_take_the_best_ones_place(shards: Path, tmp_path: Path) -> None:
    settings = config(shards, tmp_path, **STEPS)
    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, Pressing(13))
    assert checkpoint.find(tmp_path, "best").name == "step-000010"
    assert checkpoint.find(tmp_path, "last").name == "step-000013"


def test_a_second_ctrl_c_stops_at_once(shards: Path, tmp_path: Path) -> None:
    pressing = Pressing(3, times=2)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config(shards, tmp_path, **STEPS), pressing)
    assert pressing.notes == []
    assert where_it_goes_on(tmp_path) == "no step had been saved: the same command begins anew."


def test_ctrl_c_is_as_before_when_a_run_is_over(shards: Path, tmp_path: Path) -> None:
    pretrain(config(shards, tmp_path, steps=1))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_in_another_thread_leaves_signals_alone(shards: Path, tmp_path: Path) -> None:
    thread = threading.Thread(target=pretrain, args=(config(shards, tmp_path, steps=1),))
    thread.start()
    thread.join()
    assert checkpoint.find(tmp_path, "last").name == "step-000001"


def test_another_shape_is_told_by_the_numbers_that_differ(shards: Path, tmp_path: Path) -> None:
    pretrain(config(shards, tmp_path, steps=1))
    with pytest.raises(ValueError, match=r"\(--model was .*; shape.hidden was 64, is now 96\)"):
        pretrain(config(shards, tmp_path, steps=1, model="dim=32,layers=2,heads=2,kv_heads=1,hidden=96"))


def test_of_several_runs_in_one_folder_the_latest_goes_on(shards: Path, tmp_path: Path) -> None:
    assert where_it_goes_on(tmp_path) == "no step had been saved: the same command begins anew."
    for name, steps in (("base", 2), ("sft", 3)):
        pretrain(config(shards, tmp_path / name, steps=steps))
    assert where_it_goes_on(tmp_path) == f"the same command goes on from step 3 of {tmp_path / 'sft'}."
