"""One thread that owns a model and writes for everyone; requests reach it from the server's event loop."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from pipeline.tokenize.encode import Tokenizer
from trainer.checkpoint import About, load
from trainer.conversation import Template
from trainer.engine import Engine, Request, Written


class BusyError(RuntimeError):
    """As many requests are running and waiting as may."""


class StoppedError(RuntimeError):
    """The worker has stopped, because the server does or because writing failed."""


@dataclass(frozen=True)
class _Job:
    request: Request
    loop: asyncio.AbstractEventLoop
    events: "asyncio.Queue[Written | Exception]"


class Worker:
    """A model that is being served. `rows` requests are written at a time, `waiting` more may queue."""

    def __init__(self, path: Path, device: str = "cpu", rows: int = 32, waiting: int = 256) -> None:
        loaded = load(path, device=device)
        self.about: About = loaded.about
        self.folder = loaded.folder
        self.tokenizer = Tokenizer(loaded.vocabulary.read_bytes())
        self.template = Template(self.tokenizer)
        self.context = loaded.about.model.max_seq_len
        self.most = rows + waiting
        self.rows = rows
        self.active = 0
        """Requests that run or wait. Changed on the event loop alone."""
        self._engine = Engine(loaded.model, rows)
        self._inbox: queue.SimpleQueue[_Job | asyncio.Queue[Written | Exception] | None] = queue.SimpleQueue()
        self._jobs: dict[int, _Job] = {}
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
        if self._failure is not None:
            raise StoppedError(str(self._failure))
        if self.active >= self.most:
            raise BusyError(f"{self.active} requests are running or waiting, which is the most; try again soon.")
        events: asyncio.Queue[Written | Exception] = asyncio.Queue()
        self.active += 1
        self._inbox.put(_Job(request, asyncio.get_running_loop(), events))
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

    def stop(self) -> None:
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._receive():
                self._deliver(self._engine.step())
            self._fail(StoppedError("the server is stopping."))
        except Exception as error:  # whatever it was: nobody may wait for an answer that will not come
            self._fail(StoppedError(f"writing failed ({type(error).__name__}: {error}); restart the server."))
            raise

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

    def _fail(self, error: Exception) -> None:
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
