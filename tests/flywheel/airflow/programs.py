"""Our own commands as a person starts them, each with all that it says, and what the system tells of them."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE = 1200.0
"""Seconds for anything to happen: many, since a loaded machine is no fault."""


class Program:
    """`corpuscle WORDS...`; what it says, errors too, is in `output`."""

    def __init__(self, *words: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "corpuscle.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | variables,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def read_until(self, text: str) -> None:
        """Raises AssertionError where it ends without it."""
        ended = until(lambda: text in self.output or not self._reader.is_alive(), f"{text!r} from it")
        assert ended
        assert text in self.output, self.output

    def end(self, number: int) -> int:
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Its exit status, when it has ended by itself."""
        status = self.process.wait(PATIENCE)
        self._reader.join()
        return status

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line


def until(true: Callable[[], bool], what: str, patience: float = PATIENCE) -> bool:
    """Waits until something is so, and fails where it does not come to be."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.25)
    raise AssertionError(f"{patience:.0f} seconds passed without {what}")


def belonging(folder: Path) -> dict[int, str]:
    """The processes that Airflow runs for a loop, whosever children they are now: their numbers and command lines.

    Known by the folder that they are in, since some of them write their titles over their environment.
    """
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink() == folder / "airflow":
                found[int(entry.name)] = (entry / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return found


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
