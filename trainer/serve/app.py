"""The server: OpenAI's chat and completions, the page, reports and comparisons, health and metrics."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from labeling.store.database import StoreBusyError, StoreError
from trainer.conversation import ConversationError, Message
from trainer.engine import Request as EngineRequest
from trainer.sample import Decoder
from trainer.sampling import Sampling
from trainer.serve.answers import Piece, Writer, merged
from trainer.serve.arena import Arena
from trainer.serve.guard import Guard, error_body
from trainer.serve.keep import Keeper
from trainer.serve.metrics import Metrics
from trainer.serve.schema import (
    ArenaBody,
    ArenaChoice,
    ChatBody,
    ChatMessage,
    ComparisonBody,
    CompletionBody,
    ReportBody,
    SamplingBody,
)
from trainer.serve.worker import BusyError, StoppedError, Worker
from trainer.tools.toolbox import Toolbox
from trainer.turn import Limits, StopText, TooLongError, Turn

PAGE = Path(__file__).parent / "page"
MOST_WRITING = 64
"""Reports that may wait for the store at a time."""

STREAMS_APART = 1 << 20
"""Distance between the random streams of one request's answers; a turn uses one a round."""


@dataclass(frozen=True)
class Settings:
    """How a server behaves; see `corpuscle serve --help`."""

    max_tokens: int = 512
    """The most tokens of an answer, and how many it gets where the client does not say."""
    most_bytes: int = 1 << 20
    keys: Sequence[str] = field(default=(), repr=False)
    hosts: Sequence[str] = ("127.0.0.1", "localhost", "::1")


class ApiError(Exception):
    """An answer that is an error: status, message, and OpenAI's code where there is one."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def create_app(settings: Settings, workers: Sequence[Worker], keeper: Keeper, toolbox: Toolbox | None = None) -> Guard:
    """The ASGI application. The first worker is the default model; with a second one there is an arena."""
    metrics = Metrics()
    writers = {worker.name: Writer(worker, metrics, toolbox) for worker in workers}
    server = _Server(settings, metrics, writers, keeper)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        yield
        for worker in workers:
            worker.stop()
        for worker in workers:
            await asyncio.to_thread(worker.join)

    app = FastAPI(title="Corpuscle", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _wrong_body)
    app.add_exception_handler(HTTPException, _http_error)
    for kind in (TooLongError, ConversationError, BusyError, StoppedError, StoreBusyError, StoreError, ValueError):
        app.add_exception_handler(kind, _known_error)
    server.routes(app)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return Guard(app, tuple(settings.keys), tuple(settings.hosts), settings.most_bytes, server.count)


@dataclass
class _Server:
    settings: Settings
    metrics: Metrics
    writers: dict[str, Writer]
    keeper: Keeper
    arena: Arena = field(default_factory=Arena)
    storing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "store"))
    readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "read"))
    writing: int = 0

    def routes(self, app: FastAPI) -> None:
        app.get("/health")(self.health)
        app.get("/metrics")(self.prometheus)
        app.get("/v1/models")(self.models)
        app.post("/v1/chat/completions")(self.chat)
        app.post("/v1/completions")(self.complete)
        app.get("/api/about")(self.about)
        app.post("/api/reports", status_code=201)(self.report)
        app.post("/api/comparisons", status_code=201)(self.compare)
        app.post("/api/arena")(self.arena_match)
        app.post("/api/arena/choice", status_code=201)(self.arena_choice)
        app.get("/api/arena/ratings")(self.arena_ratings)

    def count(self, route: str, status: int) -> None:
        self.metrics.requests.labels(route, str(status)).inc()

    # What a monitor asks

    async def health(self) -> JSONResponse:
        """503 where a model no longer writes."""
        loads = {name: writer.worker.active for name, writer in self.writers.items()}
        failed = [name for name, writer in self.writers.items() if writer.worker.failed]
        if failed:
            return JSONResponse({"status": "failed", "failed": failed, "models": loads}, 503)
        return JSONResponse({"status": "ok", "models": loads})

    async def prometheus(self) -> Response:
        for name, writer in self.writers.items():
            self.metrics.active.labels(name).set(writer.worker.active)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def about(self) -> dict[str, Any]:
        """What the page shows of the server."""
        first = next(iter(self.writers.values()))
        return {
            "models": [self._model(writer.worker) for writer in self.writers.values()],
            "arena": len(self.writers) > 1,
            "context": first.worker.context,
            "max_tokens": self.settings.max_tokens,
            "tools": list(first.toolbox.names) if first.toolbox is not None else [],
        }

    async def models(self) -> dict[str, Any]:
        return {"object": "list", "data": [self._model(writer.worker) for writer in self.writers.values()]}

    @staticmethod
    def _model(worker: Worker) -> dict[str, Any]:
        about = worker.about
        return {
            "id": worker.name,
            "object": "model",
            "created": 0,
            "owned_by": "corpuscle",
            "checkpoint": about.id,
            "stage": about.stage,
            "step": about.step,
        }

    # OpenAI's API

    async def chat(self, body: ChatBody, request: Request) -> Response:
        writer = self._writer(body.model)
        _refuse_unsupported(body)
        sampling, limits = self._sampling(body), self._limits(body)
        messages = _messages(body.messages)
        turns = [
            Turn(
                writer.worker.template,
                messages,
                sampling,
                limits,
                writer.worker.context,
                tools=writer.toolbox is not None,
                stream=place * STREAMS_APART,
            )
            for place in range(body.n)
        ]
        about = self._answer("chat.completion", "chatcmpl", writer, sampling)
        writer.worker.check_room(len(turns))  # a stream that has begun can't refuse any more
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            return _events(self._chat_chunks(writer, turns, about, usage))
        await _until_left(request, [writer.write(turn) for turn in turns])
        choices = [
            {"index": place, "message": _chat_message(turn), "finish_reason": turn.finish, "logprobs": None}
            for place, turn in enumerate(turns)
        ]
        return JSONResponse({**about, "choices": choices, "usage": _usage(turns)})

    async def _chat_chunks(
        self, writer: Writer, turns: Sequence[Turn], about: dict[str, Any], usage: bool
    ) -> AsyncGenerator[dict[str, Any], None]:
        about = {**about, "object": "chat.completion.chunk"}

        def chunk(place: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
            return {**about, "choices": [{"index": place, "delta": delta, "finish_reason": finish}]}

        for place in range(len(turns)):
            yield chunk(place, {"role": "assistant", "content": ""})
        async with contextlib.aclosing(merged([writer.write(turn) for turn in turns])) as pieces:
            async for place, piece in pieces:
                delta = {"content": piece.text} if piece.tool is None else {"corpuscle_tool": _tool(piece)}
                yield chunk(place, delta)
        for place, turn in enumerate(turns):
            asked = _calls(turn)
            calls = {"tool_calls": [{"index": number, **call} for number, call in enumerate(asked)]} if asked else {}
            yield chunk(place, calls, turn.finish)
        if usage:
            yield {**about, "choices": [], "usage": _usage(turns)}

    async def complete(self, body: CompletionBody, request: Request) -> Response:
        writer = self._writer(body.model)
        worker, sampling = writer.worker, self._sampling(body)
        prompts = body.prompts
        if not 0 < len(prompts) * body.n <= 64:
            raise ApiError(400, f"{len(prompts)} prompts with n={body.n}; give at least 1 and at most 64 in all.")
        rows = []
        for text in prompts:
            _checked(text)
            rows += [[worker.tokenizer.bos_id, *worker.tokenizer.encode(text)]] * body.n
        texts = [_Completion(worker, row, self._limits(body), body.echo) for row in rows]
        about = self._answer("text_completion", "cmpl", writer, sampling)
        streams = [text.write(sampling, place * STREAMS_APART) for place, text in enumerate(texts)]

        def usage() -> dict[str, int]:
            read, wrote = sum(map(len, rows)), sum(text.written for text in texts)
            return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}

        worker.check_room(len(texts))
        if not body.stream:
            await _until_left(request, streams)
            choices = [
                {"index": place, "text": text.text, "finish_reason": text.finish, "logprobs": None}
                for place, text in enumerate(texts)
            ]
            return JSONResponse({**about, "choices": choices, "usage": usage()})

        async def chunks() -> AsyncGenerator[dict[str, Any], None]:
            async with contextlib.aclosing(merged(streams)) as pieces:
                async for place, piece in pieces:
                    yield {**about, "choices": [{"index": place, "text": piece, "finish_reason": None}]}
            for place, text in enumerate(texts):
                yield {**about, "choices": [{"index": place, "text": "", "finish_reason": text.finish}]}
            if body.stream_options is not None and body.stream_options.include_usage:
                yield {**about, "choices": [], "usage": usage()}

        return _events(chunks())

    # What people say

    async def report(self, body: ReportBody) -> dict[str, Any]:
        checkpoint = body.checkpoint or self._writer(body.model).worker.about.id
        stored = await self._write(self.keeper.report, body, checkpoint)
        self.metrics.stored.labels("report").inc()
        return {"id": stored}

    async def compare(self, body: ComparisonBody) -> dict[str, Any]:
        checkpoints = [answer.checkpoint or self._writer(answer.model).worker.about.id for answer in (body.a, body.b)]
        stored = await self._write(self.keeper.compare, body, checkpoints[0], checkpoints[1])
        self.metrics.stored.labels("comparison").inc()
        return {"id": stored}

    async def arena_match(self, body: ArenaBody) -> Response:
        """Lines of JSON: pieces of the two answers, and at the end the match's id. Names are told after the choice."""
        if len(self.writers) < 2:
            raise ApiError(404, "there is no arena: start the server with --against and a second model.")
        pair = self.arena.draw(list(self.writers.values()))
        limits = Limits(min(body.max_tokens or self.settings.max_tokens, self.settings.max_tokens))
        messages = _messages(body.messages)
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
                        yield _line({"side": "ab"[place], "text": piece.text, "tool": piece.tool and _tool(piece)})
                ids = [writer.worker.about.id for writer in pair]
                names = [writer.worker.name for writer in pair]
                match = self.arena.finish(messages, [turn.said for turn in turns], ids, names, sampling, limits)
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
        names = {writer.worker.about.id: name for name, writer in self.writers.items()}
        return await asyncio.get_running_loop().run_in_executor(self.readers, self.keeper.ratings, names)

    # Parts

    async def _write(self, work: Callable[..., str], *arguments: Any) -> str:
        """In a thread of the store's own; where too many wait for it already, the client is to come back."""
        if self.writing >= MOST_WRITING:
            raise StoreBusyError(f"{self.writing} others are being stored; try again.")
        self.writing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.storing, work, *arguments)
        finally:
            self.writing -= 1

    def _writer(self, name: str | None) -> Writer:
        if name is None:
            return next(iter(self.writers.values()))
        for known, writer in self.writers.items():
            if name in (known, writer.worker.about.id):
                return writer
        raise ApiError(404, f'no model "{name[:100]}" here; there is {", ".join(self.writers)}.', "model_not_found")

    def _sampling(self, body: SamplingBody) -> Sampling:
        seed = secrets.randbits(62) if body.seed is None else body.seed
        return Sampling(body.temperature, body.top_k, body.top_p, seed)

    def _limits(self, body: SamplingBody) -> Limits:
        return Limits(min(body.max_tokens or self.settings.max_tokens, self.settings.max_tokens), body.stops)

    @staticmethod
    def _answer(kind: str, prefix: str, writer: Writer, sampling: Sampling) -> dict[str, Any]:
        about = writer.worker.about
        return {
            "id": f"{prefix}-{secrets.token_hex(12)}",
            "object": kind,
            "created": int(time.time()),
            "model": writer.worker.name,
            "system_fingerprint": about.id[:12],
            "corpuscle": {"checkpoint": about.id, "seed": sampling.seed},
        }


@dataclass
class _Completion:
    """Text that is continued, without turns or tools."""

    worker: Worker
    prompt: list[int]
    limits: Limits
    echo: bool
    finish: str | None = None
    written: int = 0
    text: str = ""

    def __post_init__(self) -> None:
        if len(self.prompt) >= self.worker.context:
            raise TooLongError(
                f"the prompt has {len(self.prompt):,} tokens, and the model's context is {self.worker.context:,}."
            )

    async def write(self, sampling: Sampling, stream: int) -> AsyncGenerator[str, None]:
        tokenizer = self.worker.tokenizer
        out = StopText(Decoder(tokenizer), self.limits.stop)
        if self.echo:
            self.text = tokenizer.decode(self.prompt)
            yield self.text
        most = min(self.limits.max_tokens, self.worker.context - len(self.prompt))
        request = EngineRequest(self.prompt, most, sampling, frozenset({tokenizer.bos_id, tokenizer.eos_id}), stream)
        async with contextlib.aclosing(self.worker.write(request)) as events:
            async for event in events:
                self.written += 1
                piece = "" if event.finish == "stop" else out.add(event.token)
                if event.finish:
                    piece += out.finish()
                self.finish = "stop" if out.stopped else event.finish
                self.text += piece
                if piece:
                    yield piece
                if self.finish:
                    return


async def _until_left(request: Request, streams: Sequence[AsyncGenerator[Any, None]]) -> None:
    """Reads streams to their ends, unless the client leaves or one fails: then all are closed, and their rows free."""

    async def drain() -> None:
        async with contextlib.aclosing(merged(streams)) as items:
            async for _ in items:
                pass

    work = asyncio.create_task(drain())
    try:
        while not work.done():
            await asyncio.wait([work], timeout=0.5)
            if not work.done() and await request.is_disconnected():
                raise ApiError(499, "the client has left.")
        work.result()
    finally:
        work.cancel()
        await asyncio.wait([work])


def _events(chunks: AsyncGenerator[dict[str, Any], None]) -> StreamingResponse:
    """Server-sent events as OpenAI sends them. What goes wrong after the beginning is an event too."""

    async def lines() -> AsyncGenerator[bytes, None]:
        try:
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
        except (BusyError, StoppedError) as error:
            yield b"data: " + json.dumps(error_body(503, str(error))).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _refuse_unsupported(body: ChatBody) -> None:
    """What would change the answer and isn't there is refused; ignoring it would look like an answer to it."""
    if body.tools:
        raise ApiError(
            400, "tools of the client's own are not supported; start the server with --tools.", "unsupported"
        )
    if body.response_format and body.response_format.get("type", "text") != "text":
        raise ApiError(400, "response_format is not supported; leave it out.", "unsupported")
    if body.logprobs:
        raise ApiError(400, "logprobs are not supported; leave them out.", "unsupported")


def _messages(messages: Sequence[ChatMessage]) -> list[Message]:
    for message in messages:
        texts = [message.content] if isinstance(message.content, str) else [part.text for part in message.content or ()]
        for text in texts:
            _checked(text)
    return [message.message() for message in messages]


def _checked(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ApiError(400, f"a text holds half a character (a lone surrogate) at {error.start}.") from None


def _chat_message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text}
    if asked := _calls(turn):
        message["tool_calls"] = asked
    if len(turn.said) > 1:
        message["corpuscle_turns"] = [
            {"role": said.role, "content": said.content, "calls": [[call.tool, call.input] for call in said.calls]}
            for said in turn.said
        ]
    return message


def _calls(turn: Turn) -> list[dict[str, Any]]:
    """The calls that end a turn, for the client to answer; none where the turn ended otherwise."""
    if turn.finish != "tool_calls" or not turn.said:
        return []
    return [
        {
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": call.tool, "arguments": call.input},
        }
        for call in turn.said[-1].calls
    ]


def _tool(piece: Piece) -> dict[str, Any]:
    assert piece.tool is not None
    use = piece.tool
    picture = "data:image/png;base64," + base64.b64encode(use.png).decode() if use.png else None
    sources = [dataclasses.asdict(source) for source in use.sources]
    return {
        "tool": use.call.tool,
        "input": use.call.input,
        "text": use.text,
        "error": use.error,
        "picture": picture,
        "sources": sources,
    }


def _usage(turns: Sequence[Turn]) -> dict[str, int]:
    prompt, written = turns[0].prompt_tokens, sum(turn.written for turn in turns)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


async def _api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return JSONResponse(error_body(error.status, error.message, error.code), error.status)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse(error_body(error.status_code, str(error.detail)), error.status_code)


async def _wrong_body(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    message = f"{place}: {first['msg']}" if place else str(first["msg"])
    return JSONResponse(error_body(400, message), 400)


STATUS: dict[type[Exception], tuple[int, str | None]] = {
    # the first that fits counts: TooLongError and ConversationError are ValueErrors too
    TooLongError: (400, "context_length_exceeded"),
    ConversationError: (400, None),
    BusyError: (429, "busy"),
    StoppedError: (503, None),
    StoreBusyError: (503, "store_busy"),
    StoreError: (503, "store_failed"),
    ValueError: (400, None),
}


async def _known_error(_: Request, error: Exception) -> JSONResponse:
    status, code = next(found for kind, found in STATUS.items() if isinstance(error, kind))
    headers = {"Retry-After": "2"} if status in (429, 503) else None
    return JSONResponse(error_body(status, str(error), code), status, headers)
