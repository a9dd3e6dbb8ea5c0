"""The server that `corpuscle label serve` runs: a real one, as a process of its own, started, looked at and ended."""

import fcntl
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from labeling.client import Client
from labeling.folder import Folder
from labeling.server.login import read_login
from labeling.server.process import Server, ServerError
from tests.labeling.conftest import free_port, plain

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(label_studio_template: Path, tmp_path: Path) -> Folder:
    """With a server's tables already made."""
    copy = tmp_path / "labels"
    shutil.copytree(label_studio_template, copy, ignore=shutil.ignore_patterns("*.lock", "*.log", "connection.json"))
    return Folder(copy)


class Serving:
    """`corpuscle label serve`, as a person starts it."""

    def __init__(self, folder: Folder, port: int) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "corpuscle.main",
                "label",
                "serve",
                "--port",
                str(port),
                "--folder",
                str(folder.path),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def read_until(self, text: str) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        pytest.fail(f"it ended without {text!r}: {self.output}")

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.output += self.process.communicate(timeout=60)[0]
        return self.process.returncode


@pytest.fixture
def serving(folder: Folder) -> Iterator[Serving]:
    running = Serving(folder, free_port())
    running.read_until("Ctrl-C")
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGTERM)


def child_of(folder: Folder) -> int:
    found = re.search(r"process (\d+)", (folder.path / "label-studio.lock").read_text())
    assert found
    return int(found[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_the_folder_is_connected_and_its_secrets_are_its_owners(folder: Folder, serving: Serving) -> None:
    login = read_login(folder.login_file)
    assert login
    with folder.client() as client:
        assert client.whoami().email == login.email
        assert client.version() == "1.23.2"
    secrets = [folder.login_file, folder.connection_file, folder.path / "label-studio.log"]
    secrets += [folder.server_data / ".env"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert str(folder.login_file) in serving.output
    told = serving.output + (folder.path / "label-studio.log").read_text()
    told += Path(f"/proc/{child_of(folder)}/cmdline").read_text()
    assert login.password not in told
    assert login.token not in told


def test_it_can_be_reached_from_this_machine_alone(folder: Folder, serving: Serving) -> None:
    addresses = {line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}
    assert {one for one in addresses if one.endswith(f":{serving.port:04X}")} == {f"0100007F:{serving.port:04X}"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(folder: Folder, serving: Serving, number: int) -> None:
    child = child_of(folder)
    assert serving.end(number) == 0
    assert serving.output.endswith("stopped\n")
    assert not alive(child)
    assert not listens(serving.port)


def test_a_second_start_on_the_folder_is_refused(folder: Folder, serving: Serving) -> None:
    with pytest.raises(ServerError, match=f"a server runs on this folder already .*{serving.port}"):
        Server(folder, free_port()).__enter__()


def test_a_folder_whose_server_outlived_its_parent_is_not_taken(folder: Folder, serving: Serving) -> None:
    child = child_of(folder)
    serving.process.kill()
    serving.process.wait()
    try:
        assert alive(child)
        with pytest.raises(ServerError, match=f"process {child}"):
            Server(folder, free_port()).__enter__()
    finally:
        os.killpg(child, signal.SIGKILL)
    for _ in range(600):
        with (folder.path / "label-studio.lock").open() as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        time.sleep(0.1)
    with Server(folder, free_port()) as again, folder.client() as client:
        assert client.url == again.url
        assert client.healthy()


def test_a_server_that_ends_by_itself_is_told(folder: Folder, serving: Serving) -> None:
    os.kill(child_of(folder), signal.SIGKILL)
    serving.output += serving.process.communicate(timeout=60)[0]
    assert serving.process.returncode == 1
    assert "error: Label Studio ended by itself" in serving.output
    assert "Traceback" not in serving.output


def test_a_busy_port_is_refused_before_anything_starts(folder: Folder) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ServerError, match=r"port \d+ of 127.0.0.1 can't be had .*--port"):
            Server(folder, other.getsockname()[1]).__enter__()
    assert not (folder.path / "label-studio.log").exists()


def test_of_two_that_take_one_port_at_the_same_time_one_says_so(folder: Folder, tmp_path: Path) -> None:
    """Neither finds it busy, and Label Studio, where it does, silently takes the next one."""
    other = Folder(tmp_path / "other")
    shutil.copytree(folder.path, other.path)
    token = "0" * 40
    with closing(sqlite3.connect(other.server_data / "label_studio.sqlite3")) as data, data:
        data.execute("UPDATE authtoken_token SET key = ? WHERE user_id = 1", (token,))
    other.login_file.write_text(re.sub("token: .*", f"token: {token}", other.login_file.read_text()))
    servers = [Server(one, port) for port in [free_port()] for one in (folder, other)]

    def start(server: Server) -> str | None:
        try:
            server.__enter__()
        except ServerError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(start, servers))
    for server, error in zip(servers, told, strict=True):
        if error is None:
            server.stop()
    [error] = [one for one in told if one is not None]
    assert "does not know the login" in error


def test_data_without_their_login_are_left_alone(folder: Folder) -> None:
    folder.login_file.unlink()
    with pytest.raises(ServerError, match=r"login\.txt is missing"):
        Server(folder, free_port()).__enter__()
    assert not folder.login_file.exists()


def test_what_label_studio_says_when_it_can_not_start_is_told(folder: Folder) -> None:
    (folder.server_data / "label_studio.sqlite3").write_bytes(b"this is no database" * 1000)
    with pytest.raises(ServerError, match=r"did not start \(.*file is not a database.*label-studio\.log"):
        Server(folder, free_port()).__enter__()


def annotations(client: Client, project: int) -> list[list[int]]:
    """Their ids, of each task."""
    return [sorted(one["id"] for one in task["annotations"]) for task in client.tasks(project)]


def test_a_team_keeps_its_data_in_postgresql(postgresql: str, tmp_path: Path) -> None:
    """From an empty database, so this makes all tables: two minutes of an idle core."""
    folder = Folder(tmp_path / "labels")
    config = '<View><Text name="t" value="$t"/><TextArea name="a" toName="t"/></View>'
    with Server(folder, free_port(), plain(postgresql)), folder.client() as client:
        project = client.create_project("On PostgreSQL", config)
        [task, other] = client.import_tasks(project, [{"data": {"t": "a\0b"}}, {"data": {"t": "c"}}])
        said = [client.annotate(task, []), client.annotate(other, [], was_cancelled=True), client.annotate(other, [])]
        assert annotations(client, project) == [said[:1], said[1:]]
        since = client.task(other)["updated_at"]
        client.delete_annotation(said[1])
        assert [one["id"] for one in client.tasks(project, updated_since=datetime.fromisoformat(since))] == [other]
    assert not (folder.server_data / "label_studio.sqlite3").exists()
    with psycopg.connect(plain(postgresql)) as connection:
        assert connection.execute("SELECT count(*) FROM task").fetchone() == (2,)
    with Server(folder, free_port(), plain(postgresql)), folder.client() as client:
        assert annotations(client, project) == [said[:1], said[2:]]
    with pytest.raises(ServerError, match="does not know the login"):
        Server(Folder(tmp_path / "another"), free_port(), plain(postgresql)).__enter__()


def test_a_client_finds_nothing_where_the_server_was_stopped(folder: Folder) -> None:
    with Server(folder, free_port()) as server:
        url = server.url
    with Client(url, "0" * 40, patience=0) as client, pytest.raises(Exception, match="does not answer"):
        client.healthy()
