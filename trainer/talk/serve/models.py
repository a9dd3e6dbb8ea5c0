"""The models of a server by their names, and how much of an answer each request may have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.talk.serve.answers import Writer
from trainer.talk.serve.errors import ApiError
from trainer.talk.turn import Limits


@dataclass(frozen=True)
class Models:
    """The first of `writers` is the default; an answer has at most `max_tokens`, which is also what it gets unasked."""

    writers: Mapping[str, Writer]
    max_tokens: int

    def find(self, name: str | None) -> Writer:
        """By its name or its checkpoint's id."""
        if name is None:
            return next(iter(self.writers.values()))
        for known, writer in self.writers.items():
            if name in (known, writer.worker.about.id):
                return writer
        raise ApiError(404, f'no model "{name[:100]}" here; there is {", ".join(self.writers)}.', "model_not_found")

    def limits(self, max_tokens: int | None, stops: Sequence[str] = ()) -> Limits:
        return Limits(min(max_tokens or self.max_tokens, self.max_tokens), tuple(stops))

    def checkpoint(self, name: str | None) -> str:
        """The id of the model of that name."""
        return self.find(name).worker.about.id

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
