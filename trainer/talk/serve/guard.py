"""What every request passes before anything reads it: host, key, type and size; and what every answer carries."""

import asyncio
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads its own files and nothing else, and what a model writes cannot run in it."""

HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


BODY_SECONDS = 30.0
"""How long the next piece of a body may take."""


class TooLargeError(Exception):
    """A body without a length turned out to be larger than allowed."""


@dataclass
class Guard:
    """ASGI middleware. `keys`: those that open /v1 and /api, none for everyone. `hosts`: names the server answers to.

    Checking the host keeps a page elsewhere from reaching a loopback server through a name of its own (DNS
    rebinding); demanding JSON keeps forms elsewhere from posting to it.
    """

    app: ASGIApp
    keys: Sequence[str]
    hosts: Sequence[str]
    most_bytes: int
    count: Callable[[str, int], None]
    """Told of each answer: the route (as it is declared, not as it was asked for) and the status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            self.count("refused", refusal[0])
            await _refuse(send, *refusal)
            return
        received, whole, started, refused = 0, False, False, False

        async def counted() -> Message:
            nonlocal received, whole
            async with asyncio.timeout(None if whole else BODY_SECONDS):
                message = await receive()
            whole = whole or not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self.most_bytes:
                raise TooLargeError
            return message

        async def protected(message: Message) -> None:
            nonlocal started, refused
            if refused:
                return
            if received > self.most_bytes and not started:  # whatever the application makes of the broken body
                refused = True
                self.count("refused", 413)
                await _refuse(send, 413, self._too_large())
                return
            if message["type"] == "http.response.start":
                started = True
                self.count(getattr(scope.get("route"), "path", "") or "page", message["status"])
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        await self.app(scope, counted, protected)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host = _name(headers.get(b"host", b"").decode("latin-1"))
        if "*" not in self.hosts and host not in self.hosts:
            return 421, f'this server does not answer to the name "{host[:100]}"; start it with --allow-host.'
        if self.keys and scope["path"].startswith(("/v1/", "/api/")):
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            right = any(hmac.compare_digest(given.strip(), key.encode()) for key in self.keys)
            if scheme.lower() != b"bearer" or not right:
                return 401, "an API key is needed: send it as `Authorization: Bearer KEY`."
        if scope["method"] == "POST":
            if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
                return 415, "the body must be JSON: send it with `Content-Type: application/json`."
            length = headers.get(b"content-length", b"0")
            if not length.isdigit() or int(length) > self.most_bytes:
                return 413, self._too_large()
        return None

    def _too_large(self) -> str:
        return f"the body is larger than {self.most_bytes:,} bytes, which is the most; shorten the conversation."


def _name(host: str) -> str:
    """A Host header without its port: "[::1]:8000" -> "::1"."""
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.rsplit(":", 1)[0]
    return name.rstrip(".")


KINDS = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}


def error_body(status: int, message: str, code: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kind = KINDS.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps(error_body(status, message)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    if status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
