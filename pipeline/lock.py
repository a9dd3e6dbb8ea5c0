"""One run a folder: a lock of the operating system on OUT/.lock, which a killed run gives back by itself.

Folders in an object store have no such lock, and are not protected.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.artifact import is_local

LOCK = ".lock"
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What file systems without locks answer (some network ones); a run there is not protected either."""


class LockedError(Exception):
    """Another run is writing the folder; the message says which."""


@contextlib.contextmanager
def claim(folder: str) -> Iterator[None]:
    """Keep other runs out of a folder, which must be there. Raises LockedError, or OSError where none can be written.

    The file goes when the run ends. So whoever waited for a moment may have locked a file that is gone, and tries
    again.
    """
    if not is_local(folder):
        yield
        return
    path = Path(folder) / LOCK
    handle = _open(path)
    try:
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.truncate(handle, 0)
        os.pwrite(handle, json.dumps(about).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _open(path: Path) -> int:
    """A descriptor of the file, locked. Processes that are started do not inherit it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise LockedError(f"another run {_who(path)} is writing {path.parent}; wait for its end.") from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(handle)
                raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)


def _who(path: Path) -> str:
    """What the holder wrote about itself; it may be at it just now."""
    try:
        about = json.loads(path.read_text())
        return f"(pid {about['pid']}, host {about['host']}, since {about['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "(just begun)"
