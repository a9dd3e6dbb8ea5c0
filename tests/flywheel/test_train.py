"""A decision becomes a checkpoint, once, whatever is killed in between; what fails says why."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.config import Config, Decide, Train
from flywheel.decide import decide
from flywheel.label import admitted
from flywheel.tables import Dataset, Run
from flywheel.train import TrainError, run_id, train
from labeling.store.database import Database
from pipeline.tokenize import vocabulary
from tests.flywheel.asked import COUNTRIES, add_capitals
from tests.flywheel.rows import DAY, NOW
from tests.trainer.conftest import save_model
from trainer import checkpoint
from trainer.model import Llama, ModelConfig
from trainer.pointer import Pointer, write_pointer


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 2 layers that knows nothing yet."""
    texts = [f"What is the capital of {one}? Its capital is {one[::-1].title()}." for one in COUNTRIES]
    shape = ModelConfig(400, dim=32, layers=2, heads=2, kv_heads=1, hidden=64, max_seq_len=64)
    return checkpoint.find(save_model(tmp_path_factory.mktemp("base"), Llama(shape), vocabulary.train(texts, 400)))


@pytest.fixture
def config(tmp_path: Path, base: Path) -> Config:
    settings = Train(steps=20, replay=0.0, device="cpu", learning_rate=3e-3, batch_tokens=64)
    found = Config(folder=tmp_path, decide=Decide(corrections=5), train=settings)
    write_pointer(found.current, Pointer(base, checkpoint.read_about(base).id))
    return found


def decided(database: Database, config: Config, begin: int = 0) -> None:
    add_capitals(database, 5, begin)
    admitted(database, config, NOW)
    assert decide(database, config, NOW).retrain


def runs(database: Database) -> list[Run]:
    with database.read() as session:
        found = list(session.scalars(sql.select(Run)))
        session.expunge_all()
    return found


def test_without_a_decision_nothing_is_trained(database: Database, config: Config) -> None:
    assert train(database, config, NOW) is None
    decide(database, config, NOW)
    assert train(database, config, NOW) is None
    assert runs(database) == []


def test_without_a_model_to_start_from_none_is(database: Database, config: Config) -> None:
    decided(database, config)
    config.current.unlink()

    with pytest.raises(TrainError, match=r"current\.json: no such file; promote a checkpoint first"):
        train(database, config, NOW)
    assert runs(database) == []


@pytest.mark.slow
def test_a_decision_becomes_a_checkpoint_and_only_one(database: Database, config: Config, base: Path) -> None:
    decided(database, config)

    run = train(database, config, NOW)

    assert run is not None
    assert (run.state, run.decision, run.note, run.began) == ("trained", 1, "", NOW)
    made = checkpoint.read_about(checkpoint.find(config.folder / run.path))
    assert (run.checkpoint_id, made.parent) == (made.id, checkpoint.read_about(base).id)
    assert (made.step, made.stage) == (20, "sft")
    with database.read() as session:
        dataset = session.get_one(Dataset, run.dataset)
        assert len(dataset.corrections) == 5
        assert run.id == run_id(dataset.id, made.parent, config)
    assert train(database, config, NOW + DAY) is None


@pytest.mark.slow
def test_a_run_whose_processes_were_killed_goes_on_and_ends_as_another(
    database: Database, config: Config, tmp_path: Path
) -> None:
    long = config.model_copy(update={"train": config.train.model_copy(update={"steps": 400})})
    decided(database, long)
    program = (
        "import sys, datetime; from flywheel.config import Config; from flywheel.train import train;"
        "from labeling.store.database import Database;"
        "config = Config.model_validate_json(sys.stdin.read());"
        "train(Database(config.store), config, datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC))"
    )
    at_it = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, start_new_session=True)
    assert at_it.stdin
    at_it.stdin.write(long.model_dump_json().encode())
    at_it.stdin.close()
    while not list(long.runs.glob("*/checkpoints.json")):
        assert at_it.poll() is None, "it ended by itself"
        time.sleep(0.02)

    at_it.kill()  # the training itself lives on, and nobody else begins it
    at_it.wait()
    (run,) = runs(database)
    again = train(database, long, NOW)
    assert again is not None
    assert (again.id, again.state) == (run.id, "training")
    os.killpg(at_it.pid, signal.SIGKILL)

    ended = train(database, long, NOW)
    while ended is not None and ended.state == "training":  # the killed one may hold its lock for a moment
        ended = train(database, long, NOW)
    assert ended is not None
    assert (ended.id, ended.state) == (run.id, "trained")
    assert checkpoint.read_about(checkpoint.find(long.folder / ended.path)).step == 400


@pytest.mark.slow
def test_a_training_that_fails_says_why_and_is_tried_again(database: Database, config: Config) -> None:
    broken = config.model_copy(update={"train": config.train.model_copy(update={"device": "abacus"})})
    decided(database, broken)

    failed = train(database, broken, NOW)

    assert failed is not None
    assert failed.state == "failed"
    assert "abacus" in failed.note
    assert failed.checkpoint_id is None
    assert train(database, broken, NOW) is None  # not before it is decided anew
    assert decide(database, broken, NOW + DAY).retrain
    again = train(database, broken, NOW + DAY)
    assert again is not None
    assert (again.id, again.decision) == (failed.id, failed.decision + 1)
