"""What the stages' tests share: a small model that knows nothing yet, made-up words, and who watches a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.tokenize import vocabulary
from tests.trainer.conftest import save_model
from trainer import checkpoint
from trainer.log import Record
from trainer.model import Llama, ModelConfig
from trainer.progress import Silent
from trainer.talk.conversation import Message

WORDS = "river garden history science music letter window bridge market summer winter doctor island".split()
LIKED, DISLIKED = "please", "stupid"
"""Of one length, which then decides nothing."""


def texts(count: int, seed: int = 0, words: int = 5) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, words)) for _ in range(count)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of 2 layers that knows nothing yet, with a vocabulary of 420 and a context of 64."""
    pieces = vocabulary.train([f"What about {text} {LIKED} {DISLIKED}?" for text in texts(50)], 420)
    shape = ModelConfig(420, dim=32, layers=2, heads=2, kv_heads=1, hidden=64, max_seq_len=64)
    return checkpoint.find(save_model(tmp_path_factory.mktemp("base"), Llama(shape), pieces))


def said(text: str) -> list[Message]:
    return [Message("assistant", text)]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Watching(Silent):
    """Keeps what is said, and stops a run after a step, as Ctrl-C would."""

    def __init__(self, after: int = 0) -> None:
        self.after, self.notes, self.facts = after, list[str](), dict[str, str]()

    def start(self, facts: Sequence[tuple[str, str]], done: int, steps: int) -> None:
        self.facts = dict(facts)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, record: Record) -> None:
        if record.step == self.after:
            raise KeyboardInterrupt
