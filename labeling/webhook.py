"""A receiver of Label Studio's webhooks: each is a hint to pull earlier, and nothing of what it says is believed.

Label Studio waits one second and never repeats itself, and its requests carry no signature: only a fixed header. So the
answer comes before any work, whoever lacks the secret is turned away, and a hint that is lost costs one interval.
"""

import hmac
import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

HEADER = "X-Corpuscle-Secret"
PATH = "/label-studio"

LARGEST = 1 << 20
"""Most bytes of a body that are read: an event carries its whole task."""

PATIENCE = 5.0
"""Seconds after which a request that is sent slowly is given up."""

ACTIONS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED")


class Receiver:
    """Listens on 127.0.0.1 while the block lasts, and notes that something happened in `hint`.

    `port` 0 takes any that is free; `url` is what to tell Label Studio. Raises OSError where the port is taken.
    """

    def __init__(self, secret: str, port: int = 0) -> None:
        if not secret:
            raise ValueError("the webhook's secret is empty")
        self.hint = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(secret.encode(), self.hint.set))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, seconds: float) -> bool:
        """Whether a hint came within so many seconds; it is used up by this."""
        came = self.hint.wait(seconds)
        self.hint.clear()
        return came


def _handler(secret: bytes, hint: Callable[[], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE
        server_version, sys_version = "corpuscle", ""

        def do_POST(self) -> None:
            given = self.headers.get(HEADER, "").encode("latin-1", "replace")
            if self.path != PATH:
                self._answer(HTTPStatus.NOT_FOUND)
            elif not hmac.compare_digest(given, secret):
                self._answer(HTTPStatus.FORBIDDEN)
            else:
                self._receive()

        def _receive(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdigit():
                self._answer(HTTPStatus.LENGTH_REQUIRED)
            elif int(length) > LARGEST:
                hint()  # something happened, however much there is to say about it
                self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            elif self._is_event(self._body(int(length))):
                self._answer(HTTPStatus.NO_CONTENT)
                hint()
            else:
                self._answer(HTTPStatus.BAD_REQUEST)

        def _body(self, length: int) -> bytes:
            """At most so many bytes; fewer where they come too slowly."""
            until, body = time.monotonic() + PATIENCE, b""
            while len(body) < length and time.monotonic() < until:
                piece = self.rfile.read1(min(1 << 16, length - len(body)))
                if not piece:
                    break
                body += piece
            return body

        @staticmethod
        def _is_event(body: bytes) -> bool:
            try:
                event = json.loads(body)
            except (ValueError, RecursionError):
                return False
            return isinstance(event, dict) and event.get("action") in ACTIONS

        def _answer(self, status: HTTPStatus) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a request's line may be anything, and there may be many."""

    return Handler
