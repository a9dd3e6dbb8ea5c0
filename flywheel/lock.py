"""One tick a loop: a lock of the operating system on a file of its folder, which a killed tick gives back by itself.

The file stays, so nobody can hold the lock of a file that is gone. It says who holds it, for people to read. Where the
store is a PostgreSQL server, it holds a second lock: two machines may share a folder whose locks each keeps to itself
(NFS with local_lock).
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sql

from labeling.store.database import Database

LOCK = "tick.lock"

ADVISORY_LOCK = 0x666C79776865656C
"""The number of the lock on PostgreSQL, one a database: any, but always the same."""


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
            raise LockedError(
                f"{folder}: another tick is at work there ({_holder(handle)}); let it finish, or end it."
            ) from None
        except OSError as error:
            raise LockedError(
                f"{folder}: its file system has no locks ({error.strerror}); keep the loop on a disk of this machine."
            ) from None
        os.set_inheritable(handle, True)
        _write(handle, f"pid {os.getpid()} on {socket.gethostname()}\n")
        yield
        _write(handle, "")  # who comes next finds no name of one that has ended
    finally:
        os.close(handle)


@contextlib.contextmanager
def claim_store(database: Database) -> Iterator[None]:
    """Keeps the ticks of other machines out of a store on PostgreSQL, as long as this process lives.

    For a SQLite file the folder's lock is enough: both are on one machine's disk. Raises LockedError.
    """
    if database.dialect != "postgresql":
        yield
        return
    # A session's lock, without a transaction that would stay open for hours.
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(sql.select(sql.func.pg_try_advisory_lock(ADVISORY_LOCK))):
            raise LockedError(f"{database.name}: another tick is at work with this store; let it finish, or end it.")
        try:
            yield
        finally:
            # The connection goes back to the pool, and would keep the lock there; one that broke has given it back.
            with contextlib.suppress(sql.exc.DBAPIError):
                connection.execute(sql.select(sql.func.pg_advisory_unlock(ADVISORY_LOCK)))


def _write(handle: int, text: str) -> None:
    os.truncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)


def _holder(handle: int) -> str:
    """Who holds the lock, as far as can be told: a killed tick's training goes on, and it is that which has to end."""
    written = os.pread(handle, 200, 0).decode("ascii", "replace").strip()
    begun = written.removeprefix("pid ").partition(" on ")[0]
    holding = _open_by(os.fstat(handle))
    if begun in holding or not holding:
        return written or "it has just begun"
    return f"pid {', '.join(holding)}" + (f", begun by pid {begun}, which has ended" if begun else "")


def _open_by(file: os.stat_result) -> list[str]:
    """The other processes that have a file open, as Linux tells of one's own; elsewhere none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.name != str(os.getpid()) and any(
                os.path.samestat(file, one.stat()) for one in (process / "fd").iterdir() if _is_file(one)
            ):
                found.append(process.name)
    return sorted(found, key=int)


def _is_file(descriptor: Path) -> bool:
    """Looked at by its name alone: to follow one that is on a dead network drive would wait for ever."""
    return str(descriptor.readlink()).endswith(LOCK)
