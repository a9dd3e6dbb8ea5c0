"""JSON -> messages, in the forms that people have: OpenAI's list of turns, a bare string, Anthropic's HH-RLHF text."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.talk.conversation import ROLES, Call, Message

HUMAN = "\n\nHuman:"
_TURN = re.compile(r"\n\n(Human|Assistant):")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}


def turns(value: object, most: int) -> list[Message]:
    """A list of {"role": ..., "content": ...}, with tool_calls; "train": false or "weight": 0 for what is only read.

    Raises ValueError that names the message; `most` is how many there may be.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{_kind(value)}; expected a list of messages")
    if len(value) > most:
        raise ValueError(f"{len(value):,} messages; at most {most:,} are read")
    messages: list[Message] = []
    unanswered: list[str | None] = []
    for number, item in enumerate(value, 1):
        try:
            messages.append(_turn(item))
            if messages[-1].role == "tool" and unanswered:
                _same_call(unanswered.pop(0), item.get("tool_call_id"))
            else:
                unanswered = [call.get("id") for call in item.get("tool_calls") or []]
        except ValueError as error:
            raise ValueError(f"message {number}: {error}") from None
    return messages


def prompt_turns(value: object, most: int) -> list[Message]:
    """A prompt: a list of turns, HH-RLHF's text up to "Assistant:", or what a user says."""
    if not isinstance(value, str):
        return turns(value, most)
    if not value.startswith(HUMAN):
        return [Message("user", value)]
    spoken = hh_turns(value, most)
    return spoken[:-1] if spoken[-1] == Message("assistant", "") else spoken


def answer_turns(value: object, most: int) -> list[Message]:
    """An answer: a list of turns, or what an assistant says."""
    return [Message("assistant", value)] if isinstance(value, str) else turns(value, most)


def hh_turns(text: str, most: int) -> list[Message]:
    """A dialogue as HH-RLHF writes it (Bai et al. 2022): "\\n\\nHuman: ...\\n\\nAssistant: ..."."""
    before, *rest = _TURN.split(text)
    if before.strip() or not rest:
        raise ValueError(f'a dialogue in text must begin with "\\n\\nHuman:"; this one begins with {before[:30]!r}')
    if len(rest) // 2 > most:
        raise ValueError(f"{len(rest) // 2:,} messages; at most {most:,} are read")
    return [Message(_SPEAKERS[who], what.strip()) for who, what in zip(rest[::2], rest[1::2], strict=True)]


def tool_calls(value: object) -> tuple[Call, ...]:
    """[{"type": "function", "function": {"name": ..., "arguments": text or object}}, ...]; the wrapping may be missing.

    Arguments that are an object become its JSON.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"tool_calls is {_kind(value)}; expected a list")
    calls = []
    for item in value:
        function = item.get("function", item) if isinstance(item, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise ValueError('a tool call without a name; expected {"function": {"name": ..., "arguments": ...}}')
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        calls.append(Call(function["name"], arguments))
    return tuple(calls)


def _turn(item: object) -> Message:
    if not isinstance(item, Mapping):
        raise ValueError(f'{_kind(item)}; expected {{"role": ..., "content": ...}}')
    if "from" in item and "role" not in item:
        raise ValueError('"from" instead of "role": this is ShareGPT\'s form; `corpuscle train convert` rewrites it')
    role = item.get("role")
    if role not in ROLES:
        raise ValueError(f"role is {_short(role)}; expected {', '.join(ROLES)}")
    calls = tool_calls(item["tool_calls"]) if item.get("tool_calls") is not None else ()
    if calls and role != "assistant":
        raise ValueError(f"a {role} message has tool_calls; only an assistant's may")
    content = item.get("content")
    if content is None and not calls:
        raise ValueError(f"no content in a {role} message; expected text")
    return Message(role, "" if content is None else _text(content), calls, _trained(item))


def _text(content: object) -> str:
    """Text, or OpenAI's list of text parts put together."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content if isinstance(content, Sequence) else [content]:
        text = part.get("text") if isinstance(part, Mapping) else None
        if not isinstance(text, str):
            raise ValueError(f"content is {_short(part)}; expected text, which is all that this model reads")
        texts.append(text)
    return "".join(texts)


def _trained(item: Mapping[str, Any]) -> bool:
    """`train` is a boolean; `weight` is OpenAI's: 0 or 1."""
    train, weight = item.get("train"), item.get("weight")
    if train is not None and not isinstance(train, bool):
        raise ValueError(f"train is {_short(train)}; expected true or false")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        raise ValueError(f"weight is {_short(weight)}; expected 0 or 1 in a message")
    return train is not False and weight != 0


def _same_call(asked: object, answered: object) -> None:
    if asked is not None and answered is not None and asked != answered:
        raise ValueError(
            f"the result of call {_short(answered)} where that of {_short(asked)} was expected; "
            f"put results in the order of the calls"
        )


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _short(value: object) -> str:
    """Python's spelling, in which no character steers a terminal."""
    spelt = repr(value)
    return spelt if len(spelt) <= 60 else spelt[:60] + "..."
