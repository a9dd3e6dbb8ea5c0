"""When the next pull comes: after the interval, after a hint, after a server that was away; and when none does."""

import threading
from collections.abc import Callable

import httpx
import pytest

from labeling import watch as watching
from labeling.client import DeniedError, LabelStudioError, UnreachableError
from labeling.pull import PullError
from labeling.store.database import StoreBusyError
from labeling.watch import watch
from labeling.webhook import HEADER, Receiver

LONG = 600.0


def pulls(times: int, stop: threading.Event, first: Exception | None = None) -> tuple[Callable[[], None], list[int]]:
    """A pull that stops the watch after so many calls, and its calls."""
    calls: list[int] = []

    def pull() -> None:
        calls.append(len(calls))
        if len(calls) == times:
            stop.set()
        if first is not None and len(calls) == 1:
            raise first

    return pull, calls


def test_it_pulls_at_once_and_after_each_interval() -> None:
    stop = threading.Event()
    pull, calls = pulls(3, stop)
    watch(pull, 0.01, print, stop=stop)
    assert len(calls) == 3


def test_a_hint_brings_the_next_pull_long_before_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GATHER", 0.01)
    stop = threading.Event()
    pull, calls = pulls(2, stop)
    with Receiver("secret") as receiver:
        thread = threading.Thread(target=watch, args=(pull, LONG, print, receiver, stop))
        thread.start()
        httpx.post(receiver.url, json={"action": "ANNOTATION_CREATED"}, headers={HEADER: "secret"})
        assert stop.wait(20)
        receiver.hint.set()
        thread.join(20)
    assert len(calls) == 2


def test_a_server_that_is_away_is_told_and_tried_again() -> None:
    stop = threading.Event()
    pull, calls = pulls(2, stop, UnreachableError("http://127.0.0.1:1: nobody answers."))
    said: list[str] = []
    watch(pull, 0.01, said.append, stop=stop)
    assert said == ["http://127.0.0.1:1: nobody answers. Trying again in 0.01 seconds."]
    assert len(calls) == 2


@pytest.mark.parametrize(
    "error", [LabelStudioError("error 502"), StoreBusyError("locked"), PullError("another pull of p is at work")]
)
def test_what_passes_is_told_and_tried_again(error: Exception) -> None:
    stop = threading.Event()
    pull, calls = pulls(2, stop, error)
    said: list[str] = []
    watch(pull, 0.01, said.append, stop=stop)
    assert said == [f"{error} Trying again in 0.01 seconds."]
    assert len(calls) == 2


def test_a_token_that_ran_out_ends_it() -> None:
    stop = threading.Event()
    pull, _ = pulls(2, stop, DeniedError("the token is not accepted"))
    with pytest.raises(DeniedError):
        watch(pull, 0.01, print, stop=stop)
