"""The whole loop with nobody at it: a chat server, Label Studio and Airflow, all of them real, and people who report
what is wrong and say what is right. Amid the training Airflow is killed, and is away for an hour."""

import os
import random
import signal
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sql

from flywheel.airflow.api import Api
from flywheel.airflow.home import Home
from flywheel.config import Config
from flywheel.tables import Decision, Misbehaviour, Promotion, Run
from labeling.kinds import KINDS
from labeling.store.database import Database
from labeling.store.labels import AnnotationRow, StoredSample, read_samples
from tests.flywheel.airflow.programs import Program, belonging, until
from tests.flywheel.round import BAD, GOOD, PROMPTS, REPORTED, asked, make_loop, write_bad_model
from tests.labeling.conftest import LabelStudio, free_port, label_studio_template, start_label_studio  # noqa: F401
from tests.labeling.crowd import annotate
from trainer.pointer import read_pointer

VERDICT = {"category": "wrong", "answer": GOOD, "refusal": "none"}
EVERY_MINUTES = "1"
FREQUENT = ("label_sync", "misbehaviour_watch", "retrain")
LATE = 4
"""Samples that people answer while Airflow is away."""


@pytest.fixture
def loop(tmp_path: Path) -> Config:
    return make_loop(tmp_path / "loop", write_bad_model(tmp_path), reported=0)


@pytest.fixture
def label_studio(loop: Config, label_studio_template: Path) -> Iterator[LabelStudio]:  # noqa: F811
    running = start_label_studio(label_studio_template, loop.labels)
    try:
        yield running
    finally:
        running.server.stop()


@pytest.fixture
def chat(loop: Config) -> Iterator[httpx.Client]:
    port = free_port()
    server = Program("serve", str(loop.current), "--port", str(port), "--device", "cpu", CORPUSCLE_STORE=loop.store)
    try:
        server.read_until("Ctrl-C")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.end(signal.SIGTERM)


class Up:
    """`corpuscle airflow up`, started once or again."""

    def __init__(self, loop: Config) -> None:
        self.loop = loop.folder
        self.home = Home(loop.folder, free_port())
        self.program: Program

    def start(self) -> None:
        words = ("airflow", "up", "--folder", str(self.loop), "--port", str(self.home.port))
        self.program = Program(*words, CORPUSCLE_EVERY_MINUTES=EVERY_MINUTES, OMP_NUM_THREADS="1")
        self.program.read_until("Ctrl-C")

    def cut_off(self) -> None:
        """As a power cut does: with its tasks, their commands, and a training."""
        self.program.process.kill()
        self.program.ended()

        def gone() -> bool:
            left = belonging(self.loop)
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return not left

        until(gone, "the end of what was killed")

    def age(self) -> None:
        """Lets all that Airflow has noted of its frequent DAGs be an hour older, as after an hour without it."""
        of = f"WHERE dag_id IN {FREQUENT}"
        with closing(sqlite3.connect(self.home.database_file)) as connection, connection:
            for table, where in (("job", ""), ("dag", of), ("dag_run", of), ("task_instance", of)):
                for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                    if kind == "TIMESTAMP":
                        earlier = f"strftime('%Y-%m-%d %H:%M:%S', {name}, '-1 hour') || substr({name}, 20)"
                        connection.execute(f"UPDATE {table} SET {name} = {earlier} {where}")


@pytest.fixture
def airflow(loop: Config, label_studio: LabelStudio) -> Iterator[Up]:
    up = Up(loop)
    try:
        up.start()
        yield up
    finally:
        up.program.end(signal.SIGINT)
        print(up.program.output)
    assert not belonging(loop.folder)


def answer(chat: httpx.Client, prompt: str) -> str:
    body = {"messages": asked(prompt), "temperature": 0, "max_tokens": 16}
    said = chat.post("/v1/chat/completions", json=body).raise_for_status().json()
    return str(said["choices"][0]["message"]["content"])


def report(chat: httpx.Client, prompt: str, said: str) -> None:
    body = {
        "id": str(uuid.uuid4()),
        "messages": [*asked(prompt), {"role": "assistant", "content": said}],
        "category": "wrong",
        "wished_answer": GOOD,
        "consent": True,
    }
    chat.post("/api/reports", json=body).raise_for_status()


def sent(database: Database) -> list[StoredSample]:
    with database.read() as session:
        return [sample for sample in read_samples(session, "corrections") if sample.task_id is not None]


def cases(database: Database) -> list[str]:
    """What is asked in the held-out ones."""
    with database.read() as session:
        found = session.scalars(sql.select(Misbehaviour).where(Misbehaviour.held_out))
        return [row.prompt[-1]["content"] for row in found]


def begun(database: Database) -> list[str]:
    """The states of all trainings."""
    with database.read() as session:
        return list(session.scalars(sql.select(Run.state)))


def said(database: Database) -> int:
    """Labels that were fetched."""
    with database.read() as session:
        return session.scalar(sql.select(sql.func.count()).select_from(AnnotationRow)) or 0


def ran(api: Api, dag: str) -> dict[str, datetime]:
    """A DAG's runs, and for when each was planned."""
    runs = api.ask("GET", f"/api/v2/dags/{dag}/dagRuns?limit=100")["dag_runs"]
    return {run["dag_run_id"]: datetime.fromisoformat(run["run_after"]) for run in runs}


@pytest.mark.slow
def test_what_people_report_is_mended_with_nobody_at_the_loop(
    loop: Config, label_studio: LabelStudio, chat: httpx.Client, airflow: Up
) -> None:
    bad = read_pointer(loop.current).id
    assert all(answer(chat, prompt) == BAD for prompt in PROMPTS[:3])
    for prompt in PROMPTS[:REPORTED]:
        report(chat, prompt, BAD)

    with ExitStack() as stack:
        database = stack.enter_context(Database(loop.store))
        people = [stack.enter_context(label_studio.client(one)) for one in label_studio.annotators[:2]]
        draw = random.Random(0)

        def correct(samples: list[StoredSample]) -> None:
            for sample in samples:
                for person in people:
                    annotate(person, KINDS["corrections"], sample, VERDICT, seconds=20 + 10 * draw.random())

        until(lambda: len(sent(database)) == REPORTED, "all reports in Label Studio")
        airflow.program.read_until("Label Studio tells of labels in corrections at once")
        unseen, samples = cases(database), sent(database)
        correct(samples[LATE:])

        until(lambda: bool(begun(database)), "a training")
        with Api(airflow.home.url, airflow.home.password()) as api:
            watched = ran(api, "misbehaviour_watch")
        airflow.cut_off()
        correct(samples[:LATE])
        report(chat, PROMPTS[REPORTED], answer(chat, PROMPTS[REPORTED]))
        airflow.age()
        again = datetime.now(UTC)
        airflow.start()

        until(lambda: read_pointer(loop.current).id != bad, "another checkpoint in the place of the bad one")
        until(lambda: answer(chat, unseen[0]) == GOOD, "the server's answers from it")
        assert [answer(chat, prompt) for prompt in unseen] == [GOOD] * len(unseen)
        until(lambda: len(sent(database)) == REPORTED + 1, "the report of meanwhile in Label Studio")
        until(lambda: said(database) == 2 * REPORTED, "the labels of meanwhile")

        # Once, though its task was begun twice.
        assert begun(database) == ["promoted"]
        with database.read() as session:
            assert len(session.scalars(sql.select(Decision).where(Decision.retrain)).all()) == 1
            actions = list(session.scalars(sql.select(Promotion.action).order_by(Promotion.id)))
        assert actions == ["promote", "promote"], "the bad one's, and the better one's"
        with label_studio.client() as admin:
            assert [len(list(admin.tasks(project["id"]))) for project in admin.projects()] == [REPORTED + 1]

    with Api(airflow.home.url, airflow.home.password()) as api:
        late = [id for id, at in ran(api, "misbehaviour_watch").items() if id not in watched and at < again]
        assert len(late) <= 2, "runs that were missed are made up for"  # but the one that was due, and the last
        runs = api.ask("GET", "/api/v2/dags/label_sync/dagRuns?limit=100")["dag_runs"]
        assert "asset_triggered" in {run["run_type"] for run in runs}, "no webhook of Label Studio has reached it"
        tasks = api.ask("GET", "/api/v2/dags/~/dagRuns/~/taskInstances?state=failed")["task_instances"]
        assert [(task["dag_id"], task["task_id"]) for task in tasks] == []
