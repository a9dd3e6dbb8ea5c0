"""Runs whose checkpoint is gone or damaged before they are judged, or between the verdict and the promotion."""

import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.config import Config
from flywheel.decide import decide
from flywheel.gate import gate
from flywheel.lost import LostError
from flywheel.promote import begin, promote
from flywheel.tables import Run, Verdict
from flywheel.tick import tick
from labeling.store.database import Database
from tests.flywheel.models import settings, state
from tests.flywheel.promotions import add_passed, current, id_of
from tests.flywheel.rows import HOUR, NOW
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import MODEL, find


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [find(write_model(folder / name, seed)) for seed, name in enumerate("ab")]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path)


@pytest.fixture
def first(models: list[Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(models[0], tmp_path / "first"))


@pytest.fixture
def trained(database: Database, config: Config, first: Path, models: list[Path], tmp_path: Path) -> Path:
    """The checkpoint of a run that has passed the gate."""
    begin(database, config, first, NOW)
    copy = Path(shutil.copytree(models[1], tmp_path / "trained"))
    add_passed(database, "run", copy, first)
    row = {"messages": [{"role": "user", "content": "eggs"}, {"role": "assistant", "content": "in hot water"}]}
    (config.folder / "d.jsonl").write_text(json.dumps(row))
    return copy


def unjudged(database: Database) -> None:
    with database.write() as session:
        session.execute(sql.delete(Verdict))


def damage(folder: Path) -> None:
    weights = bytearray((folder / MODEL).read_bytes())
    weights[-1] ^= 1
    (folder / MODEL).write_bytes(weights)


def note(database: Database) -> str:
    with database.read() as session:
        return session.get_one(Run, "run").note


def test_a_run_whose_folder_is_gone_has_failed(database: Database, config: Config, trained: Path) -> None:
    shutil.rmtree(trained)
    with pytest.raises(LostError, match="^run run: its checkpoint can't be read: .*no such folder"):
        gate(database, config, NOW)
    assert state(database, "run") == "failed"
    assert note(database).startswith("its checkpoint can't be read: ")
    assert gate(database, config, NOW) is None


def test_a_run_whose_weights_are_damaged_has_failed(database: Database, config: Config, trained: Path) -> None:
    unjudged(database)
    damage(trained)
    with pytest.raises(LostError, match="changed or damaged"):
        gate(database, config, NOW)
    assert state(database, "run") == "failed"


def test_a_run_whose_dataset_is_gone_has_failed(database: Database, config: Config, trained: Path) -> None:
    unjudged(database)
    (config.folder / "d.jsonl").unlink()
    with pytest.raises(LostError, match=r"its dataset can't be read: .*d\.jsonl"):
        gate(database, config, NOW)
    assert state(database, "run") == "failed"


@pytest.mark.parametrize("loss", [damage, shutil.rmtree])
def test_what_was_lost_after_its_verdict_has_failed(
    database: Database, config: Config, trained: Path, first: Path, loss: object
) -> None:
    assert callable(loss)
    loss(trained)
    with pytest.raises(LostError):
        promote(database, config, NOW)
    assert (state(database, "run"), current(config)) == ("failed", id_of(first))


def test_a_run_that_a_person_names_stays_what_it_is(database: Database, config: Config, trained: Path) -> None:
    """Who names it may put the folder back."""
    away = trained.rename(trained.with_name("away"))
    for step in (gate, promote):
        with pytest.raises(LostError):
            step(database, config, NOW, "run")
    assert state(database, "run") == "trained"
    away.rename(trained)
    assert promote(database, config, NOW, "run") is not None


def test_a_damaged_current_checkpoint_is_not_the_run_s_fault(
    database: Database, config: Config, trained: Path, first: Path
) -> None:
    unjudged(database)
    damage(first)
    with pytest.raises(ValueError, match="changed or damaged") as found:
        gate(database, config, NOW)
    assert not isinstance(found.value, LostError)
    assert state(database, "run") == "trained"


def test_a_tick_tells_of_it_and_the_loop_goes_on(database: Database, config: Config, trained: Path) -> None:
    shutil.rmtree(trained)
    told = {step.name: (step.said, step.did) for step in tick(database, config, None, lambda: NOW + HOUR)}
    said, did = told["gate"]
    assert did
    assert said.endswith("It has failed.")
    assert "one at a time" not in decide(database, config, NOW + HOUR).reason
    assert "gate" not in [step.name for step in tick(database, config, None, lambda: NOW + 2 * HOUR)]
