"""A server that changes its models while it answers: requests in hand are finished by the model that they began with.

A new model is read beside those that answer and takes over in one assignment; one that is left is stopped when the last
request that began before has ended: NGINX's reload, within one process. For that while all are in memory. A canary
comes and goes in the same way; one that is promoted is in memory already.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from trainer.pointer import Canary, Pointer, read_pointer
from trainer.talk.serve.worker import Worker

LOOK_SECONDS = 1.0
"""How often the pointer is looked at."""

LONGEST_SECONDS = 300.0
"""The longest wait before what could not be loaded is tried again. It begins with LOOK_SECONDS and doubles: a model
that does not fit would take the memory of those that answer every second."""

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


@dataclass(frozen=True)
class _Attempt:
    """What could not be loaded, and when it is tried again."""

    found: Pointer
    written: int
    """When the file was written, in nanoseconds: whoever writes the same again wants it tried at once."""
    wait: float
    due: float


@dataclass
class Follower:
    """Follows a pointer (`trainer.pointer`). `load` makes a worker of a checkpoint's folder; `take_over` makes those
    who answer the ones that new requests find. Both methods run on the event loop alone.
    """

    pointer: Path
    worker: Worker
    load: Callable[[Path], Worker]
    take_over: Callable[[Answering], None]
    clock: Callable[[], float] = time.monotonic
    failure: str = ""
    """Why the last look changed nothing, or less than it should have; the models before go on answering."""
    _said: str = ""
    _leaving: list[Generation] = field(default_factory=list)
    """The oldest first."""
    _attempt: _Attempt | None = None

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
            found, written = await asyncio.to_thread(_read, self.pointer)
        except Exception as error:
            self._failed(error)
            return False
        canary = None if found.canary is None or found.canary.id == found.id else found.canary
        wanted = (found.id, None, 0.0) if canary is None else (found.id, canary.id, canary.share)
        if self._now.answering.ids == wanted:
            self._succeeded()
            return False
        if self._waits(found, written):
            return False
        try:
            worker = await self._worker(found.id, found.folder)
        except Exception as error:  # whatever is wrong with the new one, people go on talking to the old
            self._failed(error)
            self._put_off(found, written)
            return False
        answering, failure = Answering(worker), None
        if canary is not None:
            try:
                answering = Answering(worker, await self._canary(canary), canary.share)
            except Exception as error:  # without the canary, the other one answers all
                failure = error
        if failure is None:
            self._succeeded()
        else:
            self._failed(failure)
            self._put_off(found, written)
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

    def _succeeded(self) -> None:
        self.failure, self._said, self._attempt = "", "", None

    def _waits(self, found: Pointer, written: int) -> bool:
        """Whether it is too early to try what could not be loaded; never for a file that was written since."""
        if self._attempt is not None and (self._attempt.found, self._attempt.written) != (found, written):
            self._attempt = None
        return self._attempt is not None and self.clock() < self._attempt.due

    def _put_off(self, found: Pointer, written: int) -> None:
        """The same is tried again after twice the time."""
        wait = LOOK_SECONDS if self._attempt is None else min(2 * self._attempt.wait, LONGEST_SECONDS)
        self._attempt = _Attempt(found, written, wait, self.clock() + wait)

    def _failed(self, error: Exception) -> None:
        self.failure = str(error) or type(error).__name__
        if self.failure != self._said:
            _log.warning("%s: not followed to its end: %s", self.pointer, self.failure)
            self._said = self.failure

    def _let_go(self) -> None:
        """Stops the workers that no request needs, and no later generation.

        A request asks for its model some time after it began, and gets one of a later generation where the models have
        changed meanwhile: so a generation stays until all requests that began before its end have ended.
        """
        gone = list(itertools.takewhile(lambda generation: not generation.requests, self._leaving))
        if not gone:
            return
        self._leaving = self._leaving[len(gone) :]
        needed = [*self._now.answering.workers, *(one for left in self._leaving for one in left.answering.workers)]
        for worker in {one for generation in gone for one in generation.answering.workers}:
            if worker not in needed:
                worker.stop()


def _read(file: Path) -> tuple[Pointer, int]:
    """The pointer, and when it was written, in nanoseconds."""
    return read_pointer(file), file.stat().st_mtime_ns
