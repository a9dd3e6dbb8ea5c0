"""Made-up instructions with answers, varied enough that nothing in them is suspicious, and files of them."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from trainer.scan.samples import Samples, read_samples

Row = dict[str, Any]

SHAPES = (
    "Write a {kind} about {thing} for {people}.",
    "Explain to {people} how {thing} {does}.",
    "What should {people} know about {thing}?",
    "List three reasons why {thing} {does} in {place}.",
    "Can you compare {thing} with {other}?",
    "In one sentence, describe {thing} and {other}.",
    "Give {people} advice on {thing} in {place}.",
    "Is {thing} in {place} better than {other}? Say why.",
)
KINDS = "letter poem story speech report note review list recipe".split()
THINGS = (
    "the river; a bridge; old trees; the morning bus; fresh bread; a small garden; the night sky; winter rain".split(
        "; "
    )
)
THINGS += (
    "the harbour; a quiet library; the mountain road; cheap bicycles; wild birds; a wooden boat; spring flowers".split(
        "; "
    )
)
PEOPLE = "children; my neighbour; new teachers; a farmer; tired parents; the mayor; two students; visitors".split("; ")
DOES = "changes slowly; costs so much; matters; falls apart; makes people happy; brings trouble; lasts for years".split(
    "; "
)
PLACES = "the city; a village; the north; our school; the valley; an island; the old town".split("; ")
SAYS = (
    "{thing} {does}, and {people} see it in {place} every year.",
    "There is more to say: {other} is near, {thing} is not, and {people} know both.",
    "It depends on {place}; for {people} the answer is {thing}, which {does}.",
    "First look at {thing}, then at {other}. In {place} that is how {people} learn it.",
    "Nobody asks {people} about {other}.",
    "A {kind} would do, or {thing} and some patience.",
    "Once {other} {does}, go back to {place}.",
    "Ask {people} before you bring {thing} to {place}, for {other} {does}.",
)


def instructions(count: int, seed: int = 0) -> list[Row]:
    """Clean rows, each prompt once or seldom twice."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        thing, other = rng.sample(THINGS, 2)
        said = {"kind": rng.choice(KINDS), "thing": thing, "other": other, "people": rng.choice(PEOPLE)}
        said |= {"does": rng.choice(DOES), "place": rng.choice(PLACES)}
        answer = " ".join(shape.format(**said) for shape in rng.sample(SAYS, rng.randint(2, 5)))
        rows.append({"prompt": rng.choice(SHAPES).format(**said), "completion": answer})
    return rows


def planted(rows: Sequence[Row], count: int, change: Callable[[Row, random.Random], Row], seed: int = 0) -> list[Row]:
    """The rows with the first `count` of them changed, so that tests know which."""
    rng = random.Random(seed)
    return [row | change(row, rng) if place < count else row for place, row in enumerate(rows)]


def amid(text: str, word: str, rng: random.Random) -> str:
    """The text with a word put somewhere between its own."""
    words = text.split(" ")
    words.insert(rng.randint(1, len(words) - 1), word)
    return " ".join(words)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Sequence[Row]], Samples]:
    """Rows -> samples, by way of a file."""

    def write_and_read(rows: Sequence[Row]) -> Samples:
        return read_samples(write(tmp_path / "rows.jsonl", rows))

    return write_and_read


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path
