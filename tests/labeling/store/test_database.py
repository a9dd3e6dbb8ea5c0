"""What the store does when things go wrong: locked, full, read-only, killed, damaged, newer, or not there at all."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

import flywheel.tables  # noqa: F401  the tables of all parts are compared
import labeling.store.database
import labeling.store.labels
from labeling.store.database import Base, Database, StoreBusyError, StoreError
from labeling.store.reports import Report, ReportRow, add_report, read_reports, reports

SECRET = "hunter2"


def report(text: str = "") -> Report:
    chat = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "lo lo lo"}]
    return Report("c1", chat, "repetition", text)


def raw(url: str) -> sqlite3.Connection:
    return sqlite3.connect(str(make_url(url).database), isolation_level=None, timeout=0)


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def file_url(path: Path) -> str:
    return f"sqlite:///{path}/store.db"


def python(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


# Opening


def test_a_new_file_is_made_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    Database(file_url(tmp_path)).close()
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


def test_sqlite_writes_ahead_and_waits_for_the_disk(tmp_path: Path) -> None:
    with Database(file_url(tmp_path), busy_timeout=3) as database, database.write() as session:
        found = [
            session.scalar(sql.text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert found == ["wal", 2, 1, 3000]


def test_postgresql_waits_for_the_disk_even_where_the_server_would_not(postgresql: str) -> None:
    with psycopg.connect(plain(postgresql), autocommit=True) as connection:
        connection.execute("ALTER DATABASE postgres SET synchronous_commit = off")
        try:
            with Database(postgresql, busy_timeout=3) as database, database.write() as session:
                assert session.scalar(sql.text("SHOW synchronous_commit")) == "on"
                assert session.scalar(sql.text("SHOW lock_timeout")) == "3s"
        finally:
            connection.execute("ALTER DATABASE postgres RESET synchronous_commit")


def test_the_migrations_make_the_tables_that_the_code_reads(url: str) -> None:
    with Database(url) as database, database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_store_is_opened_again_with_all_that_is_in_it(url: str) -> None:
    given = report()
    with Database(url) as database:
        add_report(database, given)
    with Database(url) as database:
        assert reports(database) == [given]


OPEN = """
import sys
from labeling.store.database import Database
from labeling.store.reports import Report, add_report
with Database(sys.argv[1]) as database:
    add_report(database, Report("c1", [{"role": "user", "content": "?"}], "other"))
"""


@pytest.mark.slow
def test_six_processes_may_open_a_new_store_at_once(url: str) -> None:
    for process in [python(OPEN, url) for _ in range(6)]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with Database(url) as database:
        assert len(reports(database)) == 6


def test_so_may_twelve_threads(url: str) -> None:
    def add(number: int) -> None:
        with Database(url) as database:
            add_report(database, report(str(number)))

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(add, range(12)))
    with Database(url) as database:
        assert len(reports(database)) == 12


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(url: str) -> None:
    with Database(url) as database, database.write() as session:
        session.execute(sql.text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(StoreError, match="a newer version of Corpuscle made this store .*0999.* Update Corpuscle"):
        Database(url)


def test_one_that_stopped_before_its_tables_were_made_is_made_good(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    with Database(file_url(tmp_path)) as database:
        assert add_report(database, report())


def test_a_migration_that_fails_leaves_nothing_behind(url: str) -> None:
    engine = sql.create_engine(url)
    with engine.begin() as connection:  # in the way of the second table
        connection.execute(sql.text("CREATE TABLE comparisons (id TEXT)"))
    with pytest.raises(StoreError, match="comparisons.* already exists"):
        Database(url)
    assert sql.inspect(engine).get_table_names() == ["comparisons"]
    engine.dispose()


# URLs and secrets


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("store.db", "can't be read; expected sqlite:///path"),
        (f"postgresql+psycopg://me:{SECRET}@host:port/x", "can't be read"),
        (f"mysql://me:{SECRET}@host/x", r"mysql://me:\*\*\*@host/x: expected a URL that begins with"),
        (f"postgresql+psycopg2://me:{SECRET}@host/x", "expected a URL that begins with"),
        ("sqlite://", "has no path"),
        ("sqlite:///:memory:", "has no path"),
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Database(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/x",
        f"postgresql://me@127.0.0.1:1/x?password={SECRET}",
        f"postgresql://me:{SECRET}@/x?host=/nowhere",
    ],
)
def test_a_server_that_is_not_there_is_named_without_its_password(url: str) -> None:
    with pytest.raises(StoreError, match=r"postgresql\+psycopg://me.*/x: .*connection") as caught:
        Database(url)
    error: BaseException | None = caught.value
    while error:
        assert SECRET not in str(error)
        error = error.__cause__


def test_a_wrong_password_is_not_shown(postgresql: str) -> None:
    wrong = make_url(postgresql).set(password=SECRET).render_as_string(hide_password=False)
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Database(wrong)
    assert SECRET not in str(caught.value)


def test_what_people_wrote_is_in_no_error(url: str) -> None:
    with Database(url) as database:
        with database.write() as session:
            session.execute(sql.text("DROP TABLE reports"))
        with pytest.raises(StoreError, match="reports") as caught:
            add_report(database, report("my secret trouble"))
    assert "trouble" not in f"{caught.value} {caught.value.__cause__}"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"there is no folder {tmp_path}/a; make it"):
        Database(f"sqlite:///{tmp_path}/a/store.db")


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Is a directory"):
        Database(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("My dear diary. " * 100)
    with pytest.raises(StoreError, match="it is damaged or no SQLite database; move it away"):
        Database(file_url(tmp_path))


# Locked


def hold(url: str) -> Callable[[], None]:
    """Another program holds the store; the function lets go."""
    if url.startswith("sqlite"):
        lock = raw(url)
        lock.execute("BEGIN EXCLUSIVE")
        return lock.close
    connection = psycopg.connect(plain(url))
    connection.execute("LOCK TABLE reports IN EXCLUSIVE MODE")
    return connection.close


def test_a_locked_store_is_busy_after_the_timeout_and_takes_the_report_once_it_is_free(url: str) -> None:
    given = report()
    with Database(url, busy_timeout=0.3) as database:
        release = hold(url)
        before = time.monotonic()
        with pytest.raises(StoreBusyError, match="another program holds it locked; .* try again"):
            add_report(database, given)
        assert time.monotonic() - before >= 0.3
        assert reports(database) == []  # readers wait for nobody
        release()
        assert add_report(database, given)
        assert reports(database) == [given]


def test_a_lock_that_ends_in_time_is_waited_for(url: str) -> None:
    given = report()
    with Database(url, busy_timeout=20) as database, ThreadPoolExecutor(1) as threads:
        release = hold(url)
        added = threads.submit(add_report, database, given)
        time.sleep(0.3)
        assert not added.done()
        release()
        assert added.result()
        assert reports(database) == [given]


def test_a_store_that_is_locked_while_it_is_opened_is_still_opened_to_read(tmp_path: Path) -> None:
    Database(file_url(tmp_path)).close()
    release = hold(file_url(tmp_path))
    with Database(file_url(tmp_path), busy_timeout=0.1) as database:
        assert reports(database) == []
    release()


def test_a_new_store_that_another_holds_is_busy(tmp_path: Path) -> None:
    release = hold(file_url(tmp_path))
    with pytest.raises(StoreBusyError, match="holds it locked"):
        Database(file_url(tmp_path), busy_timeout=0.1)
    release()


def test_connections_that_are_all_in_use_are_waited_for_no_longer_than_the_timeout(tmp_path: Path) -> None:
    with Database(file_url(tmp_path), busy_timeout=0.2) as database:
        held = [database.engine.connect() for _ in range(16)]
        with pytest.raises(StoreBusyError, match="all 16 connections are in use"):
            reports(database)
        for connection in held:
            connection.close()
        assert reports(database) == []


# One writer at a time


def there_already(session: Session, given: Report) -> bool:
    return any(one.description == given.description for one in read_reports(session))


def add_unless_there(database: Database, given: Report) -> bool:
    with database.write() as session:
        if there := there_already(session, given):
            return not there
        session.add(ReportRow(**vars(given)))
    return True


def test_who_looks_before_writing_sees_what_another_has_written(url: str) -> None:
    with Database(url) as one, Database(url) as other, ThreadPoolExecutor(1) as threads:
        with one.write() as session:
            assert not there_already(session, report("first"))
            second = threads.submit(add_unless_there, other, report("first"))
            time.sleep(0.3)  # enough to look and to write, were it let in
            assert not second.done()
            session.add(ReportRow(**vars(report("first"))))
        assert not second.result()
        assert len(reports(one)) == 1


def test_a_writer_waits_for_another_no_longer_than_the_timeout_and_a_reader_for_none(url: str) -> None:
    with Database(url, busy_timeout=0.3) as database, Database(url) as other:
        with other.write() as session:
            session.connection()
            with pytest.raises(StoreBusyError, match="another program holds it locked"):
                add_report(database, report())
            assert reports(database) == []
        assert add_report(database, report())


def test_a_writer_that_hangs_is_ended_by_postgresql_and_has_written_nothing(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database(postgresql) as hung, Database(postgresql) as database:
        monkeypatch.setattr(labeling.store.database, "SILENCE", 0.3)
        with pytest.raises(StoreError), hung.write() as session:
            session.add(ReportRow(**vars(report("hung"))))
            session.flush()
            monkeypatch.undo()
            assert add_report(database, report("after it"))  # which waits until then
        assert [one.description for one in reports(database)] == ["after it"]
        assert add_report(hung, report("again"))


# Full, read-only, lost


def test_a_full_database_says_so_keeps_what_it_has_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    def limit(connection: sqlite3.Connection, record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    kept = []
    with Database(file_url(tmp_path)) as database:
        with database.read() as session:
            pages = session.scalars(sql.text("PRAGMA page_count")).one() + 20
        event.listen(database.engine, "connect", limit)
        database.engine.dispose()
        with pytest.raises(StoreError, match="full; make room and try again .*database or disk is full") as caught:
            for _ in range(100):
                one = report("x" * 3000)
                add_report(database, one)
                kept.append(one)
        assert not isinstance(caught.value, StoreBusyError)
        assert len(kept) > 5
        assert {one.id for one in reports(database)} == {one.id for one in kept}
        pages = 10_000
        database.engine.dispose()
        assert add_report(database, one)
        assert len(reports(database)) == len(kept) + 1


LIMITED = """
import resource, sys
from labeling.store.database import Database, StoreError
from labeling.store.reports import Report, add_report
with Database(sys.argv[1]) as database:
    resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, 800_000))
    try:
        for number in range(1000):
            report = Report("c1", [{"role": "user", "content": "?"}], "other", "x" * 3000)
            add_report(database, report)
            print(report.id, flush=True)
    except StoreError as error:
        print(error, file=sys.stderr)
        sys.exit(7)
"""


def test_a_disk_that_takes_no_more_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    process = python(LIMITED, file_url(tmp_path))
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 7, errors
    assert "make room and try again" in errors
    assert "Traceback" not in errors
    ids = set(printed.split())
    assert len(ids) > 5
    with Database(file_url(tmp_path)) as database:
        assert {one.id for one in reports(database)} == ids
    assert raw(file_url(tmp_path)).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_read_only_store_is_read_and_not_written(url: str) -> None:
    given = report()
    with Database(url) as database:
        add_report(database, given)

        def forbid(connection: sqlite3.Connection | psycopg.Connection, record: object) -> None:
            if isinstance(connection, sqlite3.Connection):
                connection.execute("PRAGMA query_only = ON")
            else:
                connection.read_only = True

        event.listen(database.engine, "connect", forbid)
        database.engine.dispose()
        with pytest.raises(StoreError, match="it is read-only; give this user the right to write"):
            add_report(database, report())
        assert reports(database) == [given]


def test_a_server_that_dropped_its_connections_is_connected_to_again(postgresql: str) -> None:
    with Database(postgresql) as database:
        add_report(database, report())
        with psycopg.connect(plain(postgresql), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        assert add_report(database, report())
        assert len(reports(database)) == 2


def test_an_error_in_the_block_takes_everything_back(database: Database) -> None:
    with database.read() as session:
        before = session.scalar(sql.text("SELECT version_num FROM alembic_version"))
    with pytest.raises(ZeroDivisionError), database.write() as session:
        session.execute(sql.text("UPDATE alembic_version SET version_num = 'gone'"))
        raise ZeroDivisionError
    with database.read() as session:
        assert session.scalar(sql.text("SELECT version_num FROM alembic_version")) == before


def test_a_reader_sees_one_state_however_long_it_reads(database: Database) -> None:
    with database.read() as session:
        assert list(read_reports(session)) == []
        add_report(database, report())
        assert list(read_reports(session)) == []
    assert len(reports(database)) == 1


# kill -9

ADD = """
import sys, threading
from labeling.store.database import Database
from labeling.store.reports import Report, add_report
database = Database(sys.argv[1])
lock = threading.Lock()
def work():
    while True:
        report = Report("c1", [{"role": "user", "content": "?" * 5000}], "other", "x" * 500)
        add_report(database, report)
        with lock:
            print(report.id, flush=True)
for _ in range(4):
    threading.Thread(target=work).start()
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_kill_9_loses_no_report_that_was_acknowledged(url: str, seed: int) -> None:
    process = python(ADD, url)
    assert process.stdout is not None
    assert process.stderr is not None
    with process, ThreadPoolExecutor(1) as threads:
        first = process.stdout.readline()
        rest = threads.submit(process.stdout.read)
        time.sleep(random.Random(seed).uniform(0, 1))
        os.kill(process.pid, signal.SIGKILL)
        whole = (first + rest.result()).rpartition("\n")[0].split("\n")
        errors = process.stderr.read()
    assert process.returncode == -signal.SIGKILL, errors
    if url.startswith("sqlite"):
        assert raw(url).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with Database(url) as database:
        found = {one.id for one in reports(database)}
    assert set(whole) <= found
    assert len(found) <= len(whole) + 4  # at most what each thread had committed and not yet printed
