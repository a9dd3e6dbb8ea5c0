"""One tick a loop: a lock of the operating system on a file of its folder, which a killed tick gives back by itself.

The file stays, so nobody can hold the lock of a file that is gone. It says who holds it, for people to read.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

LOCK = "tick.lock"


class LockedError(Exception):
    """Another tick is at work in the folder; the message says which."""


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Keeps other ticks out of a folder, which is made where there is none. Raises LockedError at once, not later.

    Programs that are started meanwhile inherit the lock where they are started with `close_fds=False`: so it holds
    until the last of them has ended, even where the tick itself was killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(handle, 100, 0).decode("ascii", "replace").strip() or "it has just begun"
            raise LockedError(f"{folder}: another tick is at work there ({who}); let it finish, or end it.") from None
        os.set_inheritable(handle, True)
        os.truncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
