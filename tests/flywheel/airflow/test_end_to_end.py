"""The whole loop with nobody at it: a chat server, Label Studio and Airflow, all of them real, and people who report
what is wrong and say what is right."""

import random
import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sql

from flywheel.airflow.api import Api
from flywheel.airflow.home import Home
from flywheel.config import Config
from flywheel.tables import Misbehaviour
from labeling.kinds import KINDS
from labeling.store.database import Database
from labeling.store.labels import StoredSample, read_samples
from tests.flywheel.airflow.programs import Program, belonging, until
from tests.flywheel.round import BAD, GOOD, PROMPTS, REPORTED, asked, make_loop, write_bad_model
from tests.labeling.conftest import LabelStudio, free_port, label_studio_template, start_label_studio  # noqa: F401
from tests.labeling.crowd import annotate
from trainer.pointer import read_pointer

VERDICT = {"category": "wrong", "answer": GOOD, "refusal": "none"}
EVERY_MINUTES = "1"


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


@dataclass(frozen=True)
class Up:
    home: Home
    program: Program


@pytest.fixture
def airflow(loop: Config, label_studio: LabelStudio) -> Iterator[Up]:
    home = Home(loop.folder, free_port())
    words = ("airflow", "up", "--folder", str(loop.folder), "--port", str(home.port))
    running = Program(*words, CORPUSCLE_EVERY_MINUTES=EVERY_MINUTES, OMP_NUM_THREADS="1")
    try:
        running.read_until("Ctrl-C")
        yield Up(home, running)
    finally:
        running.end(signal.SIGINT)
        print(running.output)
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
        until(lambda: len(sent(database)) == REPORTED, "all reports in Label Studio")
        airflow.program.read_until("Label Studio tells of labels in corrections at once")
        draw = random.Random(0)
        for sample in sent(database):
            for person in people:
                annotate(person, KINDS["corrections"], sample, VERDICT, seconds=20 + 10 * draw.random())
        unseen = cases(database)

    until(lambda: read_pointer(loop.current).id != bad, "another checkpoint in the place of the bad one")
    until(lambda: answer(chat, unseen[0]) == GOOD, "the server's answers from it")
    assert [answer(chat, prompt) for prompt in unseen] == [GOOD] * len(unseen)

    with Api(airflow.home.url, airflow.home.password()) as api:
        runs = api.ask("GET", "/api/v2/dags/label_sync/dagRuns?limit=100")["dag_runs"]
        assert "asset_triggered" in {run["run_type"] for run in runs}, "no webhook of Label Studio has reached it"
        tasks = api.ask("GET", "/api/v2/dags/~/dagRuns/~/taskInstances?state=failed")["task_instances"]
        assert [(task["dag_id"], task["task_id"]) for task in tasks] == []
