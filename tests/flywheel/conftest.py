"""A store in a file of its own, for each test; and, by `url`, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling.store.database import Database
from pipeline.tokenize import vocabulary
from tests.flywheel.asked import COUNTRIES
from tests.labeling.conftest import postgresql, server, url
from tests.trainer.conftest import save_model
from tests.trainer.talk.serve.conftest import write_model
from trainer import checkpoint
from trainer.model import Llama, ModelConfig

__all__ = ["database", "postgresql", "server", "url"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as opened:
        yield opened


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoints that differ."""
    folder = tmp_path_factory.mktemp("three")
    return [checkpoint.find(write_model(folder / name, seed)) for seed, name in enumerate("abc")]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 2 layers that knows nothing yet, to begin with."""
    texts = [f"What is the capital of {one}? Its capital is {one[::-1].title()}." for one in COUNTRIES]
    shape = ModelConfig(400, dim=32, layers=2, heads=2, kv_heads=1, hidden=64, max_seq_len=64)
    return checkpoint.find(save_model(tmp_path_factory.mktemp("tiny"), Llama(shape), vocabulary.train(texts, 400)))
