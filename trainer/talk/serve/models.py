"""The models of a server by their names, and how much of an answer each request may have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.talk.serve.answers import Writer
from trainer.talk.serve.errors import ApiError
from trainer.talk.turn import Limits


@dataclass
class Models:
    """The first of `writers` is the default; an answer has at most `max_tokens`, which is also what it gets unasked."""

    writers: Mapping[str, Writer]
    max_tokens: int
    left: dict[str, str] = field(default_factory=dict)
    """Checkpoints by the names of models that were replaced: an open page goes on asking for them, and is answered by
    the model that came after; but a report that names one is about that one."""

    def replace(self, old: str, new: Writer) -> None:
        """Puts a model in the place of the one called `old`, for requests from now on."""
        before = self.writers[old].worker.about.id
        self.left |= {old: before, before: before}
        self.writers = {
            (new.worker.name if name == old else name): (new if name == old else writer)
            for name, writer in self.writers.items()
        }

    def find(self, name: str | None) -> Writer:
        """By its name, its checkpoint's id, or the name of the folder that was given, where only one has it."""
        if name is None:
            return next(iter(self.writers.values()))
        for known, writer in self.writers.items():
            if name in (known, writer.worker.about.id):
                return writer
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

    def checkpoint(self, name: str | None) -> str:
        """The id of the model of that name."""
        worker = self.find(name).worker
        replaced = name is not None and name not in (worker.name, worker.about.id, worker.given)
        return self.left.get(name or "", worker.about.id) if replaced else worker.about.id

    def about(self) -> list[dict[str, Any]]:
        """What /v1/models says of each."""
        return [_about(writer) for writer in self.writers.values()]


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
