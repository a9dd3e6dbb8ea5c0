"""One database for all that people say: opened by URL, brought up to date, written so that it stays written.

SQLite in WAL mode by default (readers never wait), PostgreSQL by URL; each part of the project adds a module of tables.
What SQLite and SQLAlchemy need for real transactions: SQLAlchemy's documentation, dialect pysqlite, "Serializable".
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

MIGRATIONS = Path(__file__).parent / "migrations"

CONNECTIONS = 16
"""Most connections that one process holds; a thread that finds none free waits as for a locked database."""

ADVISORY_LOCK = 0x636F727075
"""The number of the lock under which PostgreSQL lets one write at a time, or migrate; any, but always the same."""

SILENCE = 60.0
"""Seconds after which PostgreSQL ends a writer that says nothing, such as one whose machine is gone: the others wait
for it. What writes does what takes long before it begins."""

BUSY, FULL, READ_ONLY, DAMAGED = (
    "another program holds it locked; let it finish, or end it, and try again",
    "the disk or the database's size limit is full; make room and try again",
    "it is read-only; give this user the right to write, or name another store",
    "it is damaged or no SQLite database; move it away, and restore a copy of it",
)
_SQLITE = {
    5: BUSY,
    6: BUSY,
    8: READ_ONLY,
    10: "writing to the disk failed (a file-size limit, a full or broken disk?); make room and try again",
    11: DAMAGED,
    13: FULL,
    14: "the file can't be opened; check that its folder is there and may be written to",
    26: DAMAGED,
}
"""By SQLite's primary result code (sqlite.org/rescode.html)."""
_POSTGRESQL = {
    "55P03": BUSY,
    "40P01": BUSY,
    "53300": "the server has no connection left; try again, or raise its max_connections",
    "53100": FULL,
    "25006": READ_ONLY,
}
"""By SQLSTATE (PostgreSQL's documentation, appendix A)."""

_migrating = threading.Lock()  # Alembic's environment is one a process


class StoreError(Exception):
    """The store can't be opened, read or written: where it is, why, and what to do. Nothing was half done."""


class StoreBusyError(StoreError):
    """The store stayed locked for `busy_timeout`; the same call may succeed later."""


class Base(DeclarativeBase):
    """What the tables of all parts derive from. Constraints have names, so that migrations can change them."""

    metadata = sql.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcTime(TypeDecorator[datetime]):
    """A moment, in UTC. SQLite stores no time zone; a moment that has none is refused here."""

    impl = sql.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sql.Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; expected one, e.g. datetime.now(UTC)")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sql.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """An open store, for any number of threads; a process that was forked opens its own.

    `url` is `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql+psycopg://user:password@host/name`.
    A file that is not there is made, readable by its owner alone; its folder must exist. `busy_timeout` is how many
    seconds a call waits for a locked database, per lock. Raises ValueError for a URL that is none, StoreError for a
    database that can't be opened or that a newer version made, StoreBusyError for one that stays locked.
    """

    def __init__(self, url: str, busy_timeout: float = 10.0) -> None:
        parsed = _parse(url)
        self.name = describe(parsed)
        """The URL without secrets."""
        self.busy_timeout = busy_timeout
        connect_args: Mapping[str, Any] = {"timeout": busy_timeout, "check_same_thread": False}
        if parsed.get_backend_name() == "sqlite":
            self._make_file(Path(str(parsed.database)))
        else:
            connect_args = {"connect_timeout": max(2, round(busy_timeout))}
        self.engine = sql.create_engine(
            parsed,
            connect_args=dict(connect_args),
            hide_parameters=True,  # what people wrote must not reach a log
            max_overflow=0,
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            pool_timeout=busy_timeout,
        )
        self._writing = threading.Lock()
        self._writers = self.engine.execution_options(store_writes=True)
        self.dialect = self.engine.dialect.name
        self._readers = self.engine
        if self.dialect == "sqlite":
            event.listen(self.engine, "connect", self._prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "connect", self._prepare_postgresql)
            event.listen(self.engine, "begin", _begin_postgresql)
            self._readers = self.engine.execution_options(isolation_level="REPEATABLE READ")
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one state of the store, and waits for no writer."""
        with self._explained(), Session(self._readers) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed, and on the disk, when the block has ended; or, with an error, not begun.

        One at a time, of all processes: what it reads is as it stays until it has written.
        """
        with self._turn(), self._explained(), Session(self._writers) as session, session.begin():
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        # SQLite's own waiting is a lottery of naps: of four threads one waited 1.4 s, with a lock none over 0.07 s.
        if self.dialect != "sqlite":
            yield
            return
        if not self._writing.acquire(timeout=self.busy_timeout):
            raise StoreBusyError(f"{self.name}: {BUSY}.")
        try:
            yield
        finally:
            self._writing.release()

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_file(self, path: Path) -> None:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except FileNotFoundError:
            raise StoreError(f"{self.name}: there is no folder {path.parent}; make it, or name another path.") from None
        except PermissionError:
            return  # it may still be read
        except OSError as error:
            raise StoreError(f"{self.name}: the file can't be made: {error.strerror}. Name another path.") from None

    def _prepare_sqlite(self, connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where sqlite3 guesses
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # WAL's default, NORMAL, may lose commits in a power cut

    def _prepare_postgresql(self, connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {round(1000 * self.busy_timeout)}")
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.commit()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        scripts = ScriptDirectory.from_config(config)
        known = {script.revision for script in scripts.walk_revisions()}
        with self.read() as session:
            if self._revision(session.connection(), known) == scripts.get_current_head():
                return
        with _migrating:
            if self.dialect == "sqlite":
                self._write_ahead()
            with self.write() as session:
                connection = session.connection()
                if self._revision(connection, known) != scripts.get_current_head():
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")

    def _write_ahead(self) -> None:
        # Where several processes open a new file at once, this alone fails without waiting (once in 60 times with 8).
        until = time.monotonic() + self.busy_timeout
        while True:
            try:
                with self._explained(), self.engine.connect() as connection:
                    connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
                return
            except StoreBusyError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def _revision(self, connection: Connection, known: set[str]) -> str | None:
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is not None and revision not in known:
            raise StoreError(
                f"{self.name}: a newer version of Corpuscle made this store (its tables are at revision {revision}, "
                f"this version knows {', '.join(sorted(known))}). Update Corpuscle, or name another store."
            )
        return revision

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeoutError:
            raise StoreBusyError(f"{self.name}: all {CONNECTIONS} connections are in use; try again.") from None
        except (DBAPIError, self.engine.dialect.loaded_dbapi.Error) as error:
            reason = _reason(getattr(error, "orig", error))
            kind = StoreBusyError if reason == BUSY else StoreError
            raise kind(f"{self.name}: {reason}.") from error


def check_url(url: str, must_be_there: bool = False) -> None:
    """Raises ValueError for a URL that is none and, if asked, StoreError for a SQLite file that is not there.

    For who would find out too late, and who only reads: `Database` makes a file that is missing.
    """
    parsed = _parse(url)
    path = Path(str(parsed.database))
    if must_be_there and parsed.get_backend_name() == "sqlite" and not path.exists():
        raise StoreError(f"{describe(parsed)}: there is no such database (looked for {path.absolute()}).")


def describe(url: URL) -> str:
    """A URL as it may be shown: with `***` for a password, and without the options behind `?`, which can hold one."""
    return url.set(query={}).render_as_string(hide_password=True)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # their texts may quote the URL, and so its password
        raise ValueError(
            "the store's URL can't be read; expected sqlite:///path/to/file or "
            "postgresql+psycopg://user:password@host/database, with special characters in it %-encoded."
        ) from None
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        try:
            import psycopg  # noqa: F401  an extra of its own
        except ImportError:
            raise ValueError(f"{describe(parsed)}: psycopg is missing; pip install 'corpuscle[postgres]'.") from None
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ValueError(f"{describe(parsed)}: expected a URL that begins with sqlite:/// or postgresql+psycopg://.")
    if parsed.database in (None, "", ":memory:"):
        raise ValueError(f"{describe(parsed)}: it has no path; expected sqlite:///path/to/file.")
    return parsed


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that begins by reading and then writes fails at once where another has written in between, however
    # long the timeout; one that says so at its begin waits.
    writes = connection.get_execution_options().get("store_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    # Else two that look whether something is there would both find that it is not, and both write it. Of 8 threads that
    # report as fast as they can each waits 40 ms in the median, and without 18; by itself one waits no longer.
    if connection.get_execution_options().get("store_writes"):
        silence = sql.func.set_config("idle_in_transaction_session_timeout", str(round(1000 * SILENCE)), True)
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(ADVISORY_LOCK), silence))


def _reason(error: BaseException | None) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    known = _SQLITE.get(code & 0xFF) if code is not None else _POSTGRESQL.get(getattr(error, "sqlstate", None) or "")
    first = str(error).strip().split("\n")[0]
    return known if known == BUSY else f"{known} ({first})" if known else first
