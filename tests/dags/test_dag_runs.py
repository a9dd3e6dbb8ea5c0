"""Each DAG, run by Airflow on a real loop: a small model with a bad habit, its store, and the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.collect import collect
from flywheel.config import Config, load
from flywheel.decide import decide
from flywheel.label import admitted
from flywheel.promote import begin, promote
from flywheel.tables import Dataset, Measurement, Run
from labeling.store.database import Database
from pipeline.manifest import read_manifest
from tests.conftest import Page, write_warc
from tests.dags.conftest import Airflow
from tests.flywheel.canaries import canary, complain
from tests.flywheel.promotions import add_passed, id_of
from tests.flywheel.round import REPORTED, correct, make_loop, write_bad_model
from tests.pipeline.conftest import RECIPE
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import find
from trainer.pointer import read_pointer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bad_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bad_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def loop(tmp_path: Path, bad_model: Path) -> Config:
    """A loop with REPORTED reports, of which nothing was collected yet."""
    return make_loop(tmp_path / "loop", bad_model)


def runs(config: Config) -> list[str]:
    """The states of all trainings."""
    with Database(config.store) as database, database.read() as session:
        return list(session.scalars(sql.select(Run.state)))


def labelled(config: Config) -> int:
    """What two people say of all that was collected; how many that are."""
    with Database(config.store) as database:
        return correct(database, datetime.now(UTC))


def test_reports_become_a_better_checkpoint_by_the_dags_alone(airflow: Airflow, loop: Config) -> None:
    bad = read_pointer(loop.current).id
    watched = airflow.test("misbehaviour_watch", loop.folder)
    assert watched.states == {
        "collect": "success",
        "label": "success",
        "announce_misbehaviours": "success",
        "announce_corrections": "skipped",
        "canary": "skipped",
    }
    assert f"collect: {REPORTED} new misbehaviours" in airflow.events("misbehaviours")[-1]["said"]
    assert "no Label Studio server is connected: nobody is asked" in watched.said

    # Nothing is corrected yet: the short circuit stops the training itself, not only what is behind it.
    waiting = airflow.test("retrain", loop.folder)
    assert waiting.states == {
        "decide": "success",
        "anything_to_do": "success",
        "train": "skipped",
        "gate": "skipped",
        "promote": "success",
        "announce": "skipped",
    }
    assert "decide: wait: no new corrections" in waiting.said
    assert runs(loop) == []
    with Database(loop.store) as database, database.read() as session:
        assert session.scalar(sql.select(sql.func.count()).select_from(Dataset)) == 0
    assert read_pointer(loop.current).id == bad

    said = labelled(loop)
    synced = airflow.test("label_sync", loop.folder)
    assert set(synced.states.values()) == {"success"}
    assert f"admit: {said} new corrections" in airflow.events("corrections")[-1]["said"]

    trained = airflow.test("retrain", loop.folder)
    assert set(trained.states.values()) == {"success"}, trained.states
    assert runs(loop) == ["promoted"]
    better = read_pointer(loop.current).id
    assert better != bad
    assert better[:12] in airflow.events("checkpoint")[-1]["said"]
    page = next(loop.verdicts.glob("*/verdict.html"))
    assert f"page: {page.as_uri()}" in trained.said


def test_a_training_that_was_killed_is_gone_on_with_though_nothing_is_decided(airflow: Airflow, loop: Config) -> None:
    with Database(loop.store) as database:
        collect(database, loop, datetime.now(UTC))
        correct(database, datetime.now(UTC))
        admitted(database, loop, datetime.now(UTC))
        assert decide(database, loop, datetime.now(UTC)).retrain
    command = [sys.executable, "-m", "corpuscle.main", "flywheel", "train", "--folder", str(loop.folder)]
    process = subprocess.Popen(command, start_new_session=True)
    until = time.monotonic() + 120
    while not runs(loop):
        assert time.monotonic() < until, "the training has not begun"
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert runs(loop) == ["training"]
    ran = airflow.test("retrain", loop.folder)
    assert "is being trained: one at a time" in ran.said
    assert set(ran.states.values()) == {"success"}, ran.states
    assert runs(loop) == ["promoted"]


def test_the_night_measures_the_current_checkpoint_and_draws_the_loop(airflow: Airflow, loop: Config) -> None:
    with Database(loop.store) as database:
        now = datetime.now(UTC)
        collect(database, loop, now)
        correct(database, now)
        assert admitted(database, loop, now).cases, "people have said what held-out questions should be answered with"
    ran = airflow.test("nightly_evaluation", loop.folder)
    assert ran.states == {
        "evaluate": "success",
        "collect": "success",
        "trace": "skipped",
        "status": "success",
        "announce": "skipped",
    }
    with Database(loop.store) as database, database.read() as session:
        measured = [(row.checkpoint_id, row.bad, row.cases) for row in session.scalars(sql.select(Measurement))]
    assert {checkpoint for checkpoint, _, _ in measured} == {read_pointer(loop.current).id}
    assert all(bad == cases > 0 for _, bad, cases in measured), "the model says nothing else than what was reported"
    page = loop.folder / "status.html"
    assert "<html" in page.read_text()
    assert f"page: {page.as_uri()}" in ran.said


NIGHT = """#!{python}
import json, os, sys
with open(os.environ["CORPUSCLE_LOOP"] + "/asked", "a") as file:
    print(*sys.argv[2:4], file=file)
if sys.argv[2] == "settings":
    print(json.dumps({{"trace": {{"corpus": "/corpus"}}}}))
sys.exit(2 if sys.argv[2] == "trace" else 0)
"""


def test_a_night_whose_trace_fails_is_red_and_draws_the_loop(airflow: Airflow, tmp_path: Path) -> None:
    """And the trace is one of what is new: all that was searched for in other nights is not searched for again."""
    program = tmp_path / "corpuscle"
    program.write_text(NIGHT.format(python=sys.executable))
    program.chmod(0o755)
    ran = airflow.test("nightly_evaluation", tmp_path, CORPUSCLE=str(program))
    assert (ran.states["trace"], ran.states["status"]) == ("failed", "success")
    assert airflow.state("nightly_evaluation") == "failed"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:2] == ["evaluate --folder", "collect --folder"]
    assert asked[-3:] == ["settings --folder", "trace --new", "status --folder"]


def test_each_month_has_its_corpus_and_a_repetition_makes_nothing(
    airflow: Airflow, loop: Config, sample_pages: list[Page]
) -> None:
    (loop.folder / "small.yaml").write_text(RECIPE)
    settings = loop.folder / "flywheel.yaml"
    settings.write_text(settings.read_text() + 'schedule: {recipe: small.yaml, crawl: "crawl/{month}/*.warc.gz"}\n')
    write_warc(loop.folder / "crawl/2026-01/pages.warc.gz", sample_pages[:50])
    write_warc(loop.folder / "crawl/2026-01/more.warc.gz", sample_pages[50:70])
    write_warc(loop.folder / "crawl/2026-02/pages.warc.gz", sample_pages[70:])
    corpora = loop.folder / "corpora"

    def shards() -> dict[str, int]:
        return {str(path.relative_to(corpora)): path.stat().st_mtime_ns for path in corpora.glob("*/tokenize/*.arrow")}

    def kept(month: str) -> int:
        manifest = read_manifest(str(corpora / month))
        assert manifest is not None
        return int(manifest["counts"]["kept"])

    # By schedule: on the first of March, for February. By hand, or as a back-fill: an earlier month.
    first = airflow.test("corpus_refresh", loop.folder, "2026-03-01")
    assert set(first.states.values()) == {"success"}, first.said[-3000:]
    assert airflow.events("corpus")[-1]["month"] == "2026-02"
    assert (corpora / "current").readlink() == Path("2026-02")
    assert f"page: {(corpora / '2026-02/report.html').as_uri()}" in first.said
    made = shards()
    assert made

    second = airflow.test("corpus_refresh", loop.folder, "-c", json.dumps({"month": "2026-01"}))
    assert set(second.states.values()) == {"success"}
    assert {path.name for path in corpora.iterdir()} == {"2026-01", "2026-02", "current"}
    assert (corpora / "current").readlink() == Path("2026-02"), "an older month took the place of the newest"
    assert kept("2026-01") > kept("2026-02") > 0
    assert {name: at for name, at in shards().items() if name in made} == made

    made = shards()
    again = airflow.test("corpus_refresh", loop.folder, "2026-03-01")
    assert again.states == {task: "skipped" if task == "announce" else "success" for task in again.states}
    assert "is up to date" in again.said
    assert shards() == made

    # An archive is gone: without a person's word for it the run would fail, and the corpus stay as it is.
    more = kept("2026-01")
    (loop.folder / "crawl/2026-01/more.warc.gz").unlink()
    word = json.dumps({"month": "2026-01", "replace": True})
    replaced = airflow.test("corpus_refresh", loop.folder, "-c", word)
    assert set(replaced.states.values()) == {"success"}, replaced.said[-3000:]
    assert 0 < kept("2026-01") < more
    assert (corpora / "current").readlink() == Path("2026-02")


def test_a_bad_canary_ends_though_another_step_fails(airflow: Airflow, tmp_path: Path) -> None:
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "flywheel.yaml").write_text("promote: {canary: 0.1}\n")
    (folder / "labels").mkdir()
    (folder / "labels/connection.json").write_text("damaged")
    config = load(folder)
    models = [find(write_model(tmp_path / name, seed)) for seed, name in enumerate(("first", "second"))]
    with Database(config.store) as database:
        begin(database, config, models[0], datetime.now(UTC))
        add_passed(database, "run", models[1], models[0])
        promote(database, config, datetime.now(UTC))
        tried = canary(config)
        assert tried is not None
        assert tried.id == id_of(models[1])
        complain(database, tried.id, 5, created=datetime.now(UTC))
    ran = airflow.test("misbehaviour_watch", folder)
    assert ran.states == {
        "collect": "success",
        "label": "failed",
        "announce_misbehaviours": "success",
        "announce_corrections": "upstream_failed",
        "canary": "success",
    }
    assert airflow.state("misbehaviour_watch") == "failed"
    assert (read_pointer(config.current).id, canary(config)) == (id_of(models[0]), None)
    assert "people report the canary too often" in airflow.events("checkpoint")[-1]["said"]


def test_a_task_that_failed_for_good_tells_people(airflow: Airflow, loop: Config) -> None:
    heard = loop.folder / "heard"
    more = {"CORPUSCLE": "/no/such/corpuscle", "CORPUSCLE_ALERT": f"tee -a {heard}"}
    ran = airflow.test("misbehaviour_watch", loop.folder, **more)
    assert ran.states == {
        "collect": "failed",
        "label": "upstream_failed",
        "announce_misbehaviours": "upstream_failed",
        "announce_corrections": "upstream_failed",
        "canary": "failed",
    }
    told = [json.loads(line) for line in heard.read_text().splitlines()]
    assert {(one["dag"], one["task"], one["attempt"]) for one in told} == {
        ("misbehaviour_watch", "collect", 1),
        ("misbehaviour_watch", "canary", 1),
    }
    assert all("/no/such/corpuscle can't be started" in one["what"] for one in told)
    assert [json.loads(line) for line in (loop.folder / "alerts.jsonl").read_text().splitlines()] == told
