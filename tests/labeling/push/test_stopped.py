"""A push that is cut off, killed or denied goes on when it is repeated, and sends nothing twice."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import labeling.push
from labeling.client import Client, DeniedError, LabelStudioError, UnreachableError
from labeling.kinds import KINDS
from labeling.kinds.kind import Json
from labeling.push import Pushed, push
from labeling.server.process import Server
from labeling.store.database import Database, StoreBusyError, StoreError
from labeling.store.labels import Project, add_project
from labeling.store.sending import in_doubt, noted_tasks
from tests.labeling.conftest import LabelStudio, start_label_studio
from tests.labeling.push.conftest import Make, check, questions, tasks
from tests.labeling.tokens import Expiring

pytestmark = pytest.mark.slow


KILLED = """
import os, signal, sys
import labeling.push as push
from labeling.client import Client
from labeling.store.database import Database
from tests.labeling.push.conftest import questions

url, token, store, point, count = sys.argv[1:6]
push.TASKS = 10
calls = 0

def dies(name, before):
    real = getattr(push, name)
    def wrapped(*arguments):
        global calls
        calls += 1
        if before and calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments)
        if calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(push, name, wrapped)

client = Client(url, token)
if point == "in import":
    import threading
    real = client.import_tasks
    def wrapped(project, tasks):
        global calls
        calls += 1
        if calls == 2:
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return real(project, tasks)
    client.import_tasks = wrapped
elif point != "anywhere":
    when, name = point.split()
    dies(name, when == "before")
with Database(store) as database:
    print(push.push(database, client, "p", questions(int(count)), settle=0.5).pushed)
"""


def start(client: Client, token: str, store: str, point: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", KILLED, client.url, token, store, point, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "point", ["before claim", "after claim", "in import", "before set_tasks", "after set_tasks", "after add_samples"]
)
def test_a_push_that_is_killed_goes_on_and_nothing_is_sent_twice(
    point: str, store: str, client: Client, token: str, make: Make
) -> None:
    with Database(store) as database:
        project = make(database)
        process = start(client, token, store, point if point != "after add_samples" else "before unsent", 35)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, errors
        if point == "before set_tasks":
            assert len(in_doubt(database, "p")) == 10
        found = push(database, client, "p", questions(35), settle=0.5)
        assert found.already == 35
        assert found.doubled == 0
        check(client, database, project, 35)


def test_a_push_that_is_killed_again_and_again_ends_at_last(store: str, client: Client, token: str, make: Make) -> None:
    generator = random.Random(5)
    with Database(store) as database:
        project = make(database)
        for _ in range(4):
            process = start(client, token, store, "anywhere", 200)
            before = len(noted_tasks(database, "p"))
            while len(noted_tasks(database, "p")) == before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(0.5 * generator.random())
            process.kill()
            _, errors = process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), errors
        assert len(noted_tasks(database, "p")) >= 4 * 10
        push(database, client, "p", questions(200), settle=0.5)
        check(client, database, project, 200)


class Cable:
    """Between a client and a server: cut before the nth import is passed on, or before its answer is."""

    def __init__(self, url: str, cut: str, at: int, times: int = 1) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.server = (host, int(port))
        self.cut, self.at, self.times, self.imports = cut, at, times, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        """One request and its answer; the connection is closed behind each."""
        with near, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := near.recv(65536)):
                    return
                head += data
            head, _, body = head.partition(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
            lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
            while len(body) < sum(lengths):
                body += near.recv(65536)
            doomed = False
            if b"/import?" in lines[0]:
                self.imports += 1
                doomed = self.at <= self.imports < self.at + self.times
            if doomed and self.cut == "before":
                return
            with socket.create_connection(self.server) as far:
                far.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
                answer = b""
                while data := far.recv(65536):
                    answer += data
            if not (doomed and self.cut == "behind"):
                near.sendall(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    def __enter__(self) -> "Cable":
        return self

    def __exit__(self, *exception: object) -> None:
        self.listener.close()


@pytest.mark.parametrize("cut", ["before", "behind"])
def test_a_lost_question_or_answer_is_found_out_and_the_push_goes_on(
    cut: str, database: Database, client: Client, token: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labeling.push, "TASKS", 10)
    project = make(database)
    said: list[str] = []
    with Cable(client.url, cut, 2) as cable, Client(cable.url, token) as through:
        found = push(database, through, "p", questions(35), say=said.append, settle=0.5)
    assert (found.pushed, found.arrived, found.doubled) == (35, 0, 0)
    assert "does not answer" in said[0]
    check(client, database, project, 35)


def test_a_token_that_expires_between_two_batches_is_one_clear_error_and_a_new_one_goes_on(
    database: Database, client: Client, label_studio: LabelStudio, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labeling.push, "TASKS", 10)
    project = make(database)
    expiring = Expiring(label_studio)
    with expiring.client() as old, pytest.raises(DeniedError, match="token is not accepted.*corpuscle label connect"):
        push(database, old, "p", questions(35), progress=lambda sent, total: expiring.revoke())
    assert (len(tasks(client, project)), len(noted_tasks(database, "p")), len(in_doubt(database, "p"))) == (10, 10, 0)
    with expiring.client() as new:
        found = push(database, new, "p", questions(35))
    assert (found.pushed, found.already, found.arrived, found.doubled) == (25, 35, 0, 0)
    check(client, database, project, 35)


def test_an_import_that_ends_after_its_client_has_given_up_is_waited_for(
    database: Database, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(database)
    whole = client.import_tasks
    late: list[threading.Timer] = []

    def slow(project_id: int, rows: list[Json]) -> list[int]:
        if late:
            return whole(project_id, rows)
        time.sleep(1.2)  # longer than `settle`, as the client's own patience is
        late.append(threading.Timer(0.5, whole, (project_id, rows)))
        late[0].start()
        raise UnreachableError("the server does not answer")

    monkeypatch.setattr(client, "import_tasks", slow)
    found = push(database, client, "p", questions(3), settle=1.0)
    late[0].join()
    assert (found.pushed, found.doubled) == (3, 0)
    check(client, database, project, 3)


def test_a_server_that_stays_away_is_one_clear_error_and_the_same_call_goes_on(
    database: Database, client: Client, token: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labeling.push, "TASKS", 10)
    project = make(database)
    with (
        Cable(client.url, "behind", 2, times=9) as cable,
        Client(cable.url, token, patience=0.5) as through,
        pytest.raises(LabelStudioError, match="does not answer .*Check that it runs"),
    ):
        push(database, through, "p", questions(35), settle=0.5)
    found = push(database, client, "p", questions(35), settle=0.5)
    assert found.already == 35
    check(client, database, project, 35)


def test_a_server_that_is_killed_and_comes_back_has_each_sample_once(
    label_studio_template: Path, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labeling.push, "TASKS", 5)
    servers = [start_label_studio(label_studio_template, tmp_path / "server").server]
    folder, port = servers[0].folder, servers[0].port
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: servers[-1].stop())
        client = stack.enter_context(Client(servers[0].url, folder.connection().token, patience=300))
        database = stack.enter_context(Database(store))
        config = KINDS["demonstrations"].config()
        id = client.create_project("killed", config)
        project = Project("p", "demonstrations", None, client.url, id, config, "", 1, 1, datetime.now(UTC))
        add_project(database, project)
        thread = stack.enter_context(ThreadPoolExecutor(1))
        pushing = thread.submit(push, database, client, "p", questions(400), settle=2)
        while len(noted_tasks(database, "p")) < 100 and not pushing.done():
            time.sleep(0.01)
        assert not pushing.done()
        os.killpg(servers[0]._process.pid, signal.SIGKILL)
        servers[0].stop()
        servers.append(Server(folder, port))
        servers[1].__enter__()
        found = pushing.result()
        assert (found.pushed, found.doubled) == (400, 0)
        check(client, database, project, 400)


def test_a_full_disk_is_one_clear_error_and_the_same_call_goes_on(
    store: str, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labeling.push, "TASKS", 10)
    with Database(store) as database:
        project = make(database)
        push(database, client, "p", questions(5))
        real = labeling.push.set_tasks

        def full(*arguments: Any) -> None:
            event.listen(database.engine, "connect", limit)
            database.engine.dispose()
            with database.write() as session:  # all the room that is left
                session.connection().exec_driver_sql("CREATE TABLE filler (x)")
                session.connection().exec_driver_sql("INSERT INTO filler VALUES (zeroblob(1000000))")
            real(*arguments)

        def limit(connection: Any, record: object) -> None:
            connection.execute("PRAGMA max_page_count = 100")

        monkeypatch.setattr(labeling.push, "set_tasks", full)
        with pytest.raises(StoreError, match="full; make room"):
            push(database, client, "p", questions(20))
        monkeypatch.setattr(labeling.push, "set_tasks", real)
        event.remove(database.engine, "connect", limit)
        database.engine.dispose()
        found = push(database, client, "p", questions(20))
        assert (found.arrived, found.pushed, found.already) == (10, 5, 20)
        check(client, database, project, 20)


@contextlib.contextmanager
def held(database: Database) -> Iterator[None]:
    """Another program that writes."""
    with database.write() as session:
        session.connection()
        yield


def test_a_locked_store_is_one_clear_error_and_the_same_call_goes_on(
    store: str, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database(store, busy_timeout=0.3) as database, Database(store) as other:
        project = make(database)
        with held(other), pytest.raises(StoreBusyError, match="another program holds it locked"):
            push(database, client, "p", questions(5))
        real = client.import_tasks
        lock = contextlib.ExitStack()

        def slowly(project_id: int, tasks: list[Json]) -> list[int]:
            ids = real(project_id, tasks)
            lock.enter_context(held(other))
            return ids

        monkeypatch.setattr(client, "import_tasks", slowly)
        with lock, pytest.raises(StoreBusyError, match="another program holds it locked"):
            push(database, client, "p", questions(5))
        monkeypatch.setattr(client, "import_tasks", real)
        assert push(database, client, "p", questions(5)) == Pushed(already=5, arrived=5)
        check(client, database, project, 5)


def test_two_pushes_at_once_send_each_sample_once(
    store: str, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labeling.push, "TASKS", 10)
    with Database(store) as database:
        project = make(database)

        def one(_: int) -> Pushed:
            with Database(store) as own:
                return push(own, client, "p", questions(120))

        with ThreadPoolExecutor(3) as threads:
            found = list(threads.map(one, range(3)))
        assert sum(each.already for each in found) == 240
        check(client, database, project, 120)
