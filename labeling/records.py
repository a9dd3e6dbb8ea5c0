"""The records that a trainer reads, as what people say becomes them: demonstrations, rankings, single verdicts.

The columns are TRL's; `sample_id` is the SHA-256 of a record's kind and contents, so the same record has the same id in
every export.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

ROLES = ("system", "user", "assistant", "tool")

Record = dict[str, Any]
Turns = list[dict[str, Any]]


class LeftOutError(Exception):
    """What gives no record, and why."""


def demonstration(prompt: Turns, answer: str) -> Record:
    """The conversation with `answer` as its last turn. Earlier answers, which nobody has judged, are not learnt."""
    earlier = [turn | {"train": False} if turn["role"] == "assistant" else turn for turn in prompt]
    messages = [*earlier, says(answer)]
    return {"sample_id": sample_id("demonstration", messages), "messages": messages}


def choice(prompt: Turns, chosen: Turns, rejected: Turns, margin: float | None) -> Record:
    """Raises LeftOutError where both are the same."""
    if chosen == rejected:
        raise LeftOutError("both answers are the same")
    id = sample_id("ranking", prompt, [chosen, rejected], [1, 2])
    record: Record = {"sample_id": id, "prompt": prompt, "chosen": chosen, "rejected": rejected}
    return record if margin is None else record | {"margin": margin}


def ranking(prompt: Turns, answers: Sequence[Turns], ranks: Sequence[int]) -> Record:
    """All answers, best first; `ranks[i]` is that of `answers[i]`, 1 for the best, ties equal.

    Raises LeftOutError for one text with two ranks.
    """
    levels = {rank: level for level, rank in enumerate(sorted(set(ranks)), 1)}
    placed = sorted((levels[rank], spell(answer), answer) for rank, answer in zip(ranks, answers, strict=True))
    if len({spelt for _, spelt, _ in placed}) < len({(rank, spelt) for rank, spelt, _ in placed}):
        raise LeftOutError("the same answer at two ranks")
    dense, completions = [rank for rank, _, _ in placed], [answer for _, _, answer in placed]
    id = sample_id("ranking", prompt, completions, dense)
    return {"sample_id": id, "prompt": prompt, "completions": completions, "ranks": dense}


def verdict(prompt: Turns, completion: Turns, good: bool) -> Record:
    id = sample_id("unpaired", prompt, completion, good)
    return {"sample_id": id, "prompt": prompt, "completion": completion, "label": good}


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def as_prompt(messages: Sequence[Mapping[str, Any]]) -> Turns:
    """Raises LeftOutError where the next word is not the assistant's, as in a conversation that is none."""
    prompt = [turn(message) for message in messages]
    if not prompt or prompt[-1]["role"] not in ("user", "tool"):
        raise LeftOutError("no question before the answer")
    return prompt


def turn(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with its role, text and calls alone, as the trainer spells it; ids of calls go, their order stays."""
    if message["role"] not in ROLES:
        raise LeftOutError(f"a message of another role than {', '.join(ROLES)}")
    content = message.get("content")
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        content = "".join(part["text"] for part in content)
    if content is not None and not isinstance(content, str):
        raise LeftOutError("a message that is no text")
    spelt: dict[str, Any] = {"role": message["role"], "content": content or ""}
    if message.get("tool_calls"):
        try:
            spelt["tool_calls"] = [_call(call.get("function", call)) for call in message["tool_calls"]]
        except (AttributeError, KeyError, TypeError):
            raise LeftOutError("a tool call without a name") from None
    return spelt


def sample_id(kind: str, *contents: object) -> str:
    """SHA-256, in hexadecimal, of the UTF-8 of the JSON list [kind, *contents]: keys sorted, no spaces, no \\u escapes.

    The contents are those of the kinds that the trainer reads: "demonstration", messages; "ranking", prompt,
    completions (best first, ties in the order of their JSON), ranks; "unpaired", prompt, completion, good.
    """
    return hashlib.sha256(spell([kind, *contents]).encode()).hexdigest()


def spell(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _call(function: dict[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
    return {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
