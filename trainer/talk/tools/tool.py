"""What a tool is: one string in, a short text out. It may fail, and says so in a sentence that the model can read."""

import json
import re
from dataclasses import dataclass
from typing import Protocol

TOOLS = ("calculator", "python", "search", "plot")

WITHOUT_CORPUS = "the tool search needs something to search; name the folder of a finished run by --corpus."


@dataclass(frozen=True)
class Source:
    """Where a quoted passage stands: what `corpuscle explain CORPUS DOCUMENT`, or SHARD:TOKEN, leads back from."""

    document: str
    """The document's id, 32 hex digits."""
    url: str
    shard: str
    """`train-00000`."""
    token: int
    """The passage's first token, counted from the shard's start."""


@dataclass(frozen=True)
class Result:
    """What the model reads (`text`), and what only the person who asked is shown: a picture, sources."""

    text: str
    png: bytes | None = None
    error: bool = False
    sources: tuple[Source, ...] = ()


class ToolError(ValueError):
    """An input that a tool can't serve; the message is for the model."""


class Tool(Protocol):
    """`description` is for a system prompt: when to call, and what with. `run` raises ToolError."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    def run(self, input: str) -> Result: ...


def argument(input: str, name: str) -> str:
    """The one argument of a tool: the input as it is, or the string in {"name": "..."}, as OpenAI's clients send it."""
    if input.lstrip().startswith("{"):
        try:
            fields = json.loads(input)
        except (ValueError, RecursionError):
            return input
        if isinstance(fields, dict) and fields.keys() == {name} and isinstance(fields[name], str):
            return str(fields[name])
    return input


_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Control characters but for tab and line break; invisible ones that reorder a line or hide a text in it (bidirectional
overrides, tags). The joiners U+200C and U+200D stay: Persian, Hindi and emoji are spelt with them."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """The text without characters that a terminal obeys or a reader can't see; lone surrogates become U+FFFD."""
    return _SURROGATE.sub("\ufffd", _UNSEEN.sub("", text.replace("\r\n", "\n")))
