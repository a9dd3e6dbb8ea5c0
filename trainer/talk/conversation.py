"""A conversation, and its one spelling in tokens: control symbols go in by id, so no text can ever spell one.

    <s><|system|>Be brief.<|end|><|user|>12 * 34?<|end|><|assistant|><|call|>calculator 12*34<|end|>
       <|tool|>408<|end|><|assistant|>It is 408.<|end|>

A turn opens with its role's symbol and closes with `<|end|>`; the text between is the vocabulary's ordinary pieces.
What an assistant writes is trained on, its closing `<|end|>` and its calls too; what it reads is not, and neither is
the symbol that gives it the word. (A lost mask cost nanochat 0.04 of 0.36 ChatCORE.)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.tokenize.encode import Tokenizer

ROLES = ("system", "user", "assistant", "tool")
PAD, CALL, END = "<|pad|>", "<|call|>", "<|end|>"


class ConversationError(ValueError):
    """A conversation that is not one: what is wrong with which message."""


@dataclass(frozen=True)
class Call:
    """An assistant asks a tool: its name, and one string that the tool understands (an expression, a query, JSON)."""

    tool: str
    input: str


@dataclass(frozen=True)
class Message:
    """One turn. Only an assistant's has calls; the results follow as `tool` messages, one a call, in order.

    `trained` says whether an assistant's turn is an example to learn from; others never are.
    """

    role: str
    content: str
    calls: tuple[Call, ...] = ()
    trained: bool = True


@dataclass(frozen=True)
class Encoded:
    """Tokens, and for each whether the model is trained to write it."""

    tokens: list[int]
    trained: list[bool]


def check(messages: Sequence[Message]) -> None:
    """Raises ConversationError where turns don't follow each other as they must.

    A system message comes first or not at all; calls are an assistant's, have a name without spaces, and are answered
    by as many tool messages right behind it. No text has half a character (a surrogate that stands by itself).
    """
    if not messages:
        raise ConversationError("no messages; expected at least one")
    asked = 0
    for number, message in enumerate(messages):
        here = f"message {number + 1}"
        if message.role not in ROLES:
            raise ConversationError(f'{here}: role is "{message.role}"; expected {", ".join(ROLES)}')
        if message.role == "system" and number:
            raise ConversationError(f"{here}: a system message may only come first")
        if message.calls and message.role != "assistant":
            raise ConversationError(f"{here}: a {message.role} message has calls; only an assistant's may")
        for call in message.calls:
            if not call.tool or any(character.isspace() for character in call.tool):
                raise ConversationError(f'{here}: a call to "{call.tool}"; expected a name without spaces')
        for text in (message.content, *(part for call in message.calls for part in (call.tool, call.input))):
            try:
                text.encode()
            except UnicodeEncodeError:  # JSON can spell it, no tokenizer can
                raise ConversationError(f"{here}: half a character (a surrogate by itself); no text has it") from None
        if message.role == "tool":
            if not asked:
                raise ConversationError(f"{here}: a tool's result that no call asked for")
            asked -= 1
        elif asked:
            raise ConversationError(f"{here}: {asked} call(s) before it have no result; expected tool messages")
        else:
            asked = len(message.calls)


class Template:
    """Conversations -> tokens and back, with one vocabulary. Raises ValueError where that has no control symbols."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        missing = [name for name in (*map(role_symbol, ROLES), PAD, CALL, END) if name not in tokenizer.controls]
        if missing:
            raise ValueError(
                f"the vocabulary has no control symbols {', '.join(missing)}, so no turn can be marked in it; start "
                f"from a model whose corpus `corpuscle run` has made, as the vocabularies that it trains have them"
            )
        self.tokenizer = tokenizer
        self.bos, self.eos, self.pad = tokenizer.bos_id, tokenizer.eos_id, tokenizer.controls[PAD]
        self.call, self.end = tokenizer.controls[CALL], tokenizer.controls[END]
        self.roles = {role: tokenizer.controls[role_symbol(role)] for role in ROLES}
        self.stops = frozenset({self.end, self.bos, self.eos, *self.roles.values()})
        """What ends a turn that a model writes: its end, and what it may not write inside one."""

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """A whole conversation, from BOS to its last message's end."""
        check(messages)
        tokens, trained = [self.bos], [False]
        for message in messages:
            body = [*self._body(message), self.end]
            learnt = message.role == "assistant" and message.trained
            tokens += [self.roles[message.role], *body]
            trained += [False, *[learnt] * len(body)]
        return Encoded(tokens, trained)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """What an assistant reads before it answers: the conversation and the symbol that gives it the word."""
        return [*self.encode(messages).tokens, self.roles["assistant"]]

    def answer(self, message: Message) -> list[int]:
        """What `prompt` must be followed by for the assistant to have said this: its turn and the turn's end."""
        return [*self._body(message), self.end]

    def parse(self, tokens: Sequence[int]) -> Message:
        """The turn that an assistant wrote behind `prompt`, up to a stop or as far as it goes.

        Calls are split at the first space or line break into the tool's name and its input; one without a name is
        kept as a call to "?", which no tool answers to. Bytes that are no UTF-8 become U+FFFD.
        """
        parts: list[list[int]] = [[]]
        for token in tokens:
            if token in self.stops:
                break
            if token == self.call:
                parts.append([])
            else:
                parts[-1].append(token)
        texts = [self.tokenizer.decode(part) for part in parts]
        return Message("assistant", texts[0], tuple(_call(text) for text in texts[1:]))

    def _body(self, message: Message) -> Iterator[int]:
        yield from self.tokenizer.encode(message.content)
        for call in message.calls:
            yield self.call
            yield from self.tokenizer.encode(f"{call.tool} {call.input}")


def read_template(vocabulary: Path) -> Template:
    """By a tokenizer.model. Raises ValueError that names the file."""
    try:
        return Template(Tokenizer(vocabulary.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{vocabulary}: {error}") from None


def role_symbol(role: str) -> str:
    return f"<|{role}|>"


def _call(text: str) -> Call:
    name, *rest = re.split(r"\s", text.lstrip(), maxsplit=1)
    return Call(name or "?", rest[0] if rest else "")


def to_json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as the JSON that `records` reads: role, content, and an assistant's tool_calls in OpenAI's form.

    An assistant's turn that is no example has `"train": false`.
    """
    return [_as_dict(message) for message in messages]


def _as_dict(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        calls: list[Mapping[str, Any]] = [
            {"type": "function", "function": {"name": call.tool, "arguments": call.input}} for call in message.calls
        ]
        fields["tool_calls"] = calls
    if message.role == "assistant" and not message.trained:
        fields["train"] = False
    return fields
