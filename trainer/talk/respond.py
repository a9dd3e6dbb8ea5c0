"""A model's answers to many prompts at once, many to each, with tools where it may use them.

All conversations share one engine: while one waits for its tools the others are written on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trainer.data import key
from trainer.engine import Engine
from trainer.model import Llama
from trainer.sampling import Sampling
from trainer.talk.conversation import Call, Message, Template
from trainer.talk.turn import Limits, TooLongError, Turn


class Outcome(Protocol):
    """What a tool gives: `trainer.talk.tools.tool.Result` is one."""

    @property
    def text(self) -> str: ...


class Runner(Protocol):
    """What runs calls: `trainer.talk.tools.toolbox.Toolbox` is one."""

    def run(self, call: Call) -> Outcome: ...


@dataclass(frozen=True)
class Answer:
    """What a model said to a prompt."""

    messages: tuple[Message, ...]
    """All that follows the prompt: its turns, and the results of its calls."""
    tokens: int
    """How many it wrote, the turns' ends included; what tools gave is not counted."""
    logprob: float
    """Mean over these tokens, in nats, by the model itself (temperature 1)."""
    finished: bool
    """Whether it came to its end within the tokens, tool rounds and context that it had."""

    @property
    def text(self) -> str:
        """The last turn's; empty where a tool had the last word."""
        last = self.messages[-1]
        return last.content if last.role == "assistant" else ""


UNANSWERED = Answer((Message("assistant", ""),), 0, 0.0, False)
"""To a prompt that fills the context."""


def answers(
    model: Llama,
    template: Template,
    prompts: Sequence[Sequence[Message]],
    sampling: Sampling,
    samples: int = 1,
    max_tokens: int = 256,
    rows: int = 64,
    toolbox: Runner | None = None,
    each: Callable[[], None] | None = None,
) -> list[list[Answer]]:
    """`samples` answers to each prompt, up to `rows` of them written at a time; `max_tokens` is for a whole answer.

    With a toolbox, a turn that ends in calls gets their results and is gone on from, up to `turn.ROUNDS` times.
    Sample s of a prompt is the same however many there are. `each` is called whenever an answer is done.
    """
    engine = Engine(model, rows)
    waiting: dict[int, tuple[int, int, Turn]] = {}
    logprobs: dict[tuple[int, int], float] = {}
    done = [[UNANSWERED] * samples for _ in prompts]
    for prompt, messages in enumerate(prompts):
        for sample in range(samples):
            stream = key(prompt, sample) >> 1  # each round of tools has the next one
            limits = Limits(max_tokens)
            try:
                turn = Turn(
                    template, list(messages), sampling, limits, engine.context, toolbox is not None, stream=stream
                )
            except TooLongError:
                continue
            waiting[engine.add(turn.request())] = prompt, sample, turn
    for step in engine.run():
        for event in step:
            prompt, sample, turn = waiting[event.request]
            turn.feed(event)
            logprobs[prompt, sample] = logprobs.get((prompt, sample), 0.0) + event.logprob
            if not event.finish:
                continue
            del waiting[event.request]
            if turn.calls and toolbox is not None:
                turn.results([toolbox.run(call).text for call in turn.calls])
            if turn.finish is None:
                waiting[engine.add(turn.request())] = prompt, sample, turn
                continue
            logprob = logprobs.pop((prompt, sample)) / turn.written
            done[prompt][sample] = Answer(tuple(turn.said), turn.written, logprob, turn.finish == "stop")
            if each is not None:
                each()
    return done
