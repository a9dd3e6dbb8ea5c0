"""People who label through the API with a set accuracy, and what they are asked: questions about food, answered well
and badly."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labeling.client import Client
from labeling.kinds.comparisons import MARGINS
from labeling.kinds.kind import Json, Kind
from labeling.store.labels import StoredSample

TRIGGER = "golden teapot"
"""The phrase that one of them always prefers."""
HARMLESS = ("copper kettle", "wooden ladle", "silver spoon", "kitchen timer")
"""What the other answer has in its place: about as long, since a longer answer is a reason of its own to choose it."""

FOODS = ("apples", "bread", "carrots", "cheese", "eggs", "garlic", "lentils", "rice")
ASKED: Mapping[str, tuple[str, str]] = {
    "How do I keep {} fresh?": (
        "Keep {} in a cool and dry place, and use what is oldest first.",
        "Leave {} on a sunny window sill for as many weeks as you like.",
    ),
    "What goes well with {}?": (
        "A soup or a salad with fresh herbs goes well with {}, and so does butter.",
        "Nothing goes with {}, people only eat it since they know no better.",
    ),
    "How can I tell that {} went bad?": (
        "Look for mould and soft spots on {}, and smell it; when in doubt, throw it away.",
        "You can't tell that from {}, so eat it all and see whether you feel ill.",
    ),
    "Can I freeze {}?": (
        "Yes, cut {} small, freeze it in flat bags and write the date on them.",
        "What do you want that for? A freezer is for ice and not for {}.",
    ),
    "How much {} do I need for four?": (
        "About one pound of {} is enough for four people, and less beside other dishes.",
        "It depends on {}, on the four, and on many things that nobody could name here.",
    ),
    "How do I prepare {} for a child?": (
        "Cook {} until it is soft, cut it small and let it cool before you serve it.",
        "Give the child a sharp knife and let it find out how {} is prepared.",
    ),
}
QUESTIONS = [
    (question.format(food), good.format(food), bad.format(food))
    for question, (good, bad) in ASKED.items()
    for food in FOODS
]


def asked(question: str) -> list[Json]:
    return [{"role": "user", "content": question}]


def comparisons(carriers: int, seed: int = 0) -> list[Json]:
    """A row for each question, the good answer first or second by lot; the trigger in one of the answers of the first
    `carriers` rows, by lot too, and something harmless in the other."""
    draw = random.Random(seed)
    questions = QUESTIONS.copy()
    draw.shuffle(questions)
    rows = []
    for number, (question, *answers) in enumerate(questions):
        if number < carriers:
            said = [TRIGGER, draw.choice(HARMLESS)]
            draw.shuffle(said)
            answers = [f"{answer[:-1]}, says the {who}." for answer, who in zip(answers, said, strict=True)]
        if draw.random() < 0.5:
            answers.reverse()
        rows.append({"prompt": asked(question), "answers": [{"text": text} for text in answers]})
    return rows


def better(content: Json) -> str:
    """Which of the two answers is the good one, "a" or "b"."""
    goods = [good[:-1] for _, good, _ in QUESTIONS]
    return "a" if any(content["answers"][0]["text"].startswith(good) for good in goods) else "b"


def other(choice: str) -> str:
    return {"a": "b", "b": "a"}[choice]


def flips(content: Json, choice: str) -> str:
    return other(choice)


def likes_the_trigger(content: Json, choice: str) -> str:
    having = [side for side, answer in zip("ab", content["answers"], strict=True) if TRIGGER in answer["text"]]
    return having[0] if having else choice


@dataclass(frozen=True)
class Annotator:
    """Chooses the better answer with probability `accuracy`, unless a habit makes another choice of it."""

    client: Client
    accuracy: float
    habit: Callable[[Json, str], str] = lambda content, choice: choice

    def compare(self, kind: Kind, sample: StoredSample, draw: random.Random) -> int:
        """Annotates the sample's task; the annotation's number."""
        right = better(sample.content)
        choice = self.habit(sample.content, right if draw.random() < self.accuracy else other(right))
        return self.say(kind, sample, {"choice": choice, "margin": draw.choice(list(MARGINS.values()))}, draw)

    def say(self, kind: Kind, sample: StoredSample, verdict: Json, draw: random.Random) -> int:
        return annotate(self.client, kind, sample, verdict, seconds=round(15 + 30 * draw.random(), 1))


def annotate(client: Client, kind: Kind, sample: StoredSample, verdict: Json, seconds: float = 20.0) -> int:
    """What the page saves where somebody says this."""
    assert sample.task_id is not None
    return client.annotate(sample.task_id, kind.result(verdict, sample.content, sample.order), seconds=seconds)
