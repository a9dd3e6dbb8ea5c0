"""One turn of an assistant, step by step: it writes, asks tools, reads what they return, and writes on.

The turn does nothing itself: it says what is to be written next, is fed the tokens as they come, and says when tools
are to be run. So the terminal (which waits) and the server (which does not) share it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.engine import Request, Written
from trainer.sample import Decoder
from trainer.sampling import Sampling
from trainer.talk.conversation import Call, Message, Template

ROUNDS = 4
"""How often a turn may ask tools before its text must do: a model in a loop would ask for ever."""


class TooLongError(ValueError):
    """The conversation leaves no room in the model's context."""


@dataclass(frozen=True)
class Limits:
    """How far a turn may go. `stop`: texts before which the answer ends."""

    max_tokens: int
    stop: tuple[str, ...] = ()
    rounds: int = ROUNDS


@dataclass
class Turn:
    """Use: while `request()` is not None, write it; `feed` each token; if `calls` then, give `results`."""

    template: Template
    messages: list[Message]
    sampling: Sampling
    limits: Limits
    context: int
    tools: bool = False
    """Whether calls are answered; without tools a turn with a call just ends."""
    stream: int = 0
    finish: str | None = None
    """Why it is over: "stop", "length" or "tool_calls"; None while it is not."""
    prompt_tokens: int = 0
    written: int = 0
    calls: tuple[Call, ...] = ()
    said: list[Message] = field(default_factory=list)
    """The messages of this turn: the assistant's, and the tools' results between them."""

    def __post_init__(self) -> None:
        self._rounds = 0
        self._prompt = self._checked_prompt()
        self.prompt_tokens = len(self._prompt)

    def request(self) -> Request:
        """What is to be written next."""
        room = self.context - len(self._prompt)
        self._tokens: list[int] = []
        self._text = StopText(Decoder(self.template.tokenizer), self.limits.stop)
        self._calling = False
        most = min(self.limits.max_tokens - self.written, room)
        return Request(self._prompt, most, self.sampling, self.template.stops, self.stream + self._rounds)

    def feed(self, event: Written) -> str:
        """Takes a token; returns the text that can be shown now. After the last one `finish` or `calls` is set.

        `finish` may be set before the request has ended: at a stop text. The request is to be cancelled then.
        """
        self.written += 1
        self._tokens.append(event.token)
        self._calling |= event.token == self.template.call
        shown = "" if self._calling or event.finish == "stop" else self._text.add(event.token)
        if self._text.stopped:
            self._end("stop", self._text.shown)
        elif event.finish:
            shown += self._text.finish()
            message = self.template.parse(self._tokens)
            if not message.calls or event.finish != "stop":  # a call that was cut short is none
                self._end(event.finish, self._text.shown)
            elif self.tools and self._rounds < self.limits.rounds:
                self.calls = message.calls
                self.said.append(Message("assistant", self._text.shown, message.calls))
            else:
                self._end("tool_calls", self._text.shown, message.calls)
        return shown

    def results(self, results: Sequence[str]) -> None:
        """What the tools returned, one text a call; the turn is written on behind them, or ends for want of room."""
        self.said += [Message("tool", text) for text in results]
        self.calls = ()
        self._rounds += 1
        try:
            self._prompt = self._checked_prompt()
        except TooLongError:
            self.finish = "length"
        if self.written >= self.limits.max_tokens:
            self.finish = "length"

    def interrupt(self) -> None:
        """Ends the turn where it is; what has been written stays said."""
        if self.calls:  # they were never answered
            last = self.said.pop()
            self.calls = ()
            self._end("length", last.content)
        else:
            self._end("length", self._text.shown)

    @property
    def text(self) -> str:
        """All that the assistant has said in this turn."""
        return "".join(message.content for message in self.said if message.role == "assistant")

    def _end(self, finish: str, text: str, calls: tuple[Call, ...] = ()) -> None:
        self.finish = finish
        self.said.append(Message("assistant", text, calls))

    def _checked_prompt(self) -> list[int]:
        prompt = self.template.prompt([*self.messages, *self.said])
        if len(prompt) >= self.context:
            raise TooLongError(
                f"the conversation has {len(prompt):,} tokens, and the model's context is {self.context:,}: "
                f"there is no room for an answer. Shorten it."
            )
        return prompt


class StopText:
    """Decodes tokens and holds back what may be the beginning of a stop text."""

    def __init__(self, decoder: Decoder, stop: Sequence[str]) -> None:
        self.decoder, self.stop = decoder, [text for text in stop if text]
        self.shown = self._held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        return self._release(self.decoder.add(token), final=False)

    def finish(self) -> str:
        return "" if self.stopped else self._release(self.decoder.finish(), final=True)

    def _release(self, text: str, final: bool) -> str:
        self._held += text
        found = [place for place in (self._held.find(stop) for stop in self.stop) if place >= 0]
        if found:
            self.stopped, keep = True, min(found)
        elif final:
            keep = len(self._held)
        else:
            held = max((_overlap(self._held, stop) for stop in self.stop), default=0)
            keep = len(self._held) - held
        ready, self._held = self._held[:keep], self._held[keep:]
        self.shown += ready
        return ready


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` may be the beginning of `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
