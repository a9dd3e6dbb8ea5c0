"""A small model that answers with a digit, and a reward model of random weights."""

from pathlib import Path

import pytest

from pipeline.tokenize.vocabulary import train as train_vocabulary
from tests.trainer.align.conftest import write
from tests.trainer.conftest import save_model
from trainer.align.sft import SftConfig, sft
from trainer.model import Llama, ModelConfig, RewardModel

SHAPE = ModelConfig(380, dim=32, layers=2, heads=2, kv_heads=1, hidden=64, max_seq_len=24)


@pytest.fixture(scope="module")
def vocabulary() -> bytes:
    return train_vocabulary(["name a digit: the river ran to the old house 0123456789"] * 20, 380)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, vocabulary: bytes) -> Path:
    return save_model(tmp_path_factory.mktemp("start") / "base", Llama(SHAPE, seed=1), vocabulary)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """A model that answers with one digit, any."""
    folder = tmp_path_factory.mktemp("start")
    rows = [{"prompt": f"digit {number}", "completion": str(digit)} for number in range(20) for digit in range(10)]
    write(folder / "digits.jsonl", rows)
    sft(SftConfig(model=base, data=(folder / "digits.jsonl",), output=folder / "sft", steps=60, lr=1e-2, held_out=0.0))
    return folder / "sft"


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory, vocabulary: bytes) -> Path:
    return save_model(tmp_path_factory.mktemp("scores") / "reward", RewardModel(SHAPE, seed=2), vocabulary)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts of which the right answer is always 7."""
    path = tmp_path_factory.mktemp("prompts") / "sevens.jsonl"
    write(path, [{"prompt": f"digit {number}", "answer": "7"} for number in range(40)])
    return path
