"""The receiver of hints, spoken to over HTTP as Label Studio and strangers do."""

import http.client
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from labeling.webhook import HEADER, LARGEST, PATH, Receiver

SECRET = "s3cret-ünter-us"
EVENT = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "project": {"id": 2}}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as made:
        yield made


def post(receiver: Receiver, body: object = EVENT, secret: str = SECRET, url: str | None = None) -> int:
    headers = {HEADER: secret.encode().decode("latin-1").encode("latin-1")}
    return httpx.post(url or receiver.url, content=json.dumps(body), headers=headers).status_code  # type: ignore[arg-type]


def test_an_event_with_the_secret_is_a_hint_and_is_answered_at_once(receiver: Receiver) -> None:
    assert post(receiver) == 204
    assert receiver.wait(1)


def test_a_hint_is_used_up_by_waiting_for_it(receiver: Receiver) -> None:
    post(receiver)
    receiver.wait(1)
    assert not receiver.wait(0)


def test_many_events_are_one_hint(receiver: Receiver) -> None:
    for _ in range(20):
        post(receiver)
    assert receiver.wait(1)
    assert not receiver.wait(0)


@pytest.mark.parametrize("secret", ["", "s3cret", SECRET + "x"])
def test_without_the_secret_nothing_happens(receiver: Receiver, secret: str) -> None:
    assert post(receiver, secret=secret) == 403
    assert not receiver.wait(0)


def test_a_receiver_without_a_secret_is_an_error() -> None:
    with pytest.raises(ValueError, match="secret is empty"):
        Receiver("")


@pytest.mark.parametrize("body", ["no object", {"action": "PROJECT_CREATED"}, {}, [1]])
def test_what_is_no_event_of_an_annotation_is_refused(receiver: Receiver, body: object) -> None:
    assert post(receiver, body) == 400
    assert not receiver.wait(0)


def test_json_nested_without_end_is_refused(receiver: Receiver) -> None:
    answer = httpx.post(receiver.url, content="[" * 100_000, headers={HEADER: SECRET.encode()})  # type: ignore[dict-item]
    assert answer.status_code == 400


def test_another_path_is_not_there(receiver: Receiver) -> None:
    assert post(receiver, url=receiver.url.replace(PATH, "/else")) == 404


def test_an_event_too_large_to_read_is_a_hint_all_the_same(receiver: Receiver) -> None:
    host, port = receiver.url.removeprefix("http://").removesuffix(PATH).split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    connection.putrequest("POST", PATH)
    connection.putheader(HEADER, SECRET.encode())
    connection.putheader("Content-Length", str(LARGEST + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    assert receiver.wait(1)


def test_a_client_that_sends_nothing_does_not_keep_others_waiting(receiver: Receiver) -> None:
    host, port = receiver.url.removeprefix("http://").removesuffix(PATH).split(":")
    with socket.create_connection((host, int(port))) as idle:
        idle.sendall(b"POST /label-studio HTTP/1.1\r\n")
        began = time.monotonic()
        assert post(receiver) == 204
        assert time.monotonic() - began < 3  # far below the idle client's five seconds


def test_it_listens_on_this_machine_alone(receiver: Receiver) -> None:
    assert receiver.url.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_an_error(receiver: Receiver) -> None:
    port = int(receiver.url.split(":")[2].split("/")[0])
    with pytest.raises(OSError, match="in use"):
        Receiver(SECRET, port)
