"""Label Studio is away for an hour, before samples are sent and while people label; and what sends and fetches is
killed."""

import random
import socket
from pathlib import Path

import pytest

from flywheel.tick import tick
from labeling.client import Client
from labeling.folder import Connection, Folder
from labeling.kinds import KINDS
from labeling.server.login import read_login
from labeling.store.database import Database
from labeling.store.labels import StoredSample, read_samples
from tests.flywheel.round import GOOD, make_loop
from tests.flywheel.rows import HOUR, NOW
from tests.flywheel.survive.harness import came_to, take, take_killed
from tests.labeling.conftest import Person, free_port, label_studio_template, start_label_studio  # noqa: F401
from tests.labeling.crowd import annotate
from trainer.pointer import read_pointer

pytestmark = pytest.mark.slow

VERDICT = {"category": "wrong", "answer": GOOD, "refusal": "none"}


def test_an_hour_without_label_studio_loses_nothing(
    model: Path,
    label_studio_template: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    config = make_loop(tmp_path / "loop", model)
    port, login = free_port(), read_login(label_studio_template / "login.txt")
    assert login
    url, draw, bad = f"http://127.0.0.1:{port}", random.Random(0), read_pointer(config.current).id
    Folder(config.labels, config.store).save_connection(Connection(url, login.token))

    def turn(minutes: int) -> dict[str, str]:
        with Database(config.store) as database, Client(url, login.token, patience=0) as client:
            return {step.name: step.said for step in tick(database, config, client, lambda: NOW + minutes / 60 * HOUR)}

    def sent() -> list[StoredSample]:
        with Database(config.store) as database, database.read() as session:
            return list(read_samples(session, "corrections"))

    with socket.socket() as nobody, pytest.raises(ConnectionRefusedError):
        nobody.connect(("127.0.0.1", port))
    for minutes in range(0, 60, 20):
        said = turn(minutes)
        assert said["label"].startswith("nobody can be asked, each tick tries again: ")
        assert said["decide"] == "wait: no new corrections: there is nothing to learn"
    found = came_to(config)["misbehaviours"]
    running = start_label_studio(label_studio_template, tmp_path / "server", port)
    try:
        for effect in range(1, 100):
            if take("label", config, NOW + HOUR, kill=effect):
                break
        assert effect > 3
        samples = sent()
        # Of what users report, people check the held-out cases too.
        assert len({sample.task_id for sample in samples}) == len(samples) == len(found)
        with running.client() as admin:
            # One that was killed between the server's project and the store's row leaves the first, which is empty.
            tasks = [len(list(admin.tasks(project["id"]))) for project in admin.projects()]
            assert sorted(tasks)[-1] == sum(tasks) == len(samples)
        half = len(samples) // 2
        _label(running.annotators, running.url, samples[:half], draw)
    finally:
        running.server.stop()
    for minutes in range(60, 120, 20):
        assert turn(minutes)["label"].startswith("nobody can be asked, ")
    assert read_pointer(config.current).id == bad
    running.server.__enter__()
    try:
        _label(running.annotators, running.url, samples[half:], draw)
        fetched, kills = take_killed("label", config, tmp_path, NOW + 2 * HOUR, every=3)
        assert kills > 3  # it asks for several pages, and commits each
        assert len(came_to(fetched)["labels"]) == 2 * len(samples)
        said = turn(120)
        assert said["label"] == f"0 sent, {2 * len(samples)} new labels, 0 changed"
        assert "promote" in said
        assert read_pointer(config.current).id != bad
    finally:
        running.server.stop()
    assert came_to(config)["misbehaviours"] == found


def _label(people: tuple[Person, ...], url: str, samples: list[StoredSample], draw: random.Random) -> None:
    for person in people[:2]:
        with Client(url, person.token) as client:
            for sample in samples:
                annotate(client, KINDS["corrections"], sample, VERDICT, seconds=20 + 10 * draw.random())
