"""The models of a server by their names, which of them answers what, and how much of an answer a request may have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.talk.conversation import Message
from trainer.talk.serve.answers import Writer
from trainer.talk.serve.errors import ApiError
from trainer.talk.serve.share import falls, opening
from trainer.talk.turn import Limits


@dataclass
class Models:
    """The first of `writers` is the default; an answer has at most `max_tokens`, which is also what it gets unasked."""

    writers: Mapping[str, Writer]
    max_tokens: int
    left: dict[str, str] = field(default_factory=dict)
    """Checkpoints by the names of models that were replaced: an open page goes on asking for them, and is answered by
    the model that came after; but a report that names one is about that one."""
    canary: Writer | None = None
    """Answers a share of the conversations that the first of `writers` is asked for."""
    share: float = 0.0

    @property
    def all(self) -> tuple[Writer, ...]:
        """Those that answer, the canary last."""
        return (*self.writers.values(), *(() if self.canary is None else (self.canary,)))

    def replace(self, old: str, new: Writer) -> None:
        """Puts a model in the place of the one called `old`, for requests from now on."""
        before = self.writers[old].worker.about.id
        self.left |= {old: before, before: before}
        self.writers = {
            (new.worker.name if name == old else name): (new if name == old else writer)
            for name, writer in self.writers.items()
        }

    def try_out(self, canary: Writer | None, share: float = 0.0) -> None:
        """Gives a share of the conversations to a canary from now on, or to none."""
        if self.canary is not None and (canary is None or canary.worker is not self.canary.worker):
            about = self.canary.worker.about
            self.left |= {self.canary.worker.name: about.id, about.id: about.id}
        self.canary, self.share = canary, share

    def choose(self, name: str | None, messages: Sequence[Message]) -> Writer:
        """Who answers a conversation: the canary, if it has drawn this one and still writes, else the model asked for.

        Who asks for a checkpoint by its full id gets this and no other.
        """
        found, canary = self.find(name), self.canary
        if canary is None or canary.worker.failed or found is not self.find(None) or name == found.worker.about.id:
            return found
        began = opening((message.role, message.content) for message in messages)
        return canary if falls(began, canary.worker.about.id, self.share) else found

    def find(self, name: str | None) -> Writer:
        """By its name, its checkpoint's id, or the name of the folder that was given, where only one has it."""
        if name is None:
            return next(iter(self.writers.values()))
        for known, writer in self.writers.items():
            if name in (known, writer.worker.about.id):
                return writer
        if self.canary is not None and name in (self.canary.worker.name, self.canary.worker.about.id):
            return self.canary
        given = [writer for writer in self.writers.values() if writer.worker.given == name]
        if len(given) == 1:
            return given[0]
        if name in self.left:
            return self.find(None)
        there = ", ".join(f"{known} (or {writer.worker.given})" for known, writer in self.writers.items())
        raise ApiError(
            404, f'no model "{name[:100]}" here; there is {there}. Without "model" the first one answers.',
            "model_not_found",
        )  # fmt: skip

    def limits(self, max_tokens: int | None, stops: Sequence[str] = ()) -> Limits:
        return Limits(min(max_tokens or self.max_tokens, self.max_tokens), tuple(stops))

    def checkpoint(self, name: str | None, messages: Sequence[Message] = ()) -> str:
        """The id of the checkpoint that answers a conversation under that name, or did while it was here."""
        worker = self.find(name).worker
        if name is not None and name not in (worker.name, worker.about.id, worker.given):
            return self.left.get(name, worker.about.id)
        return self.choose(name, messages).worker.about.id

    def about(self) -> list[dict[str, Any]]:
        """What /v1/models says of each; with a canary, also which share of the conversations each answers."""
        if self.canary is None:
            return [_about(writer) for writer in self.writers.values()]
        return [_about(writer) | {"share": share} for writer, share in self.shares]

    @property
    def shares(self) -> list[tuple[Writer, float]]:
        """Who answers which share of the conversations that ask for no other model."""
        first, *others = self.writers.values()
        own = [(first, 1 - self.share), *((other, 0.0) for other in others)]
        return own if self.canary is None else [*own, (self.canary, self.share)]


def _about(writer: Writer) -> dict[str, Any]:
    about = writer.worker.about
    return {
        "id": writer.worker.name,
        "object": "model",
        "created": 0,
        "owned_by": "corpuscle",
        "checkpoint": about.id,
        "stage": about.stage,
        "step": about.step,
    }
