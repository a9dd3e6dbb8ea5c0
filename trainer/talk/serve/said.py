"""What people say of answers: reports, comparisons, choices in the arena; on the disk before it is acknowledged."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from labeling.store.database import StoreBusyError
from trainer.sampling import Sampling
from trainer.talk.serve.answers import merged
from trainer.talk.serve.arena import Arena
from trainer.talk.serve.errors import ApiError
from trainer.talk.serve.keep import Keeper
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.models import Models
from trainer.talk.serve.schema import ArenaBody, ArenaChoice, ComparisonBody, ReportBody
from trainer.talk.serve.traffic import Traffic
from trainer.talk.serve.wire import messages_of, tool_of
from trainer.talk.serve.worker import BusyError, StoppedError
from trainer.talk.turn import Turn

MOST_WRITING = 64
"""Reports that may wait for the store at a time."""


@dataclass
class Said:
    """The routes under /api that take something."""

    models: Models
    keeper: Keeper
    metrics: Metrics
    traffic: Traffic | None = None
    arena: Arena = field(default_factory=Arena)
    storing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "store"))
    readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "read"))
    writing: int = 0

    def routes(self, app: FastAPI) -> None:
        app.post("/api/reports", status_code=201)(self.report)
        app.post("/api/comparisons", status_code=201)(self.compare)
        app.post("/api/arena")(self.arena_match)
        app.post("/api/arena/choice", status_code=201)(self.arena_choice)
        app.get("/api/arena/ratings")(self.arena_ratings)

    async def report(self, body: ReportBody) -> dict[str, Any]:
        checkpoint = body.checkpoint or self.models.checkpoint(body.model, messages_of(body.messages))
        stored = await self._write(self.keeper.report, body, checkpoint)
        self.metrics.stored.labels("report").inc()
        return {"id": stored}

    async def compare(self, body: ComparisonBody) -> dict[str, Any]:
        messages = messages_of(body.messages)
        checkpoints = [
            answer.checkpoint or self.models.checkpoint(answer.model, messages) for answer in (body.a, body.b)
        ]
        stored = await self._write(self.keeper.compare, body, checkpoints[0], checkpoints[1])
        self.metrics.stored.labels("comparison").inc()
        return {"id": stored}

    async def arena_match(self, body: ArenaBody) -> Response:
        """Lines of JSON: pieces of the two answers, and at the end the match's id. Names are told after the choice."""
        if len(self.models.writers) < 2:
            raise ApiError(404, "there is no arena: start the server with --against and a second model.")
        pair = self.arena.draw(list(self.models.writers.values()))
        limits = self.models.limits(body.max_tokens)
        messages = messages_of(body.messages)
        sampling = Sampling(seed=secrets.randbits(62))
        turns = [
            Turn(writer.worker.template, messages, sampling, limits, writer.worker.context, writer.toolbox is not None)
            for writer in pair
        ]
        for writer in pair:
            writer.worker.check_room(1)

        async def lines() -> AsyncGenerator[bytes, None]:
            try:
                streams = [writer.write(turn) for writer, turn in zip(pair, turns, strict=True)]
                async with contextlib.aclosing(merged(streams)) as pieces:
                    async for place, piece in pieces:
                        yield _line({"side": "ab"[place], "text": piece.text, "tool": piece.tool and tool_of(piece)})
                ids = [writer.worker.about.id for writer in pair]
                names = [writer.worker.name for writer in pair]
                match = self.arena.finish(messages, [turn.said for turn in turns], ids, names, sampling, limits)
                if self.traffic is not None:
                    for side, id, turn in zip("ab", ids, turns, strict=True):
                        self.traffic.offer(f"{match}-{side}", id, messages, turn.said)
                yield _line({"match": match})
            except (StoppedError, BusyError) as error:
                yield _line({"error": str(error)})

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def arena_choice(self, body: ArenaChoice) -> dict[str, Any]:
        match = self.arena.find(body.match)
        if match is None:
            raise ApiError(404, "no such match, or it has been forgotten since; ask again.")
        stored = await self._write(self.keeper.arena, match, body)
        self.metrics.stored.labels("arena").inc()
        return {"id": stored, "a": match.names[0], "b": match.names[1]}

    async def arena_ratings(self) -> dict[str, Any]:
        names = {writer.worker.about.id: writer.worker.name for writer in self.models.all}
        return await asyncio.get_running_loop().run_in_executor(self.readers, self.keeper.ratings, names)

    async def _write(self, work: Callable[..., str], *arguments: Any) -> str:
        """In a thread of the store's own; where too many wait for it already, the client is to come back."""
        if self.writing >= MOST_WRITING:
            raise StoreBusyError(f"{self.writing} others are being stored; try again.")
        self.writing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.storing, work, *arguments)
        finally:
            self.writing -= 1


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
