"""Servers as child processes: one of a kind in a folder, on a port that is free, ended with all that they started."""

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"
STOP_TIMEOUT = 10.0
"""Seconds until what does not end when it is asked to is ended by force."""
MOST_LOG = 16 << 20
"""Bytes of what a server says: a longer log is emptied by `cut`, at each start and by whoever else calls it."""


class ServerError(Exception):
    """A server could not be started, or ended: why, and what to do."""


def claim(lock: Path) -> int:
    """A lock on a folder, by a file in it, for `start` to hand on: it holds even where we are killed, and a server is
    not. To be closed. Raises ServerError where it is held."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.pread(handle, 100, 0).decode("ascii", "replace").strip()
        os.close(handle)
        raise ServerError(
            f"{lock.parent}: a server runs on this folder already ({who or 'it is just starting'}); use that one, or "
            "end it first."
        ) from None
    os.truncate(handle, 0)
    return handle


def refuse_busy_port(port: int) -> None:
    """Raises ServerError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerError(
                f"port {port} of {HOST} can't be had ({error.strerror}); name a free one with --port."
            ) from None


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path, lock: int, umask: int = 0o077
) -> subprocess.Popen[bytes]:
    """Starts it in a folder, as a session of its own, that inherits the lock; what it says goes to the log.

    What it writes can be read by its owner alone, unless `umask` is another; -1 is ours.
    """
    cut(log)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            umask=umask,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C in a terminal reaches us alone, and we end the whole session
        )
    finally:
        os.close(handle)


def cut(log: Path) -> None:
    """Empties a log of more than MOST_LOG bytes; its server, which writes at the end, may be at work."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > MOST_LOG:
            os.truncate(log, 0)


def say_who(lock: int, process: int, url: str) -> None:
    """For those who find it locked."""
    os.pwrite(lock, f"process {process}, {url}".encode("ascii"), 0)


def end(process: subprocess.Popen[bytes], patience: float = STOP_TIMEOUT) -> None:
    """Ends the process and all of its session, what is left after so many seconds by force."""
    _send(process.pid, signal.SIGTERM)
    until = time.monotonic() + patience
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    while any(_session(process.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    _send(process.pid, signal.SIGKILL)
    process.wait()


def last_words(log: Path) -> str:
    """The last line of a log."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()[-50:] if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _send(leader: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, number)
    for process in _session(leader):  # Airflow gives each task a process group of its own
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _session(leader: int) -> Iterator[int]:
    """The processes of a session but the leader; none where there is no /proc to tell them."""
    for entry in Path("/proc").glob("[0-9]*"):
        process = int(entry.name)
        with suppress(ProcessLookupError):
            if process != leader and os.getsid(process) == leader:
                yield process
