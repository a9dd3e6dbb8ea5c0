"""What goes wrong in a request, as OpenAI's clients expect it: a status, and a body with one sentence."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from labeling.store.database import StoreBusyError, StoreError
from trainer.talk.conversation import ConversationError
from trainer.talk.serve.guard import error_body
from trainer.talk.serve.schema import DIGEST, UUID4
from trainer.talk.serve.worker import BusyError, StoppedError
from trainer.talk.turn import TooLongError


class ApiError(Exception):
    """An answer that is an error: status, message, and OpenAI's code where there is one."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _wrong_body)
    app.add_exception_handler(HTTPException, _http_error)
    for kind in STATUS:
        app.add_exception_handler(kind, _known_error)


async def _api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return JSONResponse(error_body(error.status, error.message, error.code), error.status)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse(error_body(error.status_code, str(error.detail)), error.status_code)


async def _wrong_body(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        why, where = first.get("ctx", {}).get("error", first["msg"]), first["loc"][-1]
        return JSONResponse(error_body(400, f"the body is not JSON: {why} at character {where}."), 400)
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    message = _PATTERNS.get(first.get("ctx", {}).get("pattern"))
    if message is None:
        told = str(first["msg"]).removeprefix("Value error, ")  # Python's word for our own
        message = f"{place}: {told}" if place else told
    else:
        message = f"{place} {message}"
    return JSONResponse(error_body(400, message), 400)


_PATTERNS = {UUID4: "is no random UUID (version 4)", DIGEST: "is no checkpoint's id (64 digits, 0 to 9 and a to f)"}
"""What a pattern means: to whom sends another text it would say nothing."""


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
