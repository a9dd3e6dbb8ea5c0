"""Requests -> streams of text: turns are written by a worker, their tool calls are run in threads."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trainer.conversation import Call
from trainer.serve.metrics import Metrics
from trainer.serve.worker import Worker
from trainer.turn import Turn

TOOL_SECONDS = 20.0
"""A tool has limits of its own; what passes this one has none, or broke them."""


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
    """Writes turns with one worker. `toolbox`: a `trainer.tools.toolbox.Toolbox`, or None."""

    worker: Worker
    metrics: Metrics
    toolbox: Any = None
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "tool"))

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
                    uses = [await self._use(call) for call in turn.calls]
                    for use in uses:
                        yield Piece(tool=use)
                    turn.results([use.text for use in uses])
        finally:
            self.metrics.tokens.labels(name, "completion").inc(turn.written)

    async def _use(self, call: Call) -> ToolUse:
        loop = asyncio.get_running_loop()
        try:
            result = await asyncio.wait_for(loop.run_in_executor(self.pool, self.toolbox.run, call), TOOL_SECONDS)
            use = ToolUse(call, result.text, result.error, result.png, result.sources)
        except TimeoutError:
            use = ToolUse(call, f"error: the tool gave no answer in {TOOL_SECONDS:g} s", error=True)
        known = call.tool if call.tool in getattr(self.toolbox, "names", ()) else "unknown"
        self.metrics.tools.labels(known, "error" if use.error else "ok").inc()
        return use


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
