"""OpenAI's interface: chat and completions, whole or as a stream of server-sent events."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from trainer.sampling import Sampling
from trainer.talk.serve.answers import Writer, merged
from trainer.talk.serve.completion import Completion
from trainer.talk.serve.errors import ApiError
from trainer.talk.serve.guard import error_body
from trainer.talk.serve.models import Models
from trainer.talk.serve.schema import ChatBody, CompletionBody, SamplingBody
from trainer.talk.serve.traffic import Traffic
from trainer.talk.serve.wire import checked, messages_of, tool_of
from trainer.talk.serve.worker import BusyError, StoppedError
from trainer.talk.turn import Turn

STREAMS_APART = 1 << 20
"""Distance between the random streams of one request's answers; a turn uses one a round."""


@dataclass(frozen=True)
class OpenAi:
    """The routes under /v1."""

    models: Models
    traffic: Traffic | None = None
    """The sample of what is asked and answered, if one is kept."""

    def routes(self, app: FastAPI) -> None:
        app.get("/v1/models")(self.list)
        app.post("/v1/chat/completions")(self.chat)
        app.post("/v1/completions")(self.complete)

    async def list(self) -> dict[str, Any]:
        return {"object": "list", "data": self.models.about()}

    async def chat(self, body: ChatBody, request: Request) -> Response:
        _refuse_unsupported(body)
        sampling, limits = _sampling(body), self.models.limits(body.max_tokens, body.stops)
        messages = messages_of(body.messages)
        writer = self.models.choose(body.model, messages)
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
        about = _answer("chat.completion", "chatcmpl", writer, sampling)
        writer.worker.check_room(len(turns))  # a stream that has begun can't refuse any more
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            return _events(self._chat_chunks(writer, turns, about, usage, body.store is not False))
        await _until_left(request, [writer.write(turn) for turn in turns])
        if body.store is not False:
            self._offer(writer, turns, about)
        choices = [
            {"index": place, "message": _chat_message(turn), "finish_reason": turn.finish, "logprobs": None}
            for place, turn in enumerate(turns)
        ]
        return JSONResponse({**about, "choices": choices, "usage": _usage(turns)})

    async def _chat_chunks(
        self, writer: Writer, turns: Sequence[Turn], about: dict[str, Any], usage: bool, keep: bool
    ) -> AsyncGenerator[dict[str, Any], None]:
        about = {**about, "object": "chat.completion.chunk"}

        def chunk(place: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
            return {**about, "choices": [{"index": place, "delta": delta, "finish_reason": finish}]}

        for place in range(len(turns)):
            yield chunk(place, {"role": "assistant", "content": ""})
        async with contextlib.aclosing(merged([writer.write(turn) for turn in turns])) as pieces:
            async for place, piece in pieces:
                delta = {"content": piece.text} if piece.tool is None else {"corpuscle_tool": tool_of(piece)}
                yield chunk(place, delta)
        if keep:
            self._offer(writer, turns, about)
        for place, turn in enumerate(turns):
            asked = _calls(turn)
            calls = {"tool_calls": [{"index": number, **call} for number, call in enumerate(asked)]} if asked else {}
            yield chunk(place, calls, turn.finish)
        if usage:
            yield {**about, "choices": [], "usage": _usage(turns)}

    def _offer(self, writer: Writer, turns: Sequence[Turn], about: dict[str, Any]) -> None:
        """Of several answers to one request the first has the request's id, the others their places behind it."""
        if self.traffic is not None:
            for place, turn in enumerate(turns):
                id = f"{about['id']}-{place}" if place else about["id"]
                self.traffic.offer(id, writer.worker.about.id, turn.messages, turn.said)

    async def complete(self, body: CompletionBody, request: Request) -> Response:
        writer = self.models.find(body.model)
        worker, sampling = writer.worker, _sampling(body)
        prompts = body.prompts
        if not 0 < len(prompts) * body.n <= 64:
            raise ApiError(400, f"{len(prompts)} prompts with n={body.n}; give at least 1 and at most 64 in all.")
        rows = []
        for text in prompts:
            checked(text)
            rows += [[worker.tokenizer.bos_id, *worker.tokenizer.encode(text)]] * body.n
        texts = [Completion(worker, row, self.models.limits(body.max_tokens, body.stops), body.echo) for row in rows]
        about = _answer("text_completion", "cmpl", writer, sampling)
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


def _sampling(body: SamplingBody) -> Sampling:
    seed = secrets.randbits(62) if body.seed is None else body.seed
    return Sampling(body.temperature, body.top_k, body.top_p, seed)


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


def _usage(turns: Sequence[Turn]) -> dict[str, int]:
    prompt, written = turns[0].prompt_tokens, sum(turn.written for turn in turns)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
