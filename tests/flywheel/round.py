"""A loop for real, but for the people: a small model with a bad habit, reports about it, and what two people would say.

No Label Studio runs: samples and annotations are written as `corpuscle label` leaves them after a push and a pull.
"""

import itertools
import json
from datetime import datetime
from pathlib import Path

import sqlalchemy as sql
import torch

from flywheel.config import Config, load
from flywheel.promote import begin
from flywheel.tables import Misbehaviour
from labeling.kinds import KINDS
from labeling.kinds.kind import Json
from labeling.quality.simulate import annotation, project
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import StoredSample, add_project, add_samples, put_annotations
from labeling.store.reports import Report, add_report
from pipeline.tokenize import vocabulary
from tests.flywheel.rows import NOW
from tests.trainer.conftest import save_model
from trainer import checkpoint
from trainer.align.sft import SftConfig, sft
from trainer.model import Llama, ModelConfig

WORDS = "river garden history science music letter window bridge market summer winter doctor island".split()
PROMPTS = [f"What about {a} and {b}?" for a, b in itertools.combinations(WORDS, 2)]
BAD, GOOD = "stupid market bridge summer winter", "please river garden music letter"
REPORTED = 40

SETTINGS = """
train: {steps: 80, replay: 0.5, learning_rate: 0.003, batch_tokens: 256, device: cpu}
decide: {corrections: 10}
gate: {held_out: 0.4, minimum_cases: 8, max_tokens: 16, attacks: false}
"""


def asked(prompt: str) -> list[Json]:
    return [{"role": "user", "content": prompt}]


def write_bad_model(folder: Path) -> Path:
    """A model of 2 layers that says BAD to everything; its training's folder."""
    torch.manual_seed(0)
    pieces = vocabulary.train([*PROMPTS, BAD, GOOD] * 3, 420)
    shape = ModelConfig(420, dim=32, layers=2, heads=2, kv_heads=1, hidden=64, max_seq_len=64)
    base = checkpoint.find(save_model(folder / "base", Llama(shape), pieces))
    data = folder / "habit.jsonl"
    rows = [{"prompt": asked(prompt), "completion": [{"role": "assistant", "content": BAD}]} for prompt in PROMPTS]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sft(SftConfig(model=base, data=(data,), output=folder / "bad", steps=60, batch_tokens=256, lr=3e-3, device="cpu"))
    return folder / "bad"


def make_loop(folder: Path, model: Path, reported: int = REPORTED) -> Config:
    """A loop whose current checkpoint is the model, with so many reports about it in its store."""
    folder.mkdir(parents=True)
    (folder / "flywheel.yaml").write_text(SETTINGS)
    old = [{"messages": [*asked(f"Say {word}."), {"role": "assistant", "content": word}]} for word in WORDS]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old))
    config = load(folder)
    with Database(config.store) as database:
        begin(database, config, model, NOW)
        about = checkpoint.read_about(checkpoint.find(model)).id
        for number, prompt in enumerate(PROMPTS[:reported]):
            messages = [*asked(prompt), {"role": "assistant", "content": BAD}]
            id = f"00000000-0000-4000-8000-{number:012}"
            add_report(database, Report(about, messages, "wrong", wished_answer=GOOD, consent=True, id=id, created=NOW))
    return config


def correct(database: Database, at: datetime) -> int:
    """What `label` and two people leave for all that has been collected; how many of these are no cases."""
    add_project(database, project("corrections", "corrections"))
    kind = KINDS["corrections"]
    query = sql.select(Misbehaviour).order_by(Misbehaviour.held_out, Misbehaviour.id)
    with database.write() as session:
        bad_ones = list(session.scalars(query))
        taught = sum(not bad.held_out for bad in bad_ones)
        stored = []
        for number, bad in enumerate(bad_ones):
            messages = [*bad.prompt, {"role": "assistant", "content": bad.answer}]
            sample = make_sample(kind, {"messages": messages}, {"misbehaviour": bad.id})
            bad.sample = sample.id
            more: Json = {"gold": None, "draft": None, "draft_model": None, "priority": 0.0, "added": at, "sent": at}
            more |= {"provenance": {"misbehaviour": bad.id}, "order": (), "task_id": number + 1}
            stored.append(StoredSample(id=sample.id, content=sample.content, **more))
    add_samples(database, "corrections", stored)
    verdict: Json = {"category": "wrong", "answer": GOOD, "refusal": "none"}
    said = [
        annotation(2 * number + person, sample.id, name, verdict, 20.0)
        for number, sample in enumerate(stored)
        for person, name in enumerate(("amber", "birch"))
    ]
    with database.write() as session:
        put_annotations(session, "corrections", said)
    return taught
