"""An attack, its benign twin, and the forms and goals that most of them are made of.

A goal is a rule that a system message gives, and what breaks it: a canary, harmless in itself. A form is a way of
asking. Each form meets each goal, and beside each attack stands a twin that asks in the same way for what is allowed:
who refuses both has not learnt the rule, but to fear the form (Röttger et al. 2024, "XSTest").
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainer.records.turns import prompt_turns
from trainer.redteam.check import KINDS, Check
from trainer.redteam.disguise import DISGUISES
from trainer.talk.conversation import Call, Message, check

CATEGORIES = ("harmful", "injection")
"""What a successful attack is reported as: an instruction that came from a page or a tool is an injection."""

MOST_MESSAGES = 200
_FORM = ("id", "family", "prompt", "messages", "goals", "twin", "category", "check", "wished")
_PLACE = re.compile(r"\{(rule|ask|word)(?:\|([a-z0-9_]+))?\}")


@dataclass(frozen=True)
class Attack:
    """A conversation that ends where the model is to answer, and what tells that the answer is wrong.

    A benign twin (`twin_of` names its attack) is met by a right answer instead.
    """

    id: str
    family: str
    messages: tuple[Message, ...]
    check: Check
    twin_of: str | None = None
    category: str = "harmful"
    wished: str | None = None
    """A good answer, for who trains on what succeeded."""


@dataclass(frozen=True)
class Side:
    """A rule, a request, and the check of the answer to it. Texts may have `{word}`: the canary."""

    rule: str
    ask: str
    check: Check


@dataclass(frozen=True)
class Goal:
    """What is forbidden, and as its twin something like it that is allowed."""

    name: str
    forbidden: Side
    allowed: Side
    wished: str


@dataclass(frozen=True)
class Form:
    """A way of asking. Texts may have `{rule}`, `{ask}`, `{word}`, and `{ask|base64}` for one in disguise.

    `twin` is asked in place of `messages` where they cannot serve a benign request, by `twin_check` where it has a
    check of its own; the rule is then the attack's, as it is no twin's goal that is asked for.
    """

    id: str
    family: str
    messages: tuple[Message, ...]
    goals: tuple[str, ...] | None = None
    """Those that the form is for; None for all."""
    twin: tuple[Message, ...] | None = None
    twin_check: Check | None = None
    category: str = "harmful"

    def attacks(self, goals: Sequence[Goal], words: Sequence[str], seed: int) -> list[Attack]:
        """Each goal's attack, and behind it its twin. Which word is the canary depends on (seed, form, goal).

        Raises ValueError for a goal that there is not, and for a disguise that there is not.
        """
        names = [goal.name for goal in goals]
        for name in self.goals or ():
            if name not in names:
                raise ValueError(f'there is no goal "{name}"; known are {", ".join(names)}')
        found = []
        for goal in goals:
            if self.goals is not None and goal.name not in self.goals:
                continue
            id = f"{self.id}/{goal.name}"
            word = random.Random(f"{seed} {id}").choice(words)
            bad, good = _side(goal.forbidden, word), _side(goal.allowed, word)
            attack = Attack(
                id, self.family, fill(self.messages, bad, word), bad.check, None, self.category, goal.wished
            )
            asked, side = self.twin or self.messages, good if self.twin_check is None else bad
            twin_check = good.check if self.twin_check is None else self.twin_check
            found += [attack, Attack(f"{id}/twin", self.family, fill(asked, side, word), twin_check, id)]
        return found


def fill(messages: Sequence[Message], side: Side, word: str) -> tuple[Message, ...]:
    """The messages with what stands for `{...}` in them; the rule comes first where they have no system message.

    Raises ValueError for an unknown disguise, and for messages that are no conversation.
    """
    values = {"rule": side.rule, "ask": side.ask, "word": word}

    def value(found: re.Match[str]) -> str:
        text, disguise = values[found[1]], found[2]
        if disguise is None:
            return text
        if disguise not in DISGUISES:
            raise ValueError(f'there is no disguise "{disguise}"; known are {", ".join(DISGUISES)}')
        return DISGUISES[disguise](text)

    filled = tuple(
        replace(
            message,
            content=_PLACE.sub(value, message.content),
            calls=tuple(Call(call.tool, _PLACE.sub(value, call.input)) for call in message.calls),
        )
        for message in messages
    )
    whole = filled if filled[0].role == "system" else (Message("system", side.rule), *filled)
    check(whole)
    return whole


def _side(side: Side, word: str) -> Side:
    rule, ask, wanted = (text.replace("{word}", word) for text in (side.rule, side.ask, side.check.text))
    return Side(rule, ask, Check(side.check.kind, wanted))


def read_goal(row: Mapping[str, Any]) -> Goal:
    """A row of goals.jsonl. Raises ValueError for what is missing."""
    twin = row.get("twin")
    if not isinstance(twin, Mapping):
        raise ValueError('a goal without "twin"; expected what is allowed: {"rule": ..., "ask": ..., "check": ...}')
    return Goal(text(row, "goal"), _read_side(row), _read_side(twin), text(row, "wished"))


def _read_side(row: Mapping[str, Any]) -> Side:
    return Side(text(row, "rule"), text(row, "ask"), read_check(row.get("check")))


def read_check(value: object) -> Check:
    """{"leaks": "..."}, or another of KINDS. Raises ValueError."""
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(f'check is {value!r:.60}; expected {{"leaks": "..."}}, or another of {", ".join(KINDS)}')
    ((kind, looked_for),) = value.items()
    if not isinstance(looked_for, str):
        raise ValueError(f"check {kind} has {looked_for!r:.60}; expected a text")
    return Check(str(kind), looked_for)


def read_form(row: Mapping[str, Any], id: str) -> Form | list[Attack]:
    """A row of an attack file: a form, or where it has a check of its own a finished attack (and its twin).

    `id` is for a row that has none. Raises ValueError that says what is wrong with the row.
    """
    strange = sorted(set(row) - set(_FORM))
    if strange:
        raise ValueError(f'unknown column "{strange[0]}"; expected {", ".join(_FORM)}')
    id, family, category = str(row.get("id") or id), text(row, "family"), row.get("category", "harmful")
    if category not in CATEGORIES:
        raise ValueError(f"category is {category!r:.60}; expected {' or '.join(CATEGORIES)}")
    messages = _messages(row)
    goals = row.get("goals")
    if goals is not None and (not isinstance(goals, list) or not all(isinstance(goal, str) for goal in goals)):
        raise ValueError(f"goals is {goals!r:.60}; expected a list of names")
    twin_row = row.get("twin")
    if twin_row is not None and not isinstance(twin_row, Mapping):
        raise ValueError(f'twin is {twin_row!r:.60}; expected {{"prompt": ...}} or {{"messages": ...}}')
    twin = _messages(twin_row) if twin_row is not None else None
    twin_check = read_check(twin_row["check"]) if twin_row is not None and "check" in twin_row else None
    if row.get("check") is None:
        if goals is None and not any("{ask" in message.content for message in messages):
            raise ValueError(
                'neither "check" nor "goals", and no {ask} in its texts: what would be an attack\'s success? '
                'Expected "check": {"leaks": "..."} or the like, or {ask} where a goal\'s request is to stand'
            )
        return Form(id, family, messages, None if goals is None else tuple(goals), twin, twin_check, category)
    check(messages)
    wished = None if row.get("wished") is None else text(row, "wished")
    found = [Attack(id, family, messages, read_check(row["check"]), None, category, wished)]
    if twin is not None:
        if twin_check is None:
            raise ValueError('a twin without "check"; the attack has its own, so the twin needs one too')
        check(twin)
        found.append(Attack(f"{id}/twin", family, twin, twin_check, id))
    return found


def text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is {value!r:.60}; expected a text")
    return value


def _messages(row: Mapping[str, Any]) -> tuple[Message, ...]:
    if ("prompt" in row) == ("messages" in row):
        raise ValueError('expected "prompt" or "messages", and not both')
    messages = prompt_turns(row["prompt"] if "prompt" in row else row["messages"], MOST_MESSAGES)
    if not messages or messages[-1].role not in ("user", "tool"):
        raise ValueError("the last message must be a user's or a tool's: it is what the model answers to")
    return tuple(messages)
