"""What a model is taught with after pre-training: demonstrations, rankings, single verdicts, and bare prompts.

The kinds and their columns are TRL's; rankings of more than two are InstructGPT's (Ouyang et al. 2022, section 3.5).
The functions in lower case check what they are given and compute the id.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainer.talk.conversation import ConversationError, Message, check, to_json

Turns = tuple[Message, ...]


@dataclass(frozen=True)
class Demonstration:
    """A conversation to imitate: its assistant's turns with `trained` are learnt, the others only read."""

    id: str
    messages: Turns
    weight: float = 1.0

    @property
    def prompt(self) -> Turns:
        """What stands before the first turn that is learnt."""
        return tuple(itertools.takewhile(lambda turn: not _learnt(turn), self.messages))


@dataclass(frozen=True)
class Comparison:
    """One prompt, and of two answers the better one; `margin` says by how much, from 0 to 1 in our own labels.

    An answer is nearly always one assistant's turn; with tools, or where conversations part early, it is several. The
    prompt's turns have `trained=False`, so the mask of `Template.encode((*prompt, *chosen))` is the answer's.
    """

    id: str
    prompt: Turns
    chosen: Turns
    rejected: Turns
    margin: float | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Ranking:
    """One prompt with its answers, best first; rank 1 is the best, equal ranks are ties, no rank is left out.

    A comparison is a ranking of two; only such a one has a margin.
    """

    id: str
    prompt: Turns
    completions: tuple[Turns, ...]
    ranks: tuple[int, ...]
    margin: float | None = None
    weight: float = 1.0

    def pairs(self) -> list[tuple[int, int]]:
        """(winner, loser), places in `completions`: all pairs but ties. For K answers at most K(K - 1)/2."""
        places = itertools.combinations(range(len(self.ranks)), 2)
        return [(first, second) for first, second in places if self.ranks[first] < self.ranks[second]]

    @property
    def tied(self) -> bool:
        """Whether all are equal, so that there is no pair."""
        return self.ranks[-1] == 1

    def comparisons(self) -> list[Comparison]:
        """All pairs by themselves. They share the weight, or a ranking of nine would count for 36 comparisons."""
        pairs = [(self.completions[winner], self.completions[loser]) for winner, loser in self.pairs()]
        weight = self.weight / max(1, len(pairs))
        return [
            Comparison(ranking(self.prompt, pair, (1, 2)).id, self.prompt, *pair, self.margin, weight) for pair in pairs
        ]


@dataclass(frozen=True)
class Unpaired:
    """One prompt, one answer, and whether it is good (the data of KTO, Ethayarajh et al. 2024)."""

    id: str
    prompt: Turns
    completion: Turns
    good: bool
    weight: float = 1.0


@dataclass(frozen=True)
class Prompt:
    """A conversation that waits for an answer, with the right one where that can be verified."""

    id: str
    messages: Turns
    answer: str | None = None
    weight: float = 1.0


Record = Demonstration | Ranking | Unpaired | Prompt


def demonstration(messages: Sequence[Message], weight: float = 1.0) -> Demonstration:
    """Raises ValueError where there is nothing to learn: no assistant's turn, or an empty one."""
    check(messages)
    if not any(map(_learnt, messages)):
        raise ValueError("no assistant message to learn from; expected one that is not left out of training")
    for number, turn in enumerate(messages):
        if _learnt(turn) and not turn.calls and not turn.content.strip():
            raise ValueError(f'message {number + 1}: an empty answer; write one, or set "train": false in it')
    turns = tuple(messages)
    return Demonstration(sample_id("demonstration", to_json(turns)), turns, _weight(weight))


def ranking(
    prompt: Sequence[Message],
    completions: Sequence[Sequence[Message]],
    ranks: Sequence[int],
    margin: float | None = None,
    weight: float = 1.0,
) -> Ranking:
    """Puts the completions in order. Raises ValueError for ranks that are none, and for one text with two ranks."""
    if len(completions) < 2 or len(ranks) != len(completions):
        raise ValueError(
            f"{len(completions)} completions and {len(ranks)} ranks; expected two or more, a rank for each"
        )
    if min(ranks) != 1 or max(ranks) > len(ranks):
        raise ValueError(f"ranks {list(ranks)}; expected 1 for the best up to {len(ranks)}, ties equal")
    if margin is not None and not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"margin is {margin}; expected 0 or more: by how much the chosen answer is better")
    if margin is not None and len(ranks) > 2:
        raise ValueError(f"a margin and {len(ranks)} completions; expected one only for chosen and rejected")
    read = as_prompt(prompt)
    spelt = [_spell(to_json(_answer(read, completion))) for completion in completions]
    order = sorted(range(len(ranks)), key=lambda place: (ranks[place], spelt[place]))
    first_with: dict[str, int] = {}
    for place in order:
        twin = first_with.setdefault(spelt[place], place)
        if ranks[twin] != ranks[place]:
            raise ValueError("the same answer is both better and worse (chosen = rejected); leave this row out")
    levels = {rank: level for level, rank in enumerate(sorted(set(ranks)), 1)}
    ordered = tuple(tuple(completions[place]) for place in order)
    dense = tuple(levels[ranks[place]] for place in order)
    id = sample_id("ranking", _plain(read), [to_json(turns) for turns in ordered], dense)
    return Ranking(id, read, ordered, dense, margin, _weight(weight))


def unpaired(prompt: Sequence[Message], completion: Sequence[Message], good: bool, weight: float = 1.0) -> Unpaired:
    read = as_prompt(prompt)
    answer = _answer(read, completion)
    return Unpaired(sample_id("unpaired", _plain(read), to_json(answer), good), read, answer, good, _weight(weight))


def prompt(messages: Sequence[Message], answer: str | None = None, weight: float = 1.0) -> Prompt:
    read = as_prompt(messages)
    return Prompt(sample_id("prompt", _plain(read), answer), read, answer, _weight(weight))


def as_prompt(messages: Sequence[Message]) -> Turns:
    """The turns, none of them trained. Raises ValueError where the next word is not the assistant's."""
    if not any(turn.content.strip() for turn in messages):
        raise ValueError("an empty prompt; expected text")
    check((*messages, Message("assistant", "")))
    if messages[-1].role not in ("user", "tool"):
        raise ValueError(f"the prompt ends with the {messages[-1].role}; expected a user's message or a tool's result")
    return tuple(replace(turn, trained=False) if turn.role == "assistant" else turn for turn in messages)


def sample_id(kind: str, *contents: object) -> str:
    """SHA-256, in hexadecimal, of the UTF-8 of the JSON list [kind, *contents]: keys sorted, no spaces, no \\u escapes.

    The contents are, with messages as `trainer.talk.conversation.to_json` writes them:

        "demonstration", messages
        "ranking", prompt, completions (best first, ties by their JSON), ranks (1, 2, ... without gaps)
        "unpaired", prompt, completion, good
        "prompt", messages, answer or null

    In prompts the assistant's turns have no "train".
    """
    return hashlib.sha256(_spell([kind, *contents]).encode()).hexdigest()


def _spell(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _plain(turns: Turns) -> object:
    return to_json([replace(turn, trained=True) for turn in turns])


def _learnt(turn: Message) -> bool:
    return turn.role == "assistant" and turn.trained


def _answer(prompt: Turns, completion: Sequence[Message]) -> Turns:
    if not completion or completion[0].role != "assistant" or completion[-1].role != "assistant":
        raise ValueError("an answer begins and ends with an assistant's message; this one does not")
    try:
        check((*prompt, *completion))
    except ConversationError as error:
        raise ValueError(f"prompt and answer together: {error}") from None
    return tuple(completion)


def _weight(weight: float) -> float:
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"weight is {weight}; expected more than 0 (leave out what should not count)")
    return weight
