"""Two checkpoints answer without their names; who asked says which is better, and only then is told."""

import secrets
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.sampling import Sampling
from trainer.talk.conversation import Message
from trainer.talk.serve.answers import Writer
from trainer.talk.turn import Limits

REMEMBERED = 1000
"""Matches that wait for a choice; the oldest are forgotten first."""


@dataclass(frozen=True)
class Match:
    """Two finished answers. The server keeps them, so a client can choose between them but not write them."""

    id: str
    messages: Sequence[Message]
    said: tuple[tuple[Message, ...], tuple[Message, ...]]
    """What each answered, its tool calls and their results among it."""
    checkpoints: tuple[str, str]
    names: tuple[str, str]
    sampling: Sampling
    limits: Limits


@dataclass
class Arena:
    """The matches of one server."""

    matches: "OrderedDict[str, Match]" = field(default_factory=OrderedDict)

    @staticmethod
    def draw(writers: Sequence[Writer]) -> list[Writer]:
        """Two different ones, either of them on the left as often as on the right."""
        return secrets.SystemRandom().sample(list(writers), 2)

    def finish(
        self,
        messages: Sequence[Message],
        said: Sequence[Sequence[Message]],
        checkpoints: Sequence[str],
        names: Sequence[str],
        sampling: Sampling,
        limits: Limits,
    ) -> str:
        match = Match(
            str(uuid.uuid4()),
            tuple(messages),
            (tuple(said[0]), tuple(said[1])),
            (checkpoints[0], checkpoints[1]),
            (names[0], names[1]),
            sampling,
            limits,
        )
        self.matches[match.id] = match
        while len(self.matches) > REMEMBERED:
            self.matches.popitem(last=False)
        return match.id

    def find(self, id: str) -> Match | None:
        return self.matches.get(id)
