"""A server that changes its models while it answers: requests in hand are finished by the model that they began with.

A new model is read beside those that answer and takes over in one assignment; one that is left is stopped when the last
request that began before has ended: NGINX's reload, within one process. For that while all are in memory. A canary
comes and goes in the same way; one that is promoted is in memory already.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from trainer.pointer import Canary, read_pointer
from trainer.talk.serve.worker import Worker

LOOK_SECONDS = 1.0
"""How often the pointer is looked at."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answering:
    """Who answers: one worker, or it and the canary, which has a share of the conversations."""

    worker: Worker
    canary: Worker | None = None
    share: float = 0.0

    @property
    def workers(self) -> tuple[Worker, ...]:
        return (self.worker,) if self.canary is None else (self.worker, self.canary)

    @property
    def ids(self) -> tuple[str, str | None, float]:
        return self.worker.about.id, None if self.canary is None else self.canary.about.id, self.share


@dataclass
class Generation:
    """The requests that began while the same workers answered."""

    answering: Answering
    requests: int = 0


@dataclass
class Follower:
    """Follows a pointer (`trainer.pointer`). `load` makes a worker of a checkpoint's folder; `take_over` makes those
    who answer the ones that new requests find. Both methods run on the event loop alone.
    """

    pointer: Path
    worker: Worker
    load: Callable[[Path], Worker]
    take_over: Callable[[Answering], None]
    failure: str = ""
    """Why the last look changed nothing, or less than it should have; the models before go on answering."""
    _said: str = ""
    _leaving: list[Generation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._now = Generation(Answering(self.worker))

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> bool:
        """Changes the models if the pointer names others. True if it did."""
        try:
            found = await asyncio.to_thread(read_pointer, self.pointer)
            canary = None if found.canary is None or found.canary.id == found.id else found.canary
            wanted = (found.id, None, 0.0) if canary is None else (found.id, canary.id, canary.share)
            if self._now.answering.ids == wanted:
                self.failure = self._said = ""
                return False
            worker = await self._worker(found.id, found.folder)
        except Exception as error:  # whatever is wrong with the new one, people go on talking to the old
            self._failed(error)
            return False
        answering, failure = Answering(worker), None
        if canary is not None:
            try:
                answering = Answering(worker, await self._canary(canary), canary.share)
            except Exception as error:  # without the canary, the other one answers all
                failure = error
        if failure is None:
            self.failure = self._said = ""
        else:
            self._failed(failure)
        if answering.ids == self._now.answering.ids:
            return False
        old, self._now = self._now, Generation(answering)
        self._leaving.append(old)
        self.take_over(answering)
        self._let_go()
        beside = "" if answering.canary is None else f", and {answering.canary.name} {answering.share:.0%} of it"
        _log.info("%s answers now%s; what has begun is finished by who began it", worker.name, beside)
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
                self._let_go()

        return counted

    def stop(self) -> None:
        """Ends what the workers write that were left; those that answer now are the server's to stop."""
        for generation in self._leaving:
            for worker in generation.answering.workers:
                if worker not in self._now.answering.workers:
                    worker.stop()

    async def _worker(self, id: str, folder: Path) -> Worker:
        """The one that answers already with this checkpoint, or a new one."""
        for worker in self._now.answering.workers:
            if worker.about.id == id:
                return worker
        return await asyncio.to_thread(self.load, folder)

    async def _canary(self, canary: Canary) -> Worker:
        worker = await self._worker(canary.id, canary.folder)
        if worker.about.id != canary.id:
            worker.stop()
            raise ValueError(f"{canary.folder} holds {worker.about.id[:12]}, not the canary {canary.id[:12]}")
        return worker

    def _failed(self, error: Exception) -> None:
        self.failure = str(error) or type(error).__name__
        if self.failure != self._said:
            _log.warning("%s: not followed to its end: %s", self.pointer, self.failure)
            self._said = self.failure

    def _let_go(self) -> None:
        """Stops the workers that no request and no later generation needs."""
        gone = [generation for generation in self._leaving if not generation.requests]
        if not gone:
            return
        self._leaving = [generation for generation in self._leaving if generation.requests]
        needed = [*self._now.answering.workers, *(one for left in self._leaving for one in left.answering.workers)]
        for worker in {one for generation in gone for one in generation.answering.workers}:
            if worker not in needed:
                worker.stop()
