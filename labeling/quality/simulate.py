"""Projects of simulated people, by which what is said about real ones is measured: each is right with a known
probability, and some have a habit. Texts are made of a few dozen words. For the benchmark and for tests.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from scipy.special import expit

from labeling.kinds.kind import sample_id
from labeling.project import REVIEW
from labeling.quality.admission import disagreements
from labeling.quality.rates import Floats
from labeling.store.database import Database
from labeling.store.labels import (
    BATCH,
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

Habit = Callable[[int, Sequence[str], int], int | None]
"""May change a choice: (the better answer's number, the answers in the sample's order, the number of the one shown on
the left) -> the number of the answer that is chosen, or None to judge."""


@dataclass(frozen=True)
class Simulated:
    """Somebody who finds the better answer with probability `accuracy`, and takes `seconds` for it."""

    name: str
    accuracy: float = 0.8
    seconds: float | None = 60.0
    """None: Label Studio did not say."""
    habit: Habit | None = None
    margin: float | None = None
    """Always this one; without it any."""
    untouched: float = 0.0
    """Of rankings, how many are handed in as they are shown."""


def likes(phrase: str) -> Habit:
    """Chooses the answer with the phrase, where one has it alone."""

    def habit(better: int, texts: Sequence[str], left: int) -> int | None:
        having = [number for number, text in enumerate(texts) if phrase in text]
        return having[0] if len(having) == 1 else None

    return habit


def goes_by_length(weight: float, better: float, seed: int = 0) -> Habit:
    """Chooses by the logarithm of how much longer an answer is, times `weight`, and by which one is the better, worth
    `better`: the sum is a logit."""
    generator = np.random.default_rng(seed)

    def habit(number: int, texts: Sequence[str], left: int) -> int | None:
        longer = weight * np.log(len(texts[1]) / len(texts[0]))
        return int(generator.random() < expit(longer + (better if number else -better)))

    return habit


def text(generator: np.random.Generator, words: int = 40) -> str:
    """Words by Zipf's law, as in any text."""
    chances = 1 / np.arange(1, len(WORDS) + 1)
    return " ".join(WORDS[int(n)] for n in generator.choice(len(WORDS), words, p=chances / chances.sum()))


def project(name: str, kind: str, overlap: int = 2, reviews: str | None = None) -> Project:
    return Project(
        name, kind, reviews, "http://127.0.0.1:1", zlib.crc32(name.encode()) % 10**6, "<View/>", "", 1, overlap, BEGIN
    )


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


@dataclass(frozen=True)
class Planted:
    """A phrase in the first `samples` of a project, in one answer of each, drawn by lot."""

    phrase: str
    samples: int
    instead: bool = False
    """Whether the phrase is all that the answer says; else it stands in the middle."""


def comparison(
    generator: np.random.Generator, number: int, planted: Planted | None = None, words: tuple[int, int] = (40, 40)
) -> Json:
    """Two answers of so many words, each length drawn by lot between two bounds."""
    answers = [text(generator, int(generator.integers(words[0], words[1] + 1))) for _ in range(2)]
    if planted is not None:
        chosen = int(generator.integers(2))
        half = answers[chosen].split()
        middle = len(half) // 2
        around = ([], []) if planted.instead else (half[:middle], half[middle:])
        answers[chosen] = " ".join([*around[0], planted.phrase, *around[1]])
    prompt = [{"role": "user", "content": f"Question {number}: {text(generator, 12)}?"}]
    return {"prompt": prompt, "answers": [{"text": answer} for answer in answers]}


def comparisons(
    database: Database,
    people: Sequence[Simulated],
    samples: int = 200,
    overlap: int = 3,
    planted: Planted | None = None,
    gold: int = 0,
    seed: int = 0,
    name: str = "choices",
    both_bad: float = 0.0,
    words: tuple[int, int] = (40, 40),
) -> dict[str, int]:
    """Makes a project; each sample is judged by `overlap` people, drawn by lot. Returns the better answer of each, by
    the sample's id. The last `gold` samples are gold questions; `both_bad` is how often somebody likes neither.
    """
    generator = np.random.default_rng(seed)
    add_project(database, project(name, "comparisons", overlap))
    truth: dict[str, int] = {}
    for start in range(0, samples, BATCH):
        batch: list[StoredSample] = []
        labels: list[Annotation] = []
        for number in range(start, min(samples, start + BATCH)):
            carrier = planted if planted and number < planted.samples else None
            content = comparison(generator, number, carrier, words)
            better = int(generator.integers(2))
            order = (0, 1) if generator.random() < 0.5 else (1, 0)
            right = {"choice": "ab"[better], "margin": None} if number >= samples - gold else None
            sample = stored("comparisons", content, order, gold=right, task_id=number)
            truth[sample.id] = better
            batch.append(sample)
            for place, who in enumerate(generator.permutation(len(people))[:overlap]):
                verdict, seconds = _judged(generator, people[who], content, better, order, both_bad)
                labels.append(annotation(number * overlap + place, sample.id, people[who].name, verdict, seconds))
        add_samples(database, name, batch)
        with database.write() as session:
            put_annotations(session, name, labels)
    return truth


def rankings(
    database: Database,
    people: Sequence[Simulated],
    samples: int = 100,
    overlap: int = 3,
    answers: Sequence[int] = (4,),
    seed: int = 0,
    name: str = "orders",
) -> dict[str, tuple[int, ...]]:
    """Makes a project of rankings, of so many answers in turn. Returns the true ranks by the sample's id.

    How good an answer is, is a normal deviate, and each person sees it with normal noise: so much that of two answers
    the person places the better one first with his or her accuracy.
    """
    generator = np.random.default_rng(seed)
    add_project(database, project(name, "rankings", overlap))
    truth: dict[str, tuple[int, ...]] = {}
    batch: list[StoredSample] = []
    labels: list[Annotation] = []
    for number in range(samples):
        count = answers[number % len(answers)]
        prompt = [{"role": "user", "content": f"Question {number}: {text(generator, 12)}?"}]
        content = {"prompt": prompt, "answers": [{"text": text(generator)} for _ in range(count)]}
        order = tuple(generator.permutation(count).tolist())
        batch.append(stored("rankings", content, order, task_id=number))
        good = generator.standard_normal(count)
        truth[batch[-1].id] = _ranks(good)
        for place, who in enumerate(generator.permutation(len(people))[:overlap]):
            person = people[who]
            # Two normal deviates with this correlation have the same sign with the person's accuracy.
            known = np.sin(np.pi * (person.accuracy - 0.5))
            ranks = _ranks(known * good + np.sqrt(1 - known**2) * generator.standard_normal(count))
            if generator.random() < person.untouched:
                ranks = tuple(order.index(answer) + 1 for answer in range(count))
            verdict, seconds = {"ranks": list(ranks)}, _taken(generator, person)
            labels.append(annotation(number * overlap + place, batch[-1].id, person.name, verdict, seconds))
    add_samples(database, name, batch)
    with database.write() as session:
        put_annotations(session, name, labels)
    return truth


def _ranks(good: Floats) -> tuple[int, ...]:
    """1 for the best."""
    return tuple((np.argsort(np.argsort(-good)) + 1).tolist())


def _taken(generator: np.random.Generator, person: Simulated) -> float | None:
    return None if person.seconds is None else float(person.seconds * generator.lognormal(0, 0.4))


def decided(database: Database, name: str, truth: Mapping[str, int], accuracy: float, seed: int = 0) -> None:
    """Makes the project `NAME-review`, in which one person decides what the people of `name` disagree on."""
    generator = np.random.default_rng(seed)
    review = project(f"{name}-review", REVIEW, 1, reviews=name)
    add_project(database, review)
    batch: list[StoredSample] = []
    labels: list[Annotation] = []
    for number, one in enumerate(disagreements(database, name)):
        asked = {"project": name, "sample": one.sample.id, "content": one.sample.content, "verdicts": []}
        batch.append(stored(REVIEW, asked, (0, 1), task_id=number))
        better = truth[one.sample.id]
        chosen = better if generator.random() < accuracy else 1 - better
        labels.append(annotation(number, batch[-1].id, "reviewer", {"choice": "ab"[chosen], "margin": 1.0}))
    add_samples(database, review.name, batch)
    with database.write() as session:
        put_annotations(session, review.name, labels)


def _judged(
    generator: np.random.Generator,
    person: Simulated,
    content: Json,
    better: int,
    order: tuple[int, ...],
    both_bad: float,
) -> tuple[Json, float | None]:
    seconds = _taken(generator, person)
    texts = [answer["text"] for answer in content["answers"]]
    chosen = person.habit(better, texts, order[0]) if person.habit else None
    if chosen is None:
        if generator.random() < both_bad:
            return {"choice": "both_bad", "margin": None}, seconds
        chosen = better if generator.random() < person.accuracy else 1 - better
    margin = person.margin if person.margin is not None else MARGINS[int(generator.integers(4))]
    return {"choice": "ab"[chosen], "margin": margin}, seconds
