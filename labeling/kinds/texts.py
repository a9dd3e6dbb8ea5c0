"""Texts as they are stored and as labellers see them: without what a page can't show or is steered by.

Label Studio shows the texts of `Text`, `Paragraphs` and `List` as text, never as HTML; what is left to do here are the
characters that no escaping touches: controls, direction overrides, halves of characters.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from labeling.kinds.kind import LIMIT, InvalidSampleError, Json
from labeling.storable import storable

ROLES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
"""Who speaks, in a file and on the page."""

Shown = list[dict[str, str]]
"""What a `Paragraphs` shows: `who` says what `text`."""

_ORDINARY = "\n\t "
_STEERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Embeddings, overrides and isolates of direction (Unicode annex 9): they can show a text other than it is read."""

_BLANK = "\u115f\u1160\u3164\uffa0\u2800\u034f"
"""Letters and marks by category, but nothing to see: Hangul fillers, the empty Braille pattern, the grapheme joiner."""

_SUSPECT = re.compile("[^\n\t -~\u00a1-\u00ac\u00ae-\u02ff\u4e00-\u9fff]")
"""All characters but the commonest that are surely seen: most texts have few that need a second look."""


def harmless(text: str) -> str:
    """The text as labellers read it: lines end in one way, and what controls or steers a page is named, ‹U+202E›.

    What joins letters (in Persian, or in an emoji) stays.
    """
    return _named(text, lambda each: unicodedata.category(each) in ("Cc", "Cs") or each in _STEERING)


def visible(text: str) -> str:
    """The same, with all that leaves no mark on a page named, runs counted: ‹U+200B×3›. For texts under suspicion."""
    return _named(text, _is_unseen)


def _named(text: str, hidden: Callable[[str], bool]) -> str:
    def name(match: re.Match[str]) -> str:
        run, first = match[0], match[0][0]
        if first in _ORDINARY or not hidden(first):
            return run
        return f"‹U+{ord(first):04X}" + (f"×{len(run)}" if len(run) > 1 else "") + "›"

    joined = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(rf"({_SUSPECT.pattern})\1*", name, joined)


def _is_unseen(character: str) -> bool:
    kind = unicodedata.category(character)
    selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or selector or character in _BLANK


def text(row: Json, name: str, *, required: bool = True) -> str:
    """A text of a row, storable, or "" where it may be missing and is. Raises InvalidSampleError."""
    value = row.get(name)
    if value is None and not required:
        return ""
    return checked(value, name, required)


def checked(value: object, name: str, required: bool = True) -> str:
    """The value as a storable text. Raises InvalidSampleError where it is none, empty or too long."""
    if not isinstance(value, str):
        raise InvalidSampleError(f"{name} is {_kind_of(value)}; expected a text")
    if required and not value.strip():
        raise InvalidSampleError(f"{name} is empty; expected a text")
    if len(value) > LIMIT:
        raise InvalidSampleError(f"{name} has {len(value):,} characters; at most {LIMIT:,} can be labelled")
    return storable(value)


def conversation(value: object, name: str) -> list[Json]:
    """Messages with role, content and an assistant's tool calls alone; a text is one user's message.

    Raises InvalidSampleError where there is none, or one without a known role or a text.
    """
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise InvalidSampleError(f"{name} is {_kind_of(value)}; expected a text or a list of messages")
    messages = [_message(message, f"{name}, message {number}") for number, message in enumerate(value, 1)]
    if sum(len(message["content"]) for message in messages) > LIMIT:
        raise InvalidSampleError(f"{name}: more than {LIMIT:,} characters; no labeller can read that")
    return messages


def prompt(value: object, name: str) -> list[Json]:
    """A conversation that waits for the assistant."""
    messages = conversation(value, name)
    if messages[-1]["role"] not in ("user", "tool"):
        last = messages[-1]["role"]
        raise InvalidSampleError(f"{name} ends with the {last}; expected a user's message or a tool's result")
    if not any(message["content"].strip() for message in messages):
        raise InvalidSampleError(f"{name} is empty; expected text")
    return messages


def answer(value: object, name: str) -> Json:
    """A model's answer, a text or {"text", "model"}; the model's name is kept here and never shown."""
    if isinstance(value, str):
        return {"text": checked(value, name, required=False)}
    if not isinstance(value, dict):
        raise InvalidSampleError(f'{name} is {_kind_of(value)}; expected a text, or {{"text": ..., "model": ...}}')
    found = {"text": checked(value.get("text"), f"{name}.text", required=False)}
    if value.get("model") is not None:
        found["model"] = checked(value["model"], f"{name}.model")
    return found


def shown(messages: list[Json]) -> Shown:
    """A conversation as `Paragraphs` shows it, calls of tools in words."""
    return [{"who": ROLES[message["role"]], "text": _said(message)} for message in messages]


def remarks(pairs: Iterable[tuple[str, str]]) -> Shown:
    """What is said beside a conversation, by whom; one blank where nothing is: a page breaks over an empty list."""
    return [{"who": who, "text": seen(said)} for who, said in pairs] or [{"who": "", "text": ""}]


def seen(text: str) -> str:
    """A text as it is shown, so that an empty one is seen to be empty."""
    named = harmless(text)
    return named if named.strip() else "(no text)"


def _said(message: Json) -> str:
    calls = [call["function"] for call in message.get("tool_calls", [])]
    named = [harmless(f"[calls {call['name']}: {call['arguments']}]") for call in calls]
    return "\n".join([harmless(message["content"]), *named] if message["content"] else named) or "(no text)"


def _message(message: object, name: str) -> Json:
    if not isinstance(message, dict) or message.get("role") not in tuple(ROLES):
        raise InvalidSampleError(f"{name} has no role; expected one of {', '.join(ROLES)}")
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise InvalidSampleError(f"{name} has a part that is no text; pictures and sounds can't be labelled")
        content = "".join(str(part) for part in parts)
    turn: Json = {"role": message["role"], "content": "" if content is None else checked(content, name, required=False)}
    if message.get("tool_calls"):
        try:
            turn["tool_calls"] = [_call(call.get("function", call), name) for call in message["tool_calls"]]
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise InvalidSampleError(f"{name} has a tool call without a name") from None
    return turn


def _call(function: Any, name: str) -> Json:
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
    named = {
        "name": checked(function["name"], f"{name}: a tool"),
        "arguments": checked(arguments, f"{name}: a call", False),
    }
    return {"type": "function", "function": named}


def _kind_of(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "missing"}
    return names.get(type(value), "a number")
