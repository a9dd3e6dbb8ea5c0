"""One thread that owns a model and writes for everyone; requests reach it from the server's event loop."""

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from trainer.checkpoint import About, load
from trainer.engine import Engine, Request, Written
from trainer.talk.conversation import read_template

_log = logging.getLogger(__name__)


class BusyError(RuntimeError):
    """As many requests are running and waiting as may."""


class StoppedError(RuntimeError):
    """Writing has ended without an answer: the server stops, or something failed."""


FAILURES = 3
"""After so many failed steps in a row a worker gives up; one may be the fault of a single request, or of memory."""


@dataclass(frozen=True)
class _Job:
    request: Request
    loop: asyncio.AbstractEventLoop
    events: "asyncio.Queue[Written | Exception]"


class Worker:
    """A model that is being served. `rows` requests are written at a time, `waiting` more may queue.

    `given` is what a client may call it besides its name; by default the name of the folder.
    """

    def __init__(
        self, path: Path, device: str = "cpu", rows: int = 32, waiting: int = 256, given: str | None = None
    ) -> None:
        loaded = load(path, device=device)
        self.about: About = loaded.about
        self.folder = loaded.folder
        self.given = given or path.resolve().name
        """The name of the folder that was given: `assistant`, whatever the checkpoint in it is called."""
        self.template = read_template(loaded.vocabulary)
        self.tokenizer = self.template.tokenizer
        self.context = loaded.about.model.max_seq_len
        self.most = rows + waiting
        self.rows = rows
        self.active = 0
        """Requests that run or wait. Changed on the event loop alone."""
        self._model = loaded.model
        self._engine = Engine(loaded.model, rows)
        self._inbox: queue.SimpleQueue[_Job | asyncio.Queue[Written | Exception] | None] = queue.SimpleQueue()
        self._jobs: dict[int, _Job] = {}
        self._lock = threading.Lock()
        """Between the last look into the inbox and what is put there: nobody may wait for an answer for ever."""
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """What a client calls the model: its stage and the beginning of its id."""
        return f"{self.about.stage}-{self.about.id[:12]}"

    async def write(self, request: Request) -> AsyncGenerator[Written, None]:
        """The tokens of a request as they are written. Leaving the loop early cancels the request.

        Raises BusyError where there is no room for it, and StoppedError where the worker has stopped.
        """
        self.check_room(1)
        events: asyncio.Queue[Written | Exception] = asyncio.Queue()
        with self._lock:
            if self._failure is not None:
                raise StoppedError(str(self._failure))
            self._inbox.put(_Job(request, asyncio.get_running_loop(), events))
        self.active += 1
        ended = False
        try:
            while not ended:
                event = await events.get()
                if isinstance(event, Exception):
                    ended = True
                    raise event
                ended = event.finish is not None
                yield event
        finally:
            self.active -= 1
            if not ended:
                self._inbox.put(events)

    @property
    def failed(self) -> bool:
        return self._failure is not None

    def check_room(self, requests: int) -> None:
        """Raises BusyError where so many more requests have no room, and StoppedError where nothing is written."""
        if self._failure is not None:
            raise StoppedError(str(self._failure))
        if self.active + requests > self.most:
            raise BusyError(
                f"{self.active} requests are running or waiting, and {self.most} may; try again, or ask for less."
            )

    def stop(self) -> None:
        """Ends everything that is being written; returns at once."""
        self._inbox.put(None)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        while self._receive():
            try:
                self._deliver(self._engine.step())
                failures = 0
            except Exception as error:  # whatever it was: nobody may wait for an answer that will not come
                _log.exception("writing failed")
                failures += 1
                reason = f"writing failed ({type(error).__name__}: {error})"
                if failures == FAILURES:
                    self._end(StoppedError(f"{reason}; restart the server."))
                    return
                for job in self._jobs.values():
                    _post(job, [StoppedError(f"{reason}; try again.")])
                self._jobs.clear()
                self._engine = Engine(self._model, self.rows)
        self._end(StoppedError("the server is stopping."))

    def _receive(self) -> bool:
        """Takes what has arrived; waits where there is nothing else to do. False at the end."""
        while True:
            try:
                item = self._inbox.get(block=not self._engine.busy)
            except queue.Empty:
                return True
            if item is None:
                return False
            if isinstance(item, _Job):
                try:
                    self._jobs[self._engine.add(item.request)] = item
                except ValueError as error:
                    _post(item, [error])
            else:
                for number in [number for number, job in self._jobs.items() if job.events is item]:
                    self._engine.cancel(number)
                    del self._jobs[number]

    def _deliver(self, written: list[Written]) -> None:
        """Wakes each event loop once a step, not once a token: 200 streams are 200 wake-ups otherwise."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, Written]]] = {}
        for event in written:
            job = self._jobs.pop(event.request) if event.finish else self._jobs[event.request]
            by_loop.setdefault(job.loop, []).append((job, event))
        for loop, events in by_loop.items():
            _call(loop, [(job.events, event) for job, event in events])

    def _end(self, error: Exception) -> None:
        """Tells everyone; who comes later is told by `write`."""
        with self._lock:
            self._failure = error
            for job in self._jobs.values():
                _post(job, [error])
            while not self._inbox.empty():
                item = self._inbox.get()
                if isinstance(item, _Job):
                    _post(item, [error])


def _post(job: _Job, events: list[Written | Exception]) -> None:
    _call(job.loop, [(job.events, event) for event in events])


def _call(
    loop: asyncio.AbstractEventLoop, events: "list[tuple[asyncio.Queue[Written | Exception], Written | Exception]]"
) -> None:
    def put() -> None:
        for target, event in events:
            target.put_nowait(event)

    if not loop.is_closed():
        loop.call_soon_threadsafe(put)
