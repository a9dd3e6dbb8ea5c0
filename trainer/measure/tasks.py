"""Small tasks whose answers can be checked: what proofs and tests teach a model, and measure it by.

An instance belongs to training or to the held-out part by the hash of its question, so the two are disjoint however
many of either are made; and a set is a function of (task, form, number, seed, part).
"""

import hashlib
import json
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from trainer.checkpoint import write_whole
from trainer.command import Parser, guarded
from trainer.measure.verify import Exact, Number, Verifier
from trainer.talk.conversation import Call, Message, to_json

FORMS = ("direct", "tools", "thought")
"""The answer alone; by calls to the calculator; with the working written out above it."""

PARTS = ("train", "held-out")

HELD_OUT = 0.2
"""Share of all questions that are never trained on."""


@dataclass(frozen=True)
class Question:
    """What is asked, the right answer, and where it is arithmetic: its expressions, one a step, and the working."""

    text: str
    answer: str
    steps: tuple[tuple[str, str], ...] = ()
    """(expression, value): the calls that lead to the answer."""
    working: str = ""


@dataclass(frozen=True)
class Item:
    """An instance: a whole demonstration, and the answer that it ends in."""

    messages: tuple[Message, ...]
    answer: str

    @property
    def prompt(self) -> tuple[Message, ...]:
        return self.messages[:1]

    def demonstration(self) -> dict[str, Any]:
        """A row for `records.read_demonstrations`."""
        return {"messages": to_json(self.messages)}

    def question(self) -> dict[str, Any]:
        """A row for `records.read_prompts`."""
        return {"prompt": to_json(self.prompt), "answer": self.answer}


WORDS = (
    "time people home work day world life year book page light music state name team game car way hand part money "
    "market price card"
).split()
"""Each is one piece in a vocabulary of 4,096 that was made from web pages."""


def _reverse(draw: random.Random) -> Question:
    words = draw.sample(WORDS, draw.randint(2, 4))
    ask = draw.choice(["Reverse the words: {}", "Write these words backwards: {}", "{} - in reverse order, please."])
    return Question(ask.format(" ".join(words)), " ".join(reversed(words)))


def _larger(draw: random.Random) -> Question:
    one, other = draw.sample(range(10, 100), 2)
    ask, pick = draw.choice(
        [
            ("Which is larger, {} or {}?", max),
            ("Which is smaller, {} or {}?", min),
            ("Of {} and {}, name the larger.", max),
        ]
    )
    return Question(ask.format(one, other), str(pick(one, other)))


def _place(draw: random.Random) -> Question:
    words = draw.sample(WORDS, draw.randint(3, 5))
    ask, place = draw.choice([("What is the first word of: {}", 0), ("What is the last word of: {}", -1)])
    return Question(ask.format(" ".join(words)), words[place])


def _twice(draw: random.Random) -> Question:
    words = draw.sample(WORDS, draw.randint(2, 3))
    ask = draw.choice(["Say twice: {}", "Repeat {} two times."])
    return Question(ask.format(" ".join(words)), " ".join(words + words))


def _count(draw: random.Random) -> Question:
    words = draw.sample(WORDS, draw.randint(2, 6))
    return Question(draw.choice(["How many words: {}", "Count the words: {}"]).format(" ".join(words)), str(len(words)))


def templated(draw: random.Random, digits: int) -> Question:
    """Words reversed, repeated, counted or picked, and the larger of two numbers of two digits."""
    return draw.choice((_reverse, _larger, _place, _twice, _count))(draw)


NAMES = {"+": ("+", "plus"), "-": ("-", "minus"), "*": ("*", "times")}
ASKS = ("What is {}?", "Compute {}.", "How much is {}?")


def arithmetic(draw: random.Random, digits: int) -> Question:
    """Two numbers of up to `digits` digits and one of + - *."""
    return _ask(draw, [_number(draw, digits), _number(draw, digits)], draw.choice("+-*"))


def addition(draw: random.Random, digits: int) -> Question:
    """The sum of two numbers of exactly `digits` digits."""
    least = 10 ** (digits - 1)
    return _ask(draw, [draw.randrange(least, 10 * least), draw.randrange(least, 10 * least)], "+")


def steps(draw: random.Random, digits: int) -> Question:
    """Three numbers of up to `digits` digits with + and - between them, taken from the left."""
    return _ask(draw, [_number(draw, digits) for _ in range(3)], draw.choice("+-") + draw.choice("+-"))


def _number(draw: random.Random, digits: int) -> int:
    """As many numbers of each length: drawn evenly, nine in ten would have the most digits."""
    length = draw.randint(1, digits)
    return draw.randrange(10 ** (length - 1), 10**length)


def _ask(draw: random.Random, numbers: Sequence[int], operators: str) -> Question:
    spoken, value, calls, lines = str(numbers[0]), numbers[0], [], []
    style = draw.randrange(2)
    for operator, number in zip(operators, numbers[1:], strict=True):
        spoken += f" {NAMES[operator][style]} {number}"
        expression = f"{value}{operator}{number}"
        lines.append(_work(value, operator, number))
        value = _compute(value, operator, number)
        calls.append((expression, str(value)))
    return Question(draw.choice(ASKS).format(spoken), str(value), tuple(calls), "\n".join(lines))


def _compute(one: int, operator: str, other: int) -> int:
    return one + other if operator == "+" else one - other if operator == "-" else one * other


def _work(one: int, operator: str, other: int) -> str:
    """How it is done by hand: a sum digit by digit from the right, a product by the digits of the second number."""
    if operator == "*":
        parts = [(digit, place) for place, digit in enumerate(reversed(str(other)))]
        products = [one * int(digit) * 10**place for digit, place in parts]
        return f"{one}*{other} = {' + '.join(map(str, products))} = {sum(products)}"
    if operator == "-" or one < 0:
        return f"{one}{operator}{other} = {_compute(one, operator, other)}"
    columns, carry = [], 0
    for place in range(max(len(str(one)), len(str(other)))):
        a, b = one // 10**place % 10, other // 10**place % 10
        columns.append(f"{a}+{b}+{carry}={a + b + carry}")
        carry = (a + b + carry) // 10
    return f"{one}+{other}: {', '.join(columns)}. {one + other}"


@dataclass(frozen=True)
class Task:
    """How a question is drawn, how many digits its numbers have where nothing is said, and what checks an answer."""

    draw: Callable[[random.Random, int], Question]
    digits: int
    verifier: Verifier


TASKS = {
    "templated": Task(templated, 2, Exact()),
    "arithmetic": Task(arithmetic, 3, Number()),
    "addition": Task(addition, 3, Number()),
    "steps": Task(steps, 2, Number()),
}

TRIES = 200
"""Draws in a row that give nothing new, behind which a task counts as exhausted."""


def items(
    name: str, number: int, seed: int = 0, part: str = "train", form: str = "direct", digits: int | None = None
) -> list[Item]:
    """`number` different instances. Raises ValueError for an unknown task or form, and where there are not so many."""
    if name not in TASKS:
        raise ValueError(f'there is no task "{name}"; known are {", ".join(TASKS)}.')
    task = TASKS[name]
    if part not in PARTS or form not in FORMS:
        raise ValueError(f'"{part}", "{form}": expected one of {", ".join(PARTS)}, and one of {", ".join(FORMS)}.')
    draw = random.Random(f"{name} {seed} {part}")
    found: dict[str, Item] = {}
    tries = 0
    while len(found) < number:
        question = task.draw(draw, task.digits if digits is None else digits)
        tries += 1
        if question.text not in found and _part(question.text) == part:
            found[question.text], tries = Item(_messages(question, form), question.answer), 0
        if tries == TRIES:
            raise ValueError(f"task {name} has about {len(found):,} different {part} questions; {number:,} are wanted.")
    return list(found.values())


def _part(text: str) -> str:
    """By the words and numbers asked about, so that one expression in two wordings lies on one side."""
    digest = hashlib.sha256(" ".join(_essence(text)).encode()).digest()
    return PARTS[int.from_bytes(digest[:8]) < HELD_OUT * 2**64]


def _essence(text: str) -> list[str]:
    """Numbers, operators and the words of WORDS, in order."""
    spelt = {name: sign for sign, names in NAMES.items() for name in names}
    parts = (spelt.get(part, part) for part in re.findall(r"\d+|[a-z]+|[-+*]", text))
    return [part for part in parts if part.isdigit() or part in NAMES or part in WORDS]


def _messages(question: Question, form: str) -> tuple[Message, ...]:
    user = Message("user", question.text)
    if form != "direct" and not question.steps:
        raise ValueError(f'a task without arithmetic has no form "{form}"; expected direct.')
    if form == "tools":
        turns = [
            turn
            for expression, value in question.steps
            for turn in (Message("assistant", "", (Call("calculator", expression),)), Message("tool", value))
        ]
        return (user, *turns, Message("assistant", question.answer))
    if form == "thought":
        return (user, Message("assistant", f"{question.working}\n{question.answer}"))
    return (user, Message("assistant", question.answer))


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSONL, a row a line, all of it or nothing."""
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """`corpuscle train task`: leaves OUT/train.jsonl and OUT/held-out.jsonl. Returns the exit status."""
    description = "Make demonstrations of a small task, and questions to check it with."
    parser = Parser("corpuscle train task", description, "%(prog)s NAME OUTPUT [OPTIONS]")
    about = " ".join(f"{name}: {task.draw.__doc__}" for name, task in TASKS.items())
    parser.add_argument("name", choices=TASKS, help=about)
    parser.add_argument(
        "output", type=Path, metavar="OUTPUT", help="folder for train.jsonl (messages), held-out.jsonl (prompt, answer)"
    )
    parser.add_argument("--rows", type=int, default=5000, help="demonstrations")
    parser.add_argument("--held-out", type=int, default=500, help="questions that are not among them")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws others")
    parser.add_argument("--digits", type=int, help="of the numbers; the task's own by default")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--tools", action="store_const", const="tools", dest="form", help="answer by the calculator")
    form.add_argument("--thought", action="store_const", const="thought", dest="form", help="write out the working")
    given = parser.parse_args(arguments)
    form_, digits = given.form or "direct", given.digits

    def run(console: Console) -> None:
        if min(given.rows, given.held_out, 1 if digits is None else digits) < 1:
            raise ValueError("--rows, --held-out and --digits must be at least 1.")
        train = items(given.name, given.rows, given.seed, "train", form_, digits)
        held_out = items(given.name, given.held_out, given.seed, "held-out", form_, digits)
        given.output.mkdir(parents=True, exist_ok=True)
        write(given.output / "train.jsonl", [item.demonstration() for item in train])
        write(given.output / "held-out.jsonl", [item.question() for item in held_out])
        made = f"{len(train):,} demonstrations and {len(held_out):,} questions"
        console.print(f"{made} in {given.output}", markup=False, highlight=False, soft_wrap=True)

    return guarded(run, lambda: "stopped; nothing was written.")


if __name__ == "__main__":
    sys.exit(main())
