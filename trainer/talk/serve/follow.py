"""A server that changes its model while it answers: requests in hand are finished by the model that they began with.

The new model is read beside the old one, takes over in one assignment, and the old one is stopped when the last request
that began before has ended: NGINX's reload, within one process. For that while both are in memory.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from trainer.pointer import read_pointer
from trainer.talk.serve.worker import Worker

LOOK_SECONDS = 1.0
"""How often the pointer is looked at."""

_log = logging.getLogger(__name__)


@dataclass
class Generation:
    """The requests that began while one worker was the newest."""

    worker: Worker
    requests: int = 0


@dataclass
class Follower:
    """Follows a pointer (`trainer.pointer`). `load` makes a worker of a checkpoint's folder; `take_over(old, new)`
    makes it the one that new requests find. Both methods run on the event loop alone.
    """

    pointer: Path
    worker: Worker
    load: Callable[[Path], Worker]
    take_over: Callable[[Worker, Worker], None]
    failure: str = ""
    """Why the last look changed nothing though it should have; the model before goes on answering."""
    _said: str = ""
    _leaving: list[Generation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._now = Generation(self.worker)

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> bool:
        """Changes the model if the pointer names another checkpoint. True if it did."""
        try:
            found = await asyncio.to_thread(read_pointer, self.pointer)
            if found.id == self._now.worker.about.id:
                self.failure = ""
                return False
            new = await asyncio.to_thread(self.load, found.folder)
        except Exception as error:  # whatever is wrong with the new one, people go on talking to the old
            self.failure = str(error) or type(error).__name__
            if self.failure != self._said:
                _log.warning("%s: the model stays as it is: %s", self.pointer, self.failure)
                self._said = self.failure
            return False
        self.failure = self._said = ""
        old, self._now = self._now, Generation(new)
        self._leaving.append(old)
        self.take_over(old.worker, new)
        self._let_go(old)
        _log.info("%s answers now; %s finishes what it began", new.name, old.worker.name)
        return True

    def around(self, app: ASGIApp) -> ASGIApp:
        """The ASGI application, with each request counted from before it asks for a model until its last byte is sent.

        Counting what a worker writes would not do: between two rounds of tools, and before a stream begins, it writes
        nothing for a request that still needs it.
        """

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            own = self._now
            own.requests += 1
            try:
                await app(scope, receive, send)
            finally:
                own.requests -= 1
                self._let_go(own)

        return counted

    def stop(self) -> None:
        """Ends what the workers write that were left; the newest one is the server's to stop."""
        for generation in self._leaving:
            generation.worker.stop()

    def _let_go(self, generation: Generation) -> None:
        if generation in self._leaving and not generation.requests:
            self._leaving.remove(generation)
            generation.worker.stop()
