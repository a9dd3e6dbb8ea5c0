"""A loop with a canary that has just begun, and three checkpoints for it."""

from pathlib import Path

import pytest

from flywheel.config import Config, Promote
from flywheel.promote import begin, promote
from labeling.store.database import Database
from tests.flywheel.models import settings
from tests.flywheel.promotions import add_passed
from tests.flywheel.rows import NOW
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import find


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("three")
    return [find(write_model(folder / name, seed)) for seed, name in enumerate("abc")]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path).model_copy(update={"promote": Promote(canary=0.1)})


@pytest.fixture
def out(database: Database, config: Config, three: list[Path]) -> str:
    """A loop with a canary that has just begun; the canary's id."""
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    found = promote(database, config, NOW)
    assert found is not None
    assert (found.action, found.share, found.new) == ("canary", 0.1, True)
    return found.checkpoint_id
