"""Rows in the forms that other projects write, as rows that `read` reads.

They are those of FastChat (ShareGPT), Stanford Alpaca, Self-Instruct, LLaMA-Factory, HH-RLHF, OpenAssistant and GSM8K.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.records.read import comparison, kind_of
from trainer.talk.conversation import to_json

Columns = Mapping[str, Any]
Turn = dict[str, Any]

SPEAKERS = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model"), "assistant"),
    **dict.fromkeys(("observation", "tool", "function_response"), "tool"),
    "system": "system",
    "function_call": "function_call",
}
"""ShareGPT's names, and those of its imitators."""

_PAIR = ("chosen", "rejected")
_CALCULATION = re.compile(r"<<([^<>]*)=([^<>=]*)>>")


@dataclass(frozen=True)
class Form:
    """How rows of a form are known, and the rows of ours that each becomes.

    `rewrite` raises ValueError, KeyError or TypeError for a row that is not of the form after all.
    """

    matches: Callable[[Columns], bool]
    rewrite: Callable[[Columns], Iterator[Columns]]


def sharegpt(row: Columns) -> Iterator[Columns]:
    yield {"messages": _introduced(row, _spoken(row["conversations"]))}


def preference(row: Columns) -> Iterator[Columns]:
    """LLaMA-Factory: ShareGPT's turns as the prompt, and two answers to it."""
    answers = {name: row[name] if isinstance(row[name], str) else _spoken([row[name]]) for name in _PAIR}
    yield {"prompt": _introduced(row, _spoken(row["conversations"])), **answers}


def kto(row: Columns) -> Iterator[Columns]:
    """LLaMA-Factory's form for KTO: a conversation, and whether its last answer is good."""
    messages = _introduced(row, _spoken(row["messages" if "messages" in row else "conversations"]))
    yield {"messages": messages, "label": row["kto_tag" if "kto_tag" in row else "label"]}


def alpaca(row: Columns) -> Iterator[Columns]:
    """A demonstration, or with `chosen` and `rejected` a comparison."""
    prompt = []
    for question, answer in row.get("history") or []:
        prompt += [_turn("user", question), _turn("assistant", answer)]
    prompt = _introduced(row, [*prompt, _question(row["instruction"], row.get("input"))])
    if all(isinstance(row.get(name), str) for name in _PAIR):
        yield {"prompt": prompt, **{name: row[name] for name in _PAIR}}
    else:
        yield {"messages": [*prompt, _turn("assistant", row["output"])]}


def self_instruct(row: Columns) -> Iterator[Columns]:
    for instance in row["instances"]:
        question = _question(row["instruction"], instance.get("input"))
        yield {"messages": [question, _turn("assistant", instance["output"])]}


def hh_rlhf(row: Columns) -> Iterator[Columns]:
    record = comparison(row)
    prompt = [_turn(turn.role, turn.content) for turn in record.prompt]
    yield {"prompt": prompt, **dict(zip(_PAIR, map(to_json, record.completions), strict=True))}


def gsm8k(row: Columns) -> Iterator[Columns]:
    """`<<48/2=24>>` becomes a call of the calculator with "48/2" and its result "24"; "#### n" stays the last line."""
    text, turns, place = row["answer"], [], 0
    for found in _CALCULATION.finditer(text):
        call = {"type": "function", "function": {"name": "calculator", "arguments": found[1]}}
        turns += [_turn("assistant", text[place : found.start()]) | {"tool_calls": [call]}, _turn("tool", found[2])]
        place = found.end()
    turns.append(_turn("assistant", text[place:]))
    _, mark, right = text.rpartition("#### ")
    if not mark:
        raise ValueError('no last line "#### n" in the answer')
    yield {
        "prompt": [_turn("user", row["question"])],
        "completion": turns,
        "answer": right.strip().replace(",", ""),
    }


def oasst(row: Columns) -> Iterator[Columns]:
    """A tree of messages -> conversations that follow the best answer to each question, and every question behind it.

    Those of one tree share their beginnings; an answer is an example in the first of them only.
    """
    yield from ({"messages": path} for path in _paths(row.get("prompt", row), []))


def oasst_rankings(row: Columns) -> Iterator[Columns]:
    """A tree of messages -> a ranking for each question that has two ranked answers or more."""
    yield from _rankings(row.get("prompt", row), [])


def trl(row: Columns) -> Iterator[Columns]:
    """What is read as it stands."""
    yield {name: value for name, value in row.items() if value is not None}


def _has(*names: str) -> Callable[[Columns], bool]:
    return lambda row: all(row.get(name) is not None for name in names)


def _is_tree(row: Columns) -> bool:
    return isinstance(row.get("prompt"), dict) or ("replies" in row and "text" in row)


def _is_verdict(row: Columns) -> bool:
    return "kto_tag" in row or ("conversations" in row and isinstance(row.get("label"), bool))


def _is_alpaca(row: Columns) -> bool:
    return _has("instruction")(row) and ("output" in row or _has(*_PAIR)(row))


FORMS: dict[str, Form] = {
    "preference": Form(_has("conversations", *_PAIR), preference),
    "kto": Form(_is_verdict, kto),
    "sharegpt": Form(_has("conversations"), sharegpt),
    "self-instruct": Form(_has("instruction", "instances"), self_instruct),
    "alpaca": Form(_is_alpaca, alpaca),
    "hh-rlhf": Form(lambda row: "prompt" not in row and all(isinstance(row.get(name), str) for name in _PAIR), hh_rlhf),
    "oasst": Form(_is_tree, oasst),
    "oasst-rankings": Form(_is_tree, oasst_rankings),
    "gsm8k": Form(lambda row: "question" in row and "#### " in str(row.get("answer")), gsm8k),
    "trl": Form(lambda row: kind_of(row) is not None, trl),
}
"""The narrower forms first: where several match, the first one is meant."""


def _turn(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


def _question(instruction: str, more: str | None) -> Turn:
    return _turn("user", f"{instruction}\n\n{more}" if more else instruction)


def _introduced(row: Columns, turns: list[Turn]) -> list[Turn]:
    """The turns behind one system message: the row's, the turns' own, and the tools there are, a JSON object a line."""
    parts = [row["system"]] if row.get("system") else []
    if turns and turns[0]["role"] == "system":
        parts.append(turns[0]["content"])
        turns = turns[1:]
    tools = row.get("tools")
    tools = json.loads(tools) if isinstance(tools, str) and tools.strip() else tools
    if tools:
        parts.append("\n".join(["Tools:", *(json.dumps(tool, ensure_ascii=False) for tool in tools)]))
    return [_turn("system", "\n\n".join(parts)), *turns] if parts else turns


def _spoken(conversation: Sequence[Columns]) -> list[Turn]:
    turns = []
    for said in conversation:
        who = said["from" if "from" in said else "role"]
        if who not in SPEAKERS:
            raise ValueError(f"a message is from {who!r:.60}; expected {', '.join(SPEAKERS)}")
        text = said["value" if "value" in said else "content"]
        turn = _function_call(text) if who == "function_call" else _turn(SPEAKERS[who], text)
        turns.append(turn | {name: said[name] for name in ("train", "weight", "tool_calls") if name in said})
    return turns


def _function_call(text: str) -> Turn:
    """`{"name": ..., "arguments": ...}` as text, or a list of such: several calls at once."""
    try:
        calls = json.loads(text)
    except ValueError:
        raise ValueError('a function_call that is not JSON; expected {"name": ..., "arguments": ...}') from None
    return _turn("assistant", "") | {"tool_calls": calls if isinstance(calls, list) else [calls]}


def _paths(message: Columns, before: list[Turn]) -> Iterator[list[Turn]]:
    """Conversations through a message, to their last answers."""
    path = [*before, _message(message)]
    if message["role"] == "prompter":
        for best in _replies(message)[:1]:
            yield from _paths(best, path)
        return
    alone = True
    for reply in _replies(message):
        for longer in _paths(reply, path):
            yield longer
            alone = False
            path = [turn | {"train": False} if turn["role"] == "assistant" else turn for turn in path]
    if alone:
        yield path


def _rankings(message: Columns, before: list[Turn]) -> Iterator[Columns]:
    path, replies = [*before, _message(message)], _replies(message)
    ranked = [reply for reply in replies if reply.get("rank") is not None]
    if message["role"] == "prompter" and len(ranked) > 1:
        levels = sorted({reply["rank"] for reply in ranked})
        ranks = [levels.index(reply["rank"]) + 1 for reply in ranked]
        yield {"prompt": path, "completions": [reply["text"] for reply in ranked], "ranks": ranks}
    for reply in replies:
        yield from _rankings(reply, path)


def _replies(message: Columns) -> list[Columns]:
    """The replies that reviewers let stand, best first (rank 0); those without a rank come last."""
    replies: list[Columns] = [
        reply for reply in message["replies"] if not reply.get("deleted") and reply.get("review_result") is not False
    ]
    return sorted(replies, key=lambda reply: (reply.get("rank") is None, reply.get("rank") or 0))


def _message(message: Columns) -> Turn:
    return _turn({"prompter": "user", "assistant": "assistant"}[message["role"]], message["text"])
