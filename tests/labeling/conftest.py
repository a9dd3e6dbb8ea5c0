"""Both databases that the store runs on, a file and a real PostgreSQL server; and a real Label Studio server."""

import fcntl
import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from labeling.client import Client
from labeling.folder import Folder
from labeling.server.install import environment
from labeling.server.login import read_login
from labeling.server.process import Server
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


@dataclass(frozen=True)
class Person:
    """An account on the Label Studio server; `token` is a legacy token."""

    id: int
    email: str
    password: str
    token: str


@dataclass(frozen=True)
class LabelStudio:
    """A running server with its administrator and three annotators."""

    url: str
    admin: Person
    annotators: tuple[Person, ...]
    server: Server

    def client(self, person: Person | None = None) -> Client:
        return Client(self.url, (person or self.admin).token)


ANNOTATORS = 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sign_up(url: str, admin_token: str, email: str, password: str) -> Person:
    """As a person does it: by the administrator's invitation and the form behind it."""
    invited = httpx.get(f"{url}/api/invite", headers={"Authorization": f"Token {admin_token}"}, timeout=60).json()
    with httpx.Client(base_url=url, timeout=60, follow_redirects=True) as browser:
        form = browser.get(invited["invite_url"])
        csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
        assert csrf, "Label Studio's sign-up form has changed"
        fields = {"email": email, "password": password, "csrfmiddlewaretoken": csrf[1]}
        browser.post(invited["invite_url"], data=fields, headers={"Referer": url})
        about = browser.get("/api/current-user/whoami").json()
        return Person(about["id"], email, password, browser.get("/api/current-user/token").json()["token"])


@pytest.fixture(scope="session")
def label_studio_template() -> Path:
    """A folder with a fresh server's data and the annotators' accounts, made once and kept beside the environment.

    `Server(Folder(copy), port)` starts in some 15 s, without it in 110, most of which are for making tables. Sessions
    that run at once wait for the first.
    """
    folder = environment().with_name(environment().name + "-template-1")
    stamp = folder / "annotators.json"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            with Server(Folder(folder), free_port()) as server:
                admin = read_login(server.folder.login_file)
                assert admin
                people = [
                    sign_up(server.url, admin.token, f"person{number}@example.com", f"password-{number}-of-a-test")
                    for number in range(1, ANNOTATORS + 1)
                ]
            stamp.write_text(json.dumps([asdict(person) for person in people]))
    return folder


def start_label_studio(template: Path, folder: Path, port: int | None = None) -> LabelStudio:
    """A server on a copy of the template. The caller ends it: `.server.stop()`."""
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("*.lock", "*.log"))
    server = Server(Folder(folder), port or free_port())
    server.__enter__()
    login = read_login(server.folder.login_file)
    assert login
    people = tuple(Person(**fields) for fields in json.loads((folder / "annotators.json").read_text()))
    with Client(server.url, login.token) as client:
        admin = Person(client.whoami().id, login.email, login.password, login.token)
    return LabelStudio(server.url, admin, people, server)


@pytest.fixture(scope="session")
def label_studio(label_studio_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """A real server, for all tests of a session: each makes its own projects. Tests that need it are slow."""
    running = start_label_studio(label_studio_template, tmp_path_factory.mktemp("label-studio") / "labels")
    try:
        yield running
    finally:
        running.server.stop()


@pytest.fixture
def client(label_studio: LabelStudio) -> Iterator[Client]:
    """The administrator's client."""
    with label_studio.client() as opened:
        yield opened


@pytest.fixture
def people(label_studio: LabelStudio) -> Iterator[list[Client]]:
    """A client for each of the three annotators."""
    clients = [label_studio.client(person) for person in label_studio.annotators]
    yield clients
    for one in clients:
        one.close()
