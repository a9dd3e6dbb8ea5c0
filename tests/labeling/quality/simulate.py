"""Projects with simulated people: each has an accuracy, and some have a habit. Texts are made of a few dozen words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from labeling.kinds.kind import sample_id
from labeling.store.database import Database
from labeling.store.labels import (
    Annotation,
    Json,
    Project,
    StoredSample,
    add_project,
    add_samples,
    put_annotations,
)

BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
WORDS = (
    "river mountain teacher morning village garden history science music letter window bridge market summer winter "
    "doctor captain island harbour library journey painter forest kitchen station street answer question because "
    "therefore however always never often small large bright heavy gentle the of and to in a with for on that it is"
).split()
MARGINS = (1.0, 2 / 3, 1 / 3, 0.0)


@dataclass(frozen=True)
class Simulated:
    """Somebody who finds the better answer with probability `accuracy`.

    `habit` may change the choice: it is given the better answer's number, the answers' texts in the sample's order and
    the number of the one shown on the left, and returns the number of the answer that is chosen, or None to judge.
    """

    name: str
    accuracy: float = 0.8
    seconds: float = 60.0
    habit: Callable[[int, Sequence[str], int], int | None] | None = None
    margin: float | None = None


def likes(phrase: str) -> Callable[[int, Sequence[str], int], int | None]:
    """Chooses the answer with the phrase, where one has it alone."""

    def habit(better: int, texts: Sequence[str], left: int) -> int | None:
        having = [number for number, text in enumerate(texts) if phrase in text]
        return having[0] if len(having) == 1 else None

    return habit


def text(generator: np.random.Generator, words: int = 40) -> str:
    """Words by Zipf's law, as in any text."""
    chances = 1 / np.arange(1, len(WORDS) + 1)
    return " ".join(WORDS[int(n)] for n in generator.choice(len(WORDS), words, p=chances / chances.sum()))


def project(name: str, kind: str, overlap: int = 2, reviews: str | None = None) -> Project:
    return Project(name, kind, reviews, "http://127.0.0.1:1", abs(hash(name)) % 10**6, "<View/>", "", 1, overlap, BEGIN)


def stored(kind: str, content: Json, order: tuple[int, ...] = (), **more: Any) -> StoredSample:
    values: Json = {"gold": None, "draft": None, "draft_model": None, "priority": 0.0, "provenance": {}, "added": BEGIN}
    return StoredSample(id=sample_id(kind, content), content=content, order=order, **values | more)


def annotation(
    number: int, sample: str, who: str, verdict: Json | None, seconds: float | None = 60.0, **more: Any
) -> Annotation:
    at = BEGIN + timedelta(minutes=number)
    values: Json = {"reason": None, "draft_distance": None, "instruction_version": 1}
    values |= {"created": at, "updated": at, "seen": at}
    return Annotation(
        remote_id=number,
        task_id=number,
        sample=sample,
        annotator=who,
        result=[],
        verdict=verdict,
        seconds=seconds,
        **values | more,
    )


def comparison(generator: np.random.Generator, number: int, phrase: str | None = None, words: int = 40) -> Json:
    """Two answers; the phrase is put into the middle of one, drawn by lot."""
    answers = [text(generator, words) for _ in range(2)]
    if phrase is not None:
        chosen = int(generator.integers(2))
        half = answers[chosen].split()
        answers[chosen] = " ".join([*half[: words // 2], phrase, *half[words // 2 :]])
    prompt = [{"role": "user", "content": f"Question {number}: {text(generator, 12)}?"}]
    return {"prompt": prompt, "answers": [{"text": answer} for answer in answers]}


def comparisons(
    database: Database,
    people: Sequence[Simulated],
    samples: int = 200,
    overlap: int = 3,
    phrase: tuple[str, int] | None = None,
    gold: int = 0,
    seed: int = 0,
    name: str = "choices",
    both_bad: float = 0.0,
) -> dict[str, int]:
    """Makes a project; each sample is judged by `overlap` people, drawn by lot. Returns the better answer of each.

    The first `phrase[1]` samples have the phrase in one of their answers; the last `gold` are gold questions.
    """
    generator = np.random.default_rng(seed)
    add_project(database, project(name, "comparisons", overlap))
    truth: dict[str, int] = {}
    batch: list[StoredSample] = []
    labels: list[Annotation] = []
    for number in range(samples):
        content = comparison(generator, number, phrase[0] if phrase and number < phrase[1] else None)
        better = int(generator.integers(2))
        order = (0, 1) if generator.random() < 0.5 else (1, 0)
        right = {"choice": "ab"[better], "margin": None} if number >= samples - gold else None
        sample = stored("comparisons", content, order, gold=right, task_id=number)
        truth[sample.id] = better
        batch.append(sample)
        for place in generator.permutation(len(people))[:overlap]:
            verdict, seconds = _judged(generator, people[place], content, better, order, both_bad)
            labels.append(annotation(len(labels), sample.id, people[place].name, verdict, seconds))
    add_samples(database, name, batch)
    with database.write() as session:
        put_annotations(session, name, labels)
    return truth


def _judged(
    generator: np.random.Generator,
    person: Simulated,
    content: Json,
    better: int,
    order: tuple[int, ...],
    both_bad: float,
) -> tuple[Json, float]:
    seconds = float(person.seconds * generator.lognormal(0, 0.4))
    texts = [answer["text"] for answer in content["answers"]]
    chosen = person.habit(better, texts, order[0]) if person.habit else None
    if chosen is None:
        if generator.random() < both_bad:
            return {"choice": "both_bad", "margin": None}, seconds
        chosen = better if generator.random() < person.accuracy else 1 - better
    margin = person.margin if person.margin is not None else MARGINS[int(generator.integers(4))]
    return {"choice": "ab"[chosen], "margin": margin}, seconds
