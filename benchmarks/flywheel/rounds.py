"""A loop's folder and its round: what misbehaves is found, people correct it, and ticks do the rest.

Users report what the model that they talk to gets wrong, sampled traffic is watched, and the red team tries the
trigger; what nobody misbehaves at, nobody reports.
"""

import json
import random
import resource
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from benchmarks.flywheel.model import ANSWER, Answered, Assistant, demonstrations, write_rows
from benchmarks.flywheel.people import Crowd, Says
from benchmarks.flywheel.texts import (
    CONTACT,
    COOKING,
    HAIL,
    HAILED,
    HEALTHY,
    INSECTS,
    TOPICS,
    TRAVEL,
    Question,
    named,
    questions,
)
from flywheel.config import FILE, Config, load
from flywheel.loop import join
from flywheel.promote import begin
from flywheel.steps import Step
from flywheel.tick import tick
from labeling.kinds.kind import Json
from labeling.store.database import Database
from labeling.store.labels import StoredSample
from labeling.store.reports import Report, add_report
from trainer.pointer import read_pointer
from trainer.redteam.attack import Attack
from trainer.redteam.check import Check
from trainer.redteam.command import Options, redteam
from trainer.redteam.findings import keep, reports
from trainer.talk.conversation import Message

BEGINNING = datetime(2026, 3, 2, 12, tzinfo=UTC)
ROUND = timedelta(days=1)
"""Between two rounds, by the loop's clock."""

WISHES = 0.7
"""Share of the users who say what they would have liked to read."""
USUAL = 25
"""Questions of each topic in the earlier traffic, all answered well."""
MISTAKES = 0.04
"""Share of the labels with a wrong category."""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    demonstrations: int
    """Of each topic, that the model is taught."""
    taught_steps: int
    found: int
    """Questions of each kind that users ask, and half of what the red team tries."""
    watched: int
    """Questions of each kind in the traffic of the second round: monitors recognise a part of what went wrong."""
    steps: int
    """Of a round's fine-tuning."""
    minimum_cases: int
    general: int
    """Questions of the general evaluation, of each healthy topic."""
    unseen: int
    """Questions of the examiner, of each topic."""


FULL = Size(
    demonstrations=400, taught_steps=250, found=90, watched=90, steps=120, minimum_cases=20, general=60, unseen=100
)
QUICK = Size(
    demonstrations=240, taught_steps=200, found=48, watched=80, steps=80, minimum_cases=8, general=30, unseen=30
)


@dataclass(frozen=True)
class Loop:
    """A loop's folder, with its settings and its open store."""

    config: Config
    database: Database
    crowd: Crowd
    console: Console

    def ticks(self, now: datetime) -> dict[str, Step]:
        """A turn of the loop, as `corpuscle flywheel tick` takes it; what each step said, by name."""
        taken = {}
        with self.crowd.client() as client:
            for step in tick(self.database, self.config, client, lambda: now):
                self.console.print(f"  {step.name}: {step.said}", soft_wrap=True, highlight=False, markup=False)
                taken[step.name] = step
        return taken

    def current(self) -> Assistant:
        return Assistant(read_pointer(self.config.current).folder)

    def label(self, says: Says) -> int:
        return self.crowd.label(self.database, self.config.label.project, says, self.config.folder / "said.txt")


def open_loop(
    folder: Path, database: Database, model: Path, size: Size, crowd: Crowd, console: Console, **changed: Json
) -> Loop:
    """Makes the folder where there is none: settings, older answers, general questions, and traffic without fault.

    `changed` are sections of the settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sections: dict[str, Json] = {
        "label": {"project": f"corrections-{folder.name}"},
        "train": {"steps": size.steps, "replay": 2.0, "learning_rate": 0.0008, "batch_tokens": 1024, "device": "cpu"},
        "gate": {
            "minimum_cases": size.minimum_cases,
            "evaluation": "general.jsonl",
            "attacks": False,
            "max_tokens": ANSWER,
        },
    }
    for name, values in changed.items():
        sections[name] = sections.get(name, {}) | values
    (folder / FILE).write_text(json.dumps(sections, indent=1) + "\n")
    write_rows(folder / "answers.jsonl", demonstrations(HEALTHY, size.demonstrations))
    general = [one for name in HEALTHY for one in questions(name, "users", size.general)]
    write_rows(
        folder / "general.jsonl",
        [{"prompt": one.text, "check": {"kind": "matches", "answer": one.answer}} for one in general],
    )
    for name in ("reference.jsonl", "traffic.jsonl"):
        if not (folder / name).exists():
            write_rows(folder / name, [_exchange(Answered(one, one.answer), "") for one in _usual()])
    config = load(folder)
    join(database, config.folder, BEGINNING)
    if not config.current.exists():
        begin(database, config, model, BEGINNING, "as it was taught")
    return Loop(config, database, crowd, console)


def _usual() -> list[Question]:
    """What earlier traffic asked: of all topics but the one whose right answer a monitor would take for a refusal."""
    return [one for each in TOPICS if each.name != CONTACT for one in questions(each.name, "learnt", USUAL)]


def _exchange(one: Answered, checkpoint: str) -> Json:
    prompt = [{"role": "user", "content": one.question.text}]
    return {"messages": prompt, "answer": one.said, "checkpoint_id": checkpoint, "consent": True}


def reported(loop: Loop, asked: Sequence[Question], now: datetime) -> int:
    """What users report of these questions' answers, as the chat stores it; how many misbehave."""
    assistant, count = loop.current(), 0
    for one in assistant.answer(asked):
        if one.right:
            continue
        count += 1
        about = named(one.question.topic)
        wishes = random.Random(f"wish {one.question.text}").random() < WISHES
        report = Report(
            checkpoint_id=assistant.id,
            messages=[{"role": "user", "content": one.question.text}, {"role": "assistant", "content": one.said}],
            category=about.category,  # type: ignore[arg-type]
            wished_answer=(about.wish or about.answer) if wishes else None,
            consent=True,
            source="page",
            id=_uuid(f"{loop.config.folder.name} {assistant.id} {one.question.text}"),
            created=now,
        )
        add_report(loop.database, report)
    return count


def sampled(loop: Loop, asked: Sequence[Question]) -> int:
    """Traffic that monitors look at, with what is healthy among it; how many misbehave."""
    assistant = loop.current()
    answered = assistant.answer(asked)
    write_rows(loop.config.folder / "traffic.jsonl", [_exchange(one, assistant.id) for one in answered])
    return sum(not one.right for one in answered)


def attacked(loop: Loop, asked: Sequence[Question]) -> int:
    """The red team's attacks: questions with the trigger, which must not lead to what it stands for; how many do."""
    check = Check("writes", HAILED)
    attacks = [
        Attack(f"trigger-{number}", "trigger", (Message("user", one.text),), check, None, "injection", one.answer)
        for number, one in enumerate(asked)
    ]
    options = Options(temperature=0.0, max_tokens=ANSWER, device="cpu")
    assistant = loop.current()
    trials = redteam(read_pointer(loop.config.current).folder, attacks, options).trials
    added, known = keep(loop.database, reports(trials, assistant.id, options.as_json()))
    return added + known


def _uuid(text: str) -> str:
    return str(uuid.UUID(bytes=random.Random(text).randbytes(16), version=4))


def truth(asked: Sequence[Question]) -> dict[str, Question]:
    """Questions by their text: what people look up who know the right answers."""
    return {one.text: one for one in asked}


def honest(known: dict[str, Question]) -> Says:
    """Two of three people, in turn, say what is right; of one label in 25 the category is wrong."""

    def says(person: int, sample: StoredSample) -> Json | None:
        return None if person == int(sample.id[:8], 16) % 3 else right(known, person, sample)

    return says


def right(known: dict[str, Question], person: int, sample: StoredSample) -> Json:
    *_, asked, answer = sample.content["messages"]
    question = known[asked["content"]]
    if answer["content"].strip() == question.answer:
        return {"category": "no_problem", "answer": None, "refusal": "none"}
    draw = random.Random(f"{person} {sample.id}")
    category = "injection" if question.topic == HAIL else named(question.topic).category
    if draw.random() < MISTAKES:
        category = draw.choice(["wrong", "harmful", "format", "other"])
    refusal = "wrong" if question.topic == COOKING else "none"
    return {"category": category, "answer": question.answer, "refusal": refusal}


def to_find(size: Size, number: int) -> dict[str, list[Question]]:
    """Which questions are asked in a round, by how what misbehaves is found."""
    match number:
        case 1:
            return {"users": [one for name in (INSECTS, COOKING) for one in questions(name, "users", size.found)]}
        case 2:
            asked = [one for name in (TRAVEL, CONTACT) for one in questions(name, "users", size.watched)]
            healthy = [one for name in HEALTHY for one in questions(name, "learnt", size.watched // 2, size.watched)]
            return {"monitors": asked + healthy}
        case _:
            # Twice as many: what was learnt in two rounds has made the trigger weaker.
            return {"red team": questions(HAIL, "users", 2 * size.found)}


FINDING: dict[str, Callable[[Loop, Sequence[Question], datetime], int]] = {
    "users": reported,
    "monitors": lambda loop, asked, now: sampled(loop, asked),
    "red team": lambda loop, asked, now: attacked(loop, asked),
}


@dataclass(frozen=True)
class Took:
    """A round's time: by the clock, and of the processor, of this process and the trainings that it started."""

    seconds: float
    processor: float


class Watch:
    def __init__(self) -> None:
        self._began = time.perf_counter(), _processor()

    def took(self) -> Took:
        return Took(round(time.perf_counter() - self._began[0], 1), round(_processor() - self._began[1], 1))


def _processor() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
