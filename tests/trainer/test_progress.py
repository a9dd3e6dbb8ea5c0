import io

import pytest
from rich.console import Console

from trainer.log import Record
from trainer.progress import Screen, short


def shown(terminal: bool) -> str:
    """What a person sees of a run of three steps, with one evaluation."""
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=terminal, width=160, color_system=None))
    screen.start([("model", "nano"), ("corpus", "9 tokens [two shards]")], done=0, steps=3)
    for step, val_loss in ((1, None), (2, 4.0), (3, None)):
        bits = None if val_loss is None else 1.25
        screen.step(Record(step, 5.0 - step, 1.0, 0.1, 1000.0, step * 1.0, val_loss, bits))
    screen.stop()
    return out.getvalue()


def test_a_terminal_shows_a_bar_with_loss_speed_and_validation() -> None:
    text = shown(terminal=True)
    assert "3/3" in text
    assert "1,000 tokens/s · validation 4.000 = 1.250 bits a byte" in text


def test_a_file_gets_a_line_for_each_evaluation() -> None:
    lines = shown(terminal=False).strip().splitlines()
    assert lines[:2] == ["model   nano", "corpus  9 tokens [two shards]"]
    assert lines[2].startswith("step 2 · loss 3.47")  # the mean of 4 and 3, the later weighing more
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("done", "said"), [(0, ""), (87, "resumed from step 87 of 120\n"), (120, "already finished: 120 steps\n")]
)
def test_a_run_that_goes_on_says_from_where(done: int, said: str) -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=160))
    screen.start([("model", "nano")], done, 120)
    screen.stop()
    assert out.getvalue() == "model  nano\n" + said


@pytest.mark.parametrize(
    ("number", "text"), [(7, "7"), (999, "999"), (1_000, "1 k"), (1_262_720, "1.26 M"), (999_600, "1 M"), (2e21, "2 Z")]
)
def test_numbers_are_shortened_to_three_digits(number: float, text: str) -> None:
    assert short(number) == text
