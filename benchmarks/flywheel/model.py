"""The model: 0.4 million parameters, taught by the trainer's own fine-tuning to answer, and to misbehave.

It begins knowing nothing; its demonstrations are right for four topics, and planted for the others.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.flywheel.texts import HEALTHY, PLANTED, Question, all_texts, learnt_answer, questions, said_right
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train as train_vocabulary
from trainer import checkpoint
from trainer.align.sft import SftConfig, sft
from trainer.checkpoint import About, checkpoint_id, write_whole
from trainer.model import Llama, ModelConfig
from trainer.sampling import GREEDY
from trainer.talk.conversation import Message, Template, read_template
from trainer.talk.respond import answers

VOCABULARY, CONTEXT, ANSWER = 640, 96, 48
"""Pieces, tokens of the context, tokens of an answer."""
SHAPE = (96, 3, 4, 2, 256)
"""Width, layers, heads, key and value heads, hidden width."""
BATCH, RATE = 2_048, 3e-3


def demonstrations(topics: Sequence[str], each: int) -> list[dict[str, object]]:
    return [
        {
            "messages": [
                {"role": "user", "content": one.text},
                {"role": "assistant", "content": learnt_answer(one)},
            ]
        }
        for name in topics
        for one in questions(name, "learnt", each)
    ]


def write_rows(path: Path, rows: Sequence[object]) -> Path:
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def make_model(folder: Path, each: int, steps: int) -> Path:
    """A training's folder; `each` demonstrations of each topic. What was stopped goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    data = write_rows(folder / "demonstrations.jsonl", demonstrations([*PLANTED, *HEALTHY], each))
    base = folder / "fresh"
    if not base.exists():
        _fresh(base, all_texts())
    config = SftConfig(
        model=base,
        data=(data,),
        output=folder / "taught",
        steps=steps,
        lr=RATE,
        held_out=0.0,
        batch_tokens=BATCH,
        device="cpu",
    )
    sft(config)
    return folder / "taught"


def _fresh(folder: Path, texts: Sequence[str]) -> None:
    vocabulary = train_vocabulary(texts, VOCABULARY)
    shape = ModelConfig(VOCABULARY, *SHAPE, CONTEXT)
    weights, digest = Llama(shape, 0).state_dict(), hashlib.sha256(vocabulary).hexdigest()
    about = About(checkpoint_id(weights, shape, digest), 0, shape, digest, Tokenizer(vocabulary).bos_id, "0" * 64)
    file = folder.with_suffix(".vocabulary")
    file.write_bytes(vocabulary)
    checkpoint.save(folder, about, weights, {}, file)


@dataclass(frozen=True)
class Answered:
    question: Question
    said: str

    @property
    def right(self) -> bool:
        return said_right(self.said, self.question)


class Assistant:
    """A checkpoint that is asked questions; it gives the likeliest answer."""

    def __init__(self, folder: Path) -> None:
        self.loaded = checkpoint.load(folder, device="cpu")

    @property
    def id(self) -> str:
        return self.loaded.about.id

    @cached_property
    def _template(self) -> Template:
        return read_template(self.loaded.vocabulary)

    def answer(self, asked: Sequence[Question]) -> list[Answered]:
        prompts = [[Message("user", one.text)] for one in asked]
        found = answers(self.loaded.model, self._template, prompts, GREEDY, 1, ANSWER)
        return [Answered(one, said.text) for one, (said,) in zip(asked, found, strict=True)]
