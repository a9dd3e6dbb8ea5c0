"""A command as a process of its own, which says what it does line by line and ends when its task is ended.

Airflow kills a task with SIGTERM, and five seconds later with SIGKILL; a time-out is an exception in the main thread.
Either way the command's whole process group ends first, or a training would go on that nobody sees.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL, fewer than Airflow gives us."""

TAIL_LINES, TAIL_CHARACTERS = 10, 2000
"""Of what a failed command said last, which becomes the error."""


class CommandError(Exception):
    """A command failed; the message is what it said last, and `status` its exit status (127: it can't be started)."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class StoppedError(Exception):
    """The task was told to end, and the command was ended."""


def run(command: Sequence[str], say: Callable[[str], None], environment: Mapping[str, str] | None = None) -> list[str]:
    """Runs a command without a shell, and says each line of its output and errors at once; returns the lines.

    Raises CommandError where it fails, StoppedError where we get SIGTERM meanwhile (in the main thread: elsewhere
    Python gives us no signals).
    """
    lines: list[str] = []
    with _raised_at_sigterm():
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=None if environment is None else {**environment},
                process_group=0,
            )
        except OSError as error:
            raise CommandError(127, f"{command[0]} can't be started: {error.strerror}.") from None
        try:
            for line in _lines(process):
                lines.append(line)
                say(line)
            status = process.wait()
        finally:
            _end(process)
    if status:
        told = "\n".join([line for line in lines if line.strip()][-TAIL_LINES:])[-TAIL_CHARACTERS:]
        how = f"it was ended by signal {-status}" if status < 0 else f"exit status {status}"
        raise CommandError(status, f"{told}\n({how})" if told else f"It said nothing ({how}).")
    return lines


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Lines as they come, until the process has ended: a grandchild that keeps the pipe open is not waited for."""
    assert process.stdout is not None
    rest = b""
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            if selector.select(0 if ended else 0.5):
                piece = os.read(pipe.fileno(), 1 << 16)
                if not piece:
                    break
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
            elif ended:
                break
    if rest:
        yield rest.decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process group of a command that has not ended; what one left behind that has, is its own affair."""
    if process.poll() is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            process.poll()  # so that it is no zombie, which would still count as one of the group
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _raised_at_sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes twice where a whole session is ended
        raise StoppedError("the task was told to end (SIGTERM)")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
