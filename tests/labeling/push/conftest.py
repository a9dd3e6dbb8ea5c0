"""What the tests of pushes share: samples, projects to send them to, and what must be there in the end."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from labeling.client import Client
from labeling.kinds import KINDS
from labeling.kinds.kind import Json, Sample
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import Project, StoredSample, add_project, read_samples
from tests.labeling.conftest import LabelStudio

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
