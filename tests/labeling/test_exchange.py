"""What is repeated, what is not, and what a person reads: against small servers that fail as real ones do at times."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from labeling.client import Client, DeniedError, LabelStudioError, RefusedError, UnreachableError
from labeling.exchange import Exchange, check_url

TOKEN = "0" * 40
Answer = tuple[int, dict[str, str], bytes]
JSON = {"Content-Type": "application/json"}


class Fake:
    """Gives the next of its answers to each request, and then the last one for ever; None ends the connection."""

    def __init__(self, answers: list[Answer | None]) -> None:
        self.seen: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline()
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                fake.seen.append((self.command, self.path))
                fake.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                self.close_connection = True
                if answer is None:
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *about: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


Start = Callable[..., Fake]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Fake] = []

    def one(*answers: Answer | None) -> Fake:
        running.append(Fake(list(answers)))
        return running[-1]

    yield one
    for fake in running:
        fake.server.shutdown()
        fake.server.server_close()


def exchange(fake: Fake, patience: float = 20) -> Exchange:
    return Exchange(fake.url, TOKEN, timeout=5, patience=patience)


def test_a_get_is_repeated_while_the_server_fails(start: Start) -> None:
    fake = start((502, {}, b""), None, (200, JSON, b'{"a": 1}'))
    assert exchange(fake).ask("GET", "api/x") == {"a": 1}
    assert len(fake.seen) == 3


def test_the_clock_waits_for_the_server_too(start: Start) -> None:
    fake = start((200, JSON, b"{}"), None, (200, JSON, b"{}"))
    first, second = exchange(fake).clock(), exchange(fake).clock()
    assert first <= second <= datetime.now(UTC)
    assert len(fake.seen) == 3


def test_a_date_without_a_zone_is_one_in_utc(start: Start) -> None:
    clock = exchange(start((200, {"Date": "a proxy adds one of its own"}, b"{}"))).clock()
    assert clock.tzinfo is UTC


def test_a_server_that_fails_has_no_clock(start: Start) -> None:
    fake = start((502, {}, b""))
    with pytest.raises(LabelStudioError, match="error 502"):
        exchange(fake, patience=0).clock()


def test_a_post_is_not_since_it_may_have_been_done(start: Start) -> None:
    fake = start((502, {}, b""), (200, JSON, b"{}"))
    with pytest.raises(LabelStudioError, match="error 502"):
        exchange(fake).ask("POST", "api/x", {})
    assert len(fake.seen) == 1
    fake = start(None, (200, JSON, b"{}"))
    with pytest.raises(UnreachableError, match="does not answer"):
        exchange(fake).ask("POST", "api/x", {})
    assert len(fake.seen) == 1


def test_a_post_is_repeated_where_it_was_turned_away(start: Start) -> None:
    fake = start((429, {}, b""), (200, JSON, b"[]"))
    assert exchange(fake).ask("POST", "api/x", {}) == []


def test_a_post_waits_for_a_server_to_which_no_connection_could_be_made(start: Start) -> None:
    fake = start((200, JSON, b'{"id": 5}'))
    port = fake.server.server_port
    fake.server.shutdown()
    fake.server.server_close()

    def again() -> None:
        fake.server = ThreadingHTTPServer(("127.0.0.1", port), fake.server.RequestHandlerClass)
        fake.server.serve_forever()

    threading.Timer(1.0, again).start()
    assert exchange(fake).ask("POST", "api/x", {}) == {"id": 5}


def test_patience_ends(start: Start) -> None:
    fake = start((503, {}, b"<html>busy</html>"))
    with pytest.raises(LabelStudioError, match=r"answered with error 503\. Look") as told:
        exchange(fake, patience=1).ask("GET", "api/x")
    assert "<html" not in str(told.value)
    assert 2 <= len(fake.seen) <= 4


def test_no_server_at_all() -> None:
    with pytest.raises(UnreachableError, match="http://127.0.0.1:9: the server does not answer"):
        Exchange("http://127.0.0.1:9", TOKEN, patience=0).ask("GET", "api/x")


def test_a_redirect_is_told_and_not_followed_with_the_token(start: Start) -> None:
    other = start((200, JSON, b"{}"))
    fake = start((301, {"Location": other.url + "/api/x"}, b""))
    with pytest.raises(LabelStudioError, match=f"redirects to {other.url}"):
        exchange(fake).ask("POST", "api/x", {})
    assert other.seen == []


def test_something_else_that_answers_is_told(start: Start) -> None:
    with pytest.raises(LabelStudioError, match="no Label Studio"):
        exchange(start((200, {}, b"<html>Welcome</html>"))).ask("GET", "api/x")
    with pytest.raises(LabelStudioError, match="no Label Studio"):
        Client(start((404, {}, b"not here")).url, TOKEN, patience=0).whoami()


def test_a_url_with_a_path_keeps_it(start: Start) -> None:
    fake = start((200, JSON, b"{}"))
    Exchange(fake.url + "/label/studio/", TOKEN).ask("GET", "api/x")
    assert fake.seen == [("GET", "/label/studio/api/x")]


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b'{"detail": "Invalid token."}', DeniedError, "not accepted: Invalid token. It is mistyped"),
        (403, b'{"detail": "No."}', DeniedError, "may not do this: No. Ask"),
        (
            400,
            b'{"detail": "Validation error", "validation_errors": {"title": ["too short"]}}',
            RefusedError,
            "title: too",
        ),
        (413, b"", RefusedError, "refused with status 413"),
    ],
)
def test_errors_carry_the_servers_words(
    start: Start, status: int, body: bytes, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        exchange(start((status, JSON, body))).ask("GET", "api/x")


def test_half_characters_and_nul_are_replaced_and_nothing_else(start: Start) -> None:
    fake = start((200, JSON, b"{}"))
    exchange(fake).ask("POST", "api/x", {"text": ["a\ud800b\0c \\u0000 \\ud800 \U0001f600 \x1b <b>"]})
    assert json.loads(fake.bodies[0]) == {"text": ["a\ufffdb\ufffdc \\u0000 \\ud800 \U0001f600 \x1b <b>"]}


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "http://", "http://host/?a=b", "http://[::"])
def test_what_is_no_servers_url_is_refused(url: str) -> None:
    with pytest.raises(LabelStudioError, match="expected one such as"):
        check_url(url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(LabelStudioError) as told:
        check_url("https://me:secret@host/")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("token", ["", "  ", "to\nken", "tökén"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(DeniedError, match="no token"):
        Exchange("http://127.0.0.1:9", token)
