"""Requests -> streams of text: turns are written by a worker, their tool calls are run in threads."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trainer.talk.conversation import Call
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.worker import Worker
from trainer.talk.tools.toolbox import Toolbox
from trainer.talk.turn import Turn

TOOL_SECONDS = 20.0
"""A tool has limits of its own; what passes this one has none, or broke them."""

CALLS_A_ROUND = 8
"""A turn of 512 tokens could ask hundreds of times."""

CALLS_AT_ONCE = 8
"""Of the whole server."""


@dataclass(frozen=True)
class ToolUse:
    """A call that has been answered, for the page to show."""

    call: Call
    text: str
    error: bool
    png: bytes | None = None
    sources: Sequence[Any] = ()


@dataclass(frozen=True)
class Piece:
    """The next piece of an answer: text, or a tool that was used."""

    text: str = ""
    tool: ToolUse | None = None


@dataclass
class Writer:
    """Writes turns with one worker. `toolbox`: without one no call is answered."""

    worker: Worker
    metrics: Metrics
    toolbox: Toolbox | None = None
    running: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLS_AT_ONCE))

    async def write(self, turn: Turn) -> AsyncGenerator[Piece, None]:
        """The pieces of a turn; leaving early cancels it. `turn.finish` is set at the end."""
        name, start, first = self.worker.name, time.monotonic(), True
        self.metrics.tokens.labels(name, "prompt").inc(turn.prompt_tokens)
        try:
            while turn.finish is None:
                async with aclosing(self.worker.write(turn.request())) as events:
                    async for event in events:
                        if first:
                            self.metrics.first_token.observe(time.monotonic() - start)
                            first = False
                        if text := turn.feed(event):
                            yield Piece(text)
                        if turn.finish:
                            break
                if turn.calls:
                    uses = await asyncio.gather(*(self._use(*numbered) for numbered in enumerate(turn.calls)))
                    for use in uses:
                        yield Piece(tool=use)
                    turn.results([use.text for use in uses])
        finally:
            self.metrics.tokens.labels(name, "completion").inc(turn.written)

    async def _use(self, number: int, call: Call) -> ToolUse:
        assert self.toolbox is not None
        if number >= CALLS_A_ROUND:
            return ToolUse(call, f"error: only {CALLS_A_ROUND} calls are answered at a time", error=True)
        try:
            async with asyncio.timeout(TOOL_SECONDS), self.running:
                result = await _in_thread(lambda: self.toolbox.run(call))  # type: ignore[union-attr]
            use = ToolUse(call, result.text, result.error, result.png, result.sources)
        except TimeoutError:
            use = ToolUse(call, f"error: the tool gave no answer in {TOOL_SECONDS:g} s", error=True)
        known = call.tool if call.tool in self.toolbox.names else "unknown"
        self.metrics.tools.labels(known, "error" if use.error else "ok").inc()
        return use


R = TypeVar("R")


async def _in_thread(work: Callable[[], R]) -> R:
    """In a daemon thread of its own: one that never returns holds up neither the others nor the server's end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[R] = loop.create_future()

    def tell(result: R | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=run, name="tool", daemon=True).start()
    return await done


T = TypeVar("T")


async def merged(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[tuple[int, T], None]:
    """(which stream, its next item) as they come. An error in one ends all; leaving early closes all."""
    items: asyncio.Queue[tuple[int, T] | Exception | None] = asyncio.Queue()

    async def pump(place: int, stream: AsyncGenerator[T, None]) -> None:
        try:
            async for item in stream:
                items.put_nowait((place, item))
        except Exception as error:
            items.put_nowait(error)
        else:
            items.put_nowait(None)

    tasks = [asyncio.create_task(pump(place, stream)) for place, stream in enumerate(streams)]
    try:
        left = len(tasks)
        while left:
            item = await items.get()
            if item is None:
                left -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in streams:
            await stream.aclose()
