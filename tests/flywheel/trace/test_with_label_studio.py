"""Traced pages become tasks of a real Label Studio server, and what a person clicks there becomes a block list."""

from pathlib import Path

import pytest

from flywheel.config import Config, load
from flywheel.trace.review import Blocked, Decided, decided, offer, write_block_list
from flywheel.trace.trace import trace
from labeling.folder import Connection, Folder
from labeling.kinds import KINDS
from labeling.store.database import Database
from labeling.store.labels import StoredSample, projects, read_samples
from tests.flywheel.rows import NOW
from tests.flywheel.survive.harness import came_to, copied, take, take_killed
from tests.flywheel.trace.crawl import LEAK, SECRET
from tests.flywheel.trace.test_trace import add_all
from tests.labeling.conftest import LabelStudio, label_studio, label_studio_template  # noqa: F401  fixtures
from tests.labeling.crowd import annotate

pytestmark = pytest.mark.slow


def test_a_person_confirms_one_page_and_releases_another(
    database: Database,
    config: Config,
    label_studio: LabelStudio,  # noqa: F811
    tmp_path: Path,
) -> None:
    add_all(database)
    trace(database, config, NOW)
    with label_studio.client() as admin, label_studio.client(label_studio.annotators[0]) as person:
        assert offer(database, admin, config).noted == 6
        assert offer(database, admin, config).noted == 0
        with database.read() as session:
            samples = list(read_samples(session, "poison-review"))
        (leak,) = (sample for sample in samples if sample.content["url"] == SECRET)
        assert leak.task_id is not None
        shown = admin.task(leak.task_id)["data"]["text"]
        assert f"⟦1: {LEAK} :1⟧" in shown.replace("\n", " ")
        carrier = next(sample for sample in samples if sample is not leak)
        annotate(person, KINDS["poison-review"], leak, {"decision": "confirm"})
        annotate(person, KINDS["poison-review"], carrier, {"decision": "release"})
        assert offer(database, admin, config).pulled is not None
    assert decided(database, config, NOW) == Decided(confirmed=1, released=1)
    assert write_block_list(database, tmp_path / "blocked.txt") == Blocked(pages=1, copies=1, undecided=4)


def sent(config: Config) -> list[StoredSample]:
    with Database(config.store) as opened, opened.read() as session:
        return list(read_samples(session, "poison-review"))


def test_whatever_kills_it_no_page_is_sent_twice_and_no_answer_is_lost(
    label_studio: LabelStudio,  # noqa: F811
    corpus: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "flywheel.yaml").write_text(f"trace: {{corpus: {corpus}}}\n")
    config = load(folder)
    with Database(config.store) as opened:
        add_all(opened)
        trace(opened, config, NOW)
    Folder(config.labels, config.store).save_connection(Connection(label_studio.url, label_studio.admin.token))
    whole = copied(config, tmp_path / "whole")
    assert take("pages", whole, NOW)

    for effect in range(1, 100, 3):
        if take("pages", config, NOW, kill=effect):
            break
    assert effect > 5
    assert came_to(config) == came_to(whole)
    samples = sent(config)
    assert len(samples) == 6
    with Database(config.store) as opened, label_studio.client() as admin:
        (project,) = projects(opened)
        assert {task["id"] for task in admin.tasks(project.remote_id)} == {sample.task_id for sample in samples}

    with label_studio.client(label_studio.annotators[0]) as person:
        for sample in samples:
            annotate(person, KINDS["poison-review"], sample, {"decision": "confirm"})
    fetched, kills = take_killed("pages", config, tmp_path / "fetch", NOW, every=3)
    assert kills > 3
    assert [row[2] for row in came_to(fetched)["pages"]] == ["confirm"] * 6
