"""Both databases that the store runs on: a file, and a real PostgreSQL server of the system's binaries."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from labeling.store.database import Database

PASSWORD = "p@ss:w/rd"


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found and Path(found).resolve().with_name("pg_ctl").exists():
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return folders[-1].parent if folders else None


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server on a Unix socket. It refuses to run as root, so then nobody runs it."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here (initdb, pg_ctl); apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # pytest's own folders are closed to other users
    user = "nobody" if os.getuid() == 0 else getpass.getuser()
    (folder / "password").write_text(PASSWORD)
    if os.getuid() == 0:
        shutil.chown(folder, user)
        shutil.chown(folder / "password", user)
    data, log = folder / "data", folder / "log"

    def run(*command: str) -> None:
        done = subprocess.run(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            capture_output=True,
            text=True,
            user=user if os.getuid() == 0 else None,
        )
        if done.returncode:
            pytest.fail(f"{command[0]}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")

    run(
        *(f"{binaries}/initdb", "-D", str(data), "-U", "corpuscle", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8"),
        *("--locale=C", f"--pwfile={folder}/password"),
    )
    options = f"-k {folder} -c listen_addresses= -c max_connections=100 -c shared_buffers=16MB"
    # pg_ctl's server would keep a pipe open: its output goes to the log.
    run(f"{binaries}/pg_ctl", "-D", str(data), "-l", str(log), "-o", options, "-w", "-t", "60", "start")
    try:
        yield f"postgresql+psycopg://corpuscle:p%40ss%3Aw%2Frd@/postgres?host={folder}"
    finally:
        run(f"{binaries}/pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def plain(url: str) -> str:
    """The URL as psycopg itself takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def postgresql(server: str) -> str:
    with psycopg.connect(plain(server), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return server


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database(url) as opened:
        yield opened
