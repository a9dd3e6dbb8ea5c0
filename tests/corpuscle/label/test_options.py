"""A signal ends a command in order, and what was printed is printed once."""

import os
import signal
import sys
from collections.abc import Iterator
from io import StringIO

import pytest

from corpuscle.label.options import end_on_signals, out, tell_stopped


class Interrupted(StringIO):
    """A terminal that is told to end as soon as a line is on it."""

    def flush(self) -> None:
        if self.getvalue() == "1 new\n":
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def signals() -> Iterator[None]:
    """As they were, afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    end_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_line_that_a_signal_cut_off_is_not_printed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Interrupted()
    monkeypatch.setattr(sys, "stdout", terminal)
    console = out()
    with pytest.raises(KeyboardInterrupt):
        console.print("1 new")
    tell_stopped()
    assert terminal.getvalue() == "1 new\nstopped\n"


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_cut_off_the_end(number: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
