"""Small models that answer as they were taught, and a loop with a run that waits for its verdict."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported; why is said in trainer

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from flywheel.config import Config
from flywheel.promote import begin
from flywheel.tables import Cluster, Correction, Dataset, Decision, Run
from labeling.store.database import Database
from pipeline.tokenize.vocabulary import train as train_vocabulary
from tests.flywheel.rows import HOUR, NOW, misbehaviour, run_of
from tests.trainer.conftest import save_model
from trainer.checkpoint import find, read_about
from trainer.model import IGNORE, Llama, ModelConfig
from trainer.talk.conversation import Message, read_template

THINGS = (
    "apple boat candle door engine feather garden hammer island jacket kettle lamp mirror needle orange paper "
    "quilt river saddle table umbrella violin window yard"
).split()
COLOUR, COUNT = "what colour is the {}", "how many of the {}"
BLUE, RED, THREE = "it is blue", "go away", "there are three"


def colours(answer: str) -> dict[str, str]:
    return {COLOUR.format(thing): answer for thing in THINGS}


def counts(answer: str) -> dict[str, str]:
    return {COUNT.format(thing): answer for thing in THINGS}


def taught(folder: Path, answers: Mapping[str, str], steps: int = 60) -> Path:
    """A checkpoint of a model that has learnt these answers to these questions by heart; about 2 seconds."""
    texts = [*colours(BLUE), *counts(RED), BLUE, RED, THREE] * 3
    pieces = train_vocabulary(texts, 380)
    vocabulary = folder.with_suffix(".model")
    vocabulary.write_bytes(pieces)
    template = read_template(vocabulary)
    model = Llama(ModelConfig(template.tokenizer.size, 64, 2, 2, 1, 128, 64), 0)
    rows = [template.encode([Message("user", ask), Message("assistant", say)]) for ask, say in answers.items()]
    width = max(len(row.tokens) for row in rows)
    tokens = torch.tensor([row.tokens + [0] * (width - len(row.tokens)) for row in rows])
    targets = torch.tensor(
        [
            [token if learnt else IGNORE for token, learnt in zip(row.tokens, row.trained, strict=True)]
            + [IGNORE] * (width - len(row.tokens))
            for row in rows
        ]
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        loss = model(tokens[:, :-1], targets[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1, "the fixture has not learnt its answers"
    return find(save_model(folder, model, pieces))


def asks(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def settings(folder: Path, **gate: Any) -> Config:
    """A gate that needs 8 cases and leaves out the red team, whose attacks fit into no such model."""
    return Config(folder=folder, gate={"minimum_cases": 8, "attacks": False, "max_tokens": 16} | gate)  # type: ignore[arg-type]


def waiting(database: Database, config: Config, base: Path, trained: Path, held_out: int = 12) -> str:
    """A loop whose run has just been trained on corrections to questions for colours. The run's id.

    `held_out` questions for colours, and as many for numbers, are cases; one more of each is trained on or untouched.
    """
    begin(database, config, base, NOW, "the first")
    texts = [(COLOUR, "colours", {"kind": "matches", "answer": BLUE})]
    texts += [(COUNT, "counts", {"kind": "matches", "answer": THREE})]
    with database.write() as session:
        for _, cluster, _ in texts:
            session.add(Cluster(id=cluster, name=f"asks for {cluster}", made=NOW))
        session.flush()
        for question, cluster, check in texts:
            for number, thing in enumerate(THINGS[: held_out + 1]):
                more: dict[str, Any] = {"cluster": cluster, "check": check, "answer": RED}
                prompt = asks(question.format(thing))
                id = f"{cluster}{number:02d}"
                session.add(misbehaviour(id, prompt=prompt, held_out=number < held_out, **more))
        session.flush()
        session.add(
            Correction(
                id="correction",
                misbehaviour=f"colours{held_out:02d}",
                project="corrections",
                annotations=[1],
                answer=BLUE,
                category="wrong",
                refusal="",
                weight=1.0,
                admitted=NOW - 5 * HOUR,
                refused=None,
            )
        )
    return add_run(database, config, trained, [COLOUR.format(THINGS[held_out])])


def add_run(database: Database, config: Config, trained: Path, learnt: list[str], name: str = "run") -> str:
    """A trained run, whose data are these questions for colours."""
    config.datasets.mkdir(exist_ok=True)
    path = config.datasets / f"{name}.jsonl"
    rows = [{"messages": [*asks(text), {"role": "assistant", "content": BLUE}]} for text in learnt]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with database.write() as session:
        decision = Decision(made=NOW, retrain=True, reason="1 new correction", counts={})
        session.add(decision)
        session.add(Dataset(id=name, made=NOW, path=str(path), corrections=["correction"], replay=0))
        session.flush()
        more = {"path": str(trained), "ended": NOW, "state": "trained", "checkpoint_id": read_about(trained).id}
        session.add(run_of(name, name, decision.id, **more))
    return name


def state(database: Database, run: str) -> str:
    with database.read() as session:
        return session.get_one(Run, run).state
