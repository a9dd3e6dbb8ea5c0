"""Samples become tasks of a real server, each once, whatever dies in between."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import labeling.push
from labeling.client import Client, LabelStudioError, UnreachableError
from labeling.kinds import KINDS
from labeling.kinds.demonstrations import Demonstrations
from labeling.kinds.kind import Json, Order, Sample
from labeling.push import Pushed, PushError, push
from labeling.rows import Rejected
from labeling.server.process import Server
from labeling.sources import make_sample
from labeling.store.database import Database, StoreBusyError, StoreError
from labeling.store.labels import Project, StoredSample, add_project, get_project, read_samples
from labeling.store.sending import in_doubt, noted_tasks
from tests.labeling.conftest import LabelStudio, start_label_studio

pytestmark = pytest.mark.slow

Make = Callable[..., Project]


@pytest.fixture
def make(client: Client) -> Iterator[Make]:
    """Makes a project in a store and in Label Studio, where it is deleted at the end."""
    made = []

    def make(database: Database, kind: str = "demonstrations", name: str = "p") -> Project:
        config = KINDS[kind].config()
        made.append(client.create_project(f"test of push: {kind}", config))
        project = Project(name, kind, None, client.url, made[-1], config, "", 1, 1, datetime.now(UTC))
        add_project(database, project)
        return project

    yield make
    for id in made:
        client.delete_project(id)


@pytest.fixture
def token(label_studio: LabelStudio) -> str:
    return label_studio.admin.token


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.sqlite"


@pytest.fixture
def database(store: str) -> Iterator[Database]:
    with Database(store) as opened:
        yield opened


def question(number: int, **columns: Any) -> Sample:
    row = {"messages": f"What is {number} + {number}?", **columns}
    return make_sample(KINDS["demonstrations"], row, {"file": "secret.jsonl", "line": number})


def questions(count: int) -> list[Sample]:
    return [question(number) for number in range(count)]


def comparison(number: int, **columns: Any) -> Sample:
    answers = [{"text": f"right {number}", "model": "model-r"}, {"text": f"wrong {number}", "model": "model-w"}]
    row = {"prompt": f"Which, {number}?", "answers": answers, **columns}
    return make_sample(KINDS["comparisons"], row, {"file": "secret.jsonl", "line": number})


def stored(database: Database, name: str = "p") -> dict[str, StoredSample]:
    with database.read() as session:
        return {one.id: one for one in read_samples(session, name)}


def tasks(client: Client, project: Project) -> list[Json]:
    return list(client.tasks(project.remote_id, with_annotations=False))


def check(client: Client, database: Database, project: Project, count: int) -> None:
    """There are so many tasks, each of another sample, and the store knows which."""
    found = tasks(client, project)
    refs = Counter(task["data"]["ref"] for task in found)
    assert (len(found), max(refs.values())) == (count, 1)
    samples = stored(database)
    assert {one.task_id for one in samples.values()} == {task["id"] for task in found}
    for task in found:
        (one,) = (one for one in samples.values() if one.task_id == task["id"])
        assert task["data"] == KINDS[project.kind].task(one.content, one.order) | {"ref": task["data"]["ref"]}


# The plain way


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_every_sample_becomes_one_task_and_a_second_push_sends_nothing(
    backend: str, store: str, client: Client, make: Make, request: pytest.FixtureRequest
) -> None:
    url = store if backend == "sqlite" else str(request.getfixturevalue("postgresql"))
    with Database(url) as database:
        project = make(database)
        assert push(database, client, "p", questions(30)) == Pushed(pushed=30)
        check(client, database, project, 30)
        assert push(database, client, "p", questions(31)) == Pushed(pushed=1, already=30)
        assert push(database, client, "p") == Pushed()
        check(client, database, project, 31)


def test_the_same_sample_twice_in_one_file_is_sent_once(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    assert push(database, client, "p", [question(1), question(2), question(1)]) == Pushed(pushed=2, already=1)
    check(client, database, project, 2)


def test_a_bad_row_costs_itself_alone(database: Database, client: Client, make: Make) -> None:
    make(database)
    bad = Rejected("a.jsonl:2", "messages are missing")
    assert push(database, client, "p", [question(1), bad, question(2)]) == Pushed(pushed=2, rejected=[bad])


def test_progress_is_told(database: Database, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make(database)
    monkeypatch.setattr(labeling.push, "TASKS", 10)
    told: list[tuple[int, int]] = []
    push(database, client, "p", questions(25), progress=lambda done, of: told.append((done, of)))
    assert told == [(10, 25), (20, 25), (25, 25)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_task_tells_nothing_that_labellers_must_not_know(
    kind: str, database: Database, client: Client, make: Make
) -> None:
    rows: dict[str, Json] = {
        "demonstrations": {"messages": "Why?"},
        "comparisons": {
            "prompt": "Why?",
            "answers": [{"text": "a", "model": "model-r"}, {"text": "b"}],
            "opinion": "a",
        },
        "rankings": {"prompt": "Why?", "answers": [{"text": text, "model": "model-r"} for text in "abc"]},
        "corrections": {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]},
        "ratings": {"prompt": "Why?", "answer": {"text": "Because.", "model": "model-r"}},
        "poison-review": {"id": "d0", "url": "https://example.com", "text": "Buy now.", "findings": []},
    }
    project = make(database, kind)
    sample = make_sample(KINDS[kind], rows[kind], {"file": "secret.jsonl", "line": 1})
    push(database, client, "p", [replace(sample, priority=0.123)])
    (task,) = tasks(client, project)
    spelt = json.dumps([task["data"], task["meta"]])
    assert not [word for word in ("model-r", "secret", sample.id[:8], "0.123", "own choice") if word in spelt]
    assert stored(database)[sample.id].provenance["file"] == "secret.jsonl"


def test_answers_are_shown_in_an_order_that_the_store_alone_knows(
    database: Database, client: Client, make: Make
) -> None:
    project = make(database, "comparisons")
    push(database, client, "p", [comparison(number) for number in range(40)])
    check(client, database, project, 40)
    left = Counter(task["data"]["left"].split()[0] for task in tasks(client, project))
    assert min(left.values()) >= 8  # of 40; fewer would be seen once in 20,000 times


def test_gold_is_mixed_in_without_a_rate_and_not_missed_where_there_is_none(
    database: Database, client: Client, make: Make
) -> None:
    make(database)
    assert push(database, client, "p", questions(60)) == Pushed(pushed=60)
    gold = [question(1000 + number, gold={"answer": "4"}) for number in range(3)]
    assert push(database, client, "p", gold) == Pushed(waiting_gold=3)
    found = push(database, client, "p", [question(number) for number in range(60, 98)])
    assert (found.pushed, found.gold, found.waiting_gold) in [(40, 2, 1), (39, 1, 2), (41, 3, 0)]


def test_the_greatest_priority_is_the_first_task(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    push(database, client, "p", [question(number, priority=number % 7) for number in range(20)])
    by_task = sorted(stored(database).values(), key=lambda one: one.task_id or 0)
    assert [one.priority for one in by_task] == sorted((number % 7 for number in range(20)), reverse=True)
    first = client._get(f"api/projects/{project.remote_id}/next/")  # what a labeller gets
    assert first["id"] == by_task[0].task_id


def test_hostile_texts_arrive_as_texts(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    texts = ["<script>alert(1)</script>", "\0\x1b[31m\ud83d", "\u202eevil", "{{config}} $prompt", "a" * 150_000]
    rows = [make_sample(KINDS["demonstrations"], {"messages": text}, {}) for text in texts]
    assert push(database, client, "p", rows).pushed == len(texts)
    check(client, database, project, len(texts))


def test_what_is_too_much_for_one_import_goes_in_several(
    database: Database, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(database)
    sizes: list[int] = []
    real = client.import_tasks

    def count(project_id: int, tasks: list[Json]) -> list[int]:
        sizes.append(len(json.dumps(tasks)))
        return real(project_id, tasks)

    monkeypatch.setattr(client, "import_tasks", count)
    rows = [make_sample(KINDS["demonstrations"], {"messages": f"{number} " * 60_000}, {}) for number in range(100)]
    assert push(database, client, "p", rows).pushed == 100
    assert len(sizes) > 1
    assert max(sizes) < 8_300_000
    check(client, database, project, 100)


# Gold


def test_gold_is_one_in_ten_and_looks_like_the_others(database: Database, client: Client, make: Make) -> None:
    project = make(database, "comparisons")
    gold = [comparison(1000 + number, gold={"choice": "a", "margin": 1.0}) for number in range(30)]
    found = push(database, client, "p", [*gold, *(comparison(number) for number in range(180))], gold_rate=0.1)
    assert (found.pushed, found.gold, found.waiting_gold, found.missing_gold) in [(200, 20, 10, 0), (199, 19, 11, 0)]
    by_task = sorted((one for one in stored(database).values() if one.task_id), key=lambda one: one.task_id or 0)
    places = [place for place, one in enumerate(by_task) if one.gold is not None]
    assert max(after - before for before, after in pairwise(places)) <= 20
    known = {one.task_id: one.gold is not None for one in by_task}
    looks: dict[bool, set[str]] = {True: set(), False: set()}
    for task in tasks(client, project):
        fields = {name: type(value).__name__ for name, value in task.items() if name not in ("id",)}
        looks[known[task["id"]]].add(json.dumps([fields, sorted(task["data"]), task["meta"]], sort_keys=True))
    assert looks[True] == looks[False]
    assert len(looks[True]) == 1


def test_gold_that_is_missing_is_told_and_what_is_left_waits(database: Database, client: Client, make: Make) -> None:
    make(database)
    gold = question(1000, gold={"answer": "2000"})
    found = push(database, client, "p", [gold, *questions(40)], gold_rate=0.2)
    assert (found.pushed, found.gold) == (41, 1)
    assert found.missing_gold in (9, 10)
    assert push(database, client, "p", [question(1001, gold={"answer": "2002"})]).waiting_gold == 1


def test_a_rate_that_is_none_is_refused_before_anything_is_stored(
    database: Database, client: Client, make: Make
) -> None:
    make(database)
    with pytest.raises(ValueError, match="rate of gold questions of 5; expected 0 to 0.5"):
        push(database, client, "p", questions(3), gold_rate=5)
    assert stored(database) == {}


# Stops and starts

KILLED = """
import os, signal, sys
import labeling.push as push
from labeling.client import Client
from labeling.store.database import Database
from tests.labeling.test_push import questions

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


# Hands in the interface


def test_deleted_tasks_are_noticed_once_and_not_sent_again(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    push(database, client, "p", questions(10))
    for task in tasks(client, project)[:3]:
        client.delete_task(task["id"])
    assert push(database, client, "p", questions(10)) == Pushed(already=10, deleted=3)
    assert push(database, client, "p", questions(11)) == Pushed(already=10, pushed=1)
    assert len(tasks(client, project)) == 8


def test_what_another_push_sends_meanwhile_is_not_taken_for_deleted(
    database: Database,
    client: Client,
    make: Make,
    label_studio: LabelStudio,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = make(database)
    push(database, client, "p", questions(3))
    client.delete_task(tasks(client, project)[0]["id"])
    listed = client.tasks

    def and_then_more_arrive(*asked: Any, **how: Any) -> Iterator[Json]:
        yield from listed(*asked, **how)
        with label_studio.client() as other:
            assert push(database, other, "p", questions(5)).deleted == 1

    monkeypatch.setattr(client, "tasks", and_then_more_arrive)
    assert push(database, client, "p").deleted == 0
    assert sum(one.deleted is not None for one in stored(database).values()) == 1
    assert noted_tasks(database, "p") == {task["id"] for task in listed(project.remote_id)}


def test_a_number_that_label_studio_gives_again_belongs_to_the_newer_task(
    database: Database, client: Client, make: Make
) -> None:
    project = make(database)
    push(database, client, "p", questions(4))
    last = tasks(client, project)[-1]["id"]
    client.delete_task(last)
    found = push(database, client, "p", questions(5))
    assert (found.pushed, found.deleted) == (1, 1)
    of = {one.task_id: one for one in stored(database).values() if one.task_id}
    assert of.keys() == {task["id"] for task in tasks(client, project)}
    for task in tasks(client, project):
        assert task["data"]["prompt"][-1]["text"] == of[task["id"]].content["messages"][-1]["content"]


def test_a_project_that_is_gone_is_told(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    client.delete_project(project.remote_id)
    with pytest.raises(PushError, match="p: its project .* is gone from .*; somebody deleted it"):
        push(database, client, "p", questions(3))


def test_a_changed_interface_that_needs_other_fields_is_told(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    other = '<View><Text name="prompt" value="$picture"/><TextArea name="answer" toName="prompt"/></View>'
    client.update_project(project.remote_id, label_config=other)
    with pytest.raises(PushError, match="refused the first 8 tasks.*interface changed by hand"):
        push(database, client, "p", questions(30))
    client.update_project(project.remote_id, label_config=project.config)
    assert push(database, client, "p", questions(30)) == Pushed(already=30, pushed=30)


class Faulty(Demonstrations):
    """Makes one task that Label Studio refuses."""

    def task(self, content: Json, order: Order) -> Json:
        made = super().task(content, order)
        return {} if "What is 7 +" in json.dumps(made) else made


def test_a_task_that_is_refused_costs_itself_alone(
    database: Database, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(database)
    monkeypatch.setattr(labeling.push, "kind_of", lambda *_: Faulty())
    found = push(database, client, "p", questions(20))
    assert found.pushed == 19
    ((provenance, reason),) = found.refused
    assert provenance == {"file": "secret.jsonl", "line": 7}
    assert "refused" in reason
    assert len(tasks(client, project)) == 19
    monkeypatch.undo()
    assert push(database, client, "p").pushed == 1
    check(client, database, project, 20)


def test_the_project_must_be_known(database: Database, client: Client) -> None:
    with pytest.raises(KeyError, match="no project p"):
        push(database, client, "p", [])
    with pytest.raises(KeyError):
        get_project(database, "p")
