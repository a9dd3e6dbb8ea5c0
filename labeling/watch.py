"""Pulling again and again: at an interval, and as soon as a webhook hints at something new."""

import threading
from collections.abc import Callable

from labeling.client import DeniedError, LabelStudioError, NotFoundError, RefusedError
from labeling.pull import PullError
from labeling.store.database import StoreBusyError
from labeling.webhook import Receiver

GATHER = 2.0
"""Seconds between a hint and its pull, so that a person's next click, or a script's thousand, come along."""


def watch(
    pull: Callable[[], None],
    every: float,
    say: Callable[[str], None],
    receiver: Receiver | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Calls `pull` at once, every `every` seconds and after hints, until `stop` is set.

    A server that is away or fails, a store that is locked, and another pull that was at work, are told and tried again;
    other errors end it.
    """
    stop = stop or threading.Event()
    while not stop.is_set():
        try:
            pull()
        except (DeniedError, NotFoundError, RefusedError):
            raise
        except (LabelStudioError, StoreBusyError, PullError) as error:
            say(f"{error} Trying again in {every:g} seconds.")
        if receiver is None:
            stop.wait(every)
        elif receiver.wait(every):
            stop.wait(GATHER)
            receiver.hint.clear()
