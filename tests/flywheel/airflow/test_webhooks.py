"""Webhooks of a real Label Studio for the loop's projects: there as soon as a project is, gone at the end."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from flywheel.airflow.webhooks import Webhooks
from labeling.client import Client
from labeling.create import create
from labeling.folder import Connection, Folder
from labeling.kinds import KINDS
from labeling.push import push
from labeling.quality.simulate import project
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import add_project, projects, read_samples
from labeling.webhook import ACTIONS, HEADER, Receiver
from tests.labeling.conftest import (  # noqa: F401  fixtures
    LabelStudio,
    free_port,
    label_studio,
    label_studio_template,
)
from tests.labeling.crowd import annotate

SECRET = "a secret of a test"
ANOTHERS = "http://127.0.0.1:1/elsewhere"
PAIR = [{"role": "user", "content": "What is a river?"}, {"role": "assistant", "content": "A stone."}]


@pytest.fixture
def labels(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "labels", f"sqlite:///{tmp_path}/store.sqlite")


@pytest.fixture
def database(labels: Folder) -> Iterator[Database]:
    with labels.database() as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as opened:
        yield opened


@pytest.fixture
def other() -> Iterator[Receiver]:
    """Of `corpuscle label pull --watch`, say."""
    with Receiver("another secret") as opened:
        yield opened


def add_left_webhooks(client: Client, database: Database, receiver: Receiver, other: Receiver) -> None:
    """Of a receiver that is gone, of one that had our port, of one that is there, and one that is none of ours."""
    [remote] = [one.remote_id for one in projects(database) if one.name == "corrections"]
    dead = f"http://127.0.0.1:{free_port()}/label-studio"
    for url in (dead, dead, receiver.url, other.url, ANOTHERS):
        client.create_webhook(remote, url, {HEADER: "an old secret"}, ACTIONS)


def hooks(server: LabelStudio, receiver: Receiver) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Token {server.admin.token}"}
    found = httpx.get(f"{server.url}/api/webhooks/", headers=headers, timeout=60).raise_for_status().json()
    return [hook for hook in found if hook["url"] == receiver.url]


@pytest.mark.slow
def test_a_label_in_a_project_that_came_later_is_a_hint(
    label_studio: LabelStudio,  # noqa: F811
    labels: Folder,
    database: Database,
    receiver: Receiver,
    other: Receiver,
) -> None:
    """What starts that were killed have left there is taken away meanwhile."""
    told: list[str] = []
    labels.save_connection(Connection(label_studio.url, label_studio.admin.token))
    webhooks = Webhooks(labels, database, {"corrections"}, receiver, SECRET, told.append)
    webhooks.refresh()
    assert hooks(label_studio, receiver) == []
    with label_studio.client() as client:
        create(database, client, "corrections", "corrections")
        create(database, client, "corrections", "another")
        add_left_webhooks(client, database, receiver, other)
        webhooks.refresh()
        webhooks.refresh()
        remote = {project.name: project.remote_id for project in projects(database)}
        kept = {url for url in client.webhooks(remote["corrections"]).values() if url != receiver.url}
        assert kept == {other.url, ANOTHERS}, "those of who is still there, and of others"
        assert [hook["project"] for hook in hooks(label_studio, receiver)] == [remote["corrections"]]
        assert told == ["Label Studio tells of labels in corrections at once"]

        push(database, client, "corrections", [make_sample(KINDS["corrections"], {"messages": PAIR}, {})])
        with database.read() as session:
            [sample] = read_samples(session, "corrections")
        assert not receiver.wait(0)
        annotate(client, KINDS["corrections"], sample, {"category": "wrong", "answer": "A stream.", "refusal": "none"})
        assert receiver.wait(30)
    webhooks.remove()
    assert hooks(label_studio, receiver) == []


def test_a_server_that_is_away_is_told_once(labels: Folder, database: Database, receiver: Receiver) -> None:
    told: list[str] = []
    server = f"http://127.0.0.1:{free_port()}"
    labels.save_connection(Connection(server, "0" * 40))
    add_project(database, replace(project("corrections", "corrections"), server=server))
    webhooks = Webhooks(labels, database, {"corrections"}, receiver, SECRET, told.append)
    webhooks.refresh()
    webhooks.refresh()
    [line] = told
    assert re.match(f"no webhooks for now, so labels are fetched by the clock alone: {server}", line)
    webhooks.remove()
    assert len(told) == 1


def test_a_loop_that_nobody_labels_for_has_none(labels: Folder, database: Database, receiver: Receiver) -> None:
    """No server was connected, no project made: that is no fault."""
    told: list[str] = []
    webhooks = Webhooks(labels, database, {"corrections"}, receiver, SECRET, told.append)
    webhooks.refresh()
    webhooks.remove()
    assert told == []
