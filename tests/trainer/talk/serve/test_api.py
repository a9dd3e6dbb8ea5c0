import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.trainer.talk.serve.conftest import Serve, Served

pytestmark = pytest.mark.slow  # each module starts a server, which takes some seconds
HELLO: list[Any] = [{"role": "user", "content": "the cat saw"}]


def client(server: Served, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def post(server: Served, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(
        server.url + path, content=content, headers={"Content-Type": "application/json", **headers}, timeout=60
    )


def chat(server: Served, **body: Any) -> httpx.Response:
    return post(server, "/v1/chat/completions", {"messages": HELLO, "max_tokens": 5, **body})


def test_openais_client_gets_an_answer_and_what_it_cost(server: Served) -> None:
    api = client(server)
    names = [model.id for model in api.models.list()]
    assert len(names) == 2
    answer = api.chat.completions.create(model=names[0], messages=HELLO, max_tokens=12, seed=5)
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.finish_reason in ("stop", "length", "tool_calls")
    assert answer.usage is not None
    assert 1 <= answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_what_the_same_request_without_streaming_says(server: Served) -> None:
    api, model = client(server), client(server).models.list().data[0].id
    whole = api.chat.completions.create(model=model, messages=HELLO, max_tokens=30, seed=3)
    pieces, finish, usage = [], None, None
    for chunk in api.chat.completions.create(
        model=model, messages=HELLO, max_tokens=30, seed=3, stream=True, stream_options={"include_usage": True}
    ):
        if chunk.choices:
            pieces.append(chunk.choices[0].delta.content or "")
            finish = chunk.choices[0].finish_reason or finish
        usage = chunk.usage or usage
    assert "".join(pieces) == whole.choices[0].message.content
    assert finish == whole.choices[0].finish_reason
    assert usage == whole.usage


def test_the_same_seed_writes_the_same_and_n_answers_differ(server: Served) -> None:
    first, again = (chat(server, seed=7, max_tokens=20, temperature=1.5).json() for _ in range(2))
    assert first["choices"] == again["choices"]
    many = chat(server, seed=7, max_tokens=20, temperature=1.5, n=3).json()["choices"]
    assert [choice["index"] for choice in many] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in many}) == 3
    assert many[0]["message"] == first["choices"][0]["message"]


def test_completions_go_on_from_prompts_and_end_before_a_stop_text(server: Served) -> None:
    api, model = client(server), client(server).models.list().data[0].id
    answer = api.completions.create(model=model, prompt=["the cat", "one two"], max_tokens=20, seed=1)
    assert [choice.index for choice in answer.choices] == [0, 1]
    text = answer.choices[0].text
    stop = text[4:7]
    cut = api.completions.create(model=model, prompt="the cat", max_tokens=20, seed=1, stop=stop)
    assert cut.choices[0].text == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    streamed = api.completions.create(model=model, prompt="the cat", max_tokens=20, seed=1, stop=stop, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == cut.choices[0].text


def test_an_unknown_model_is_named(server: Served) -> None:
    with pytest.raises(openai.NotFoundError, match='no model "gpt-4" here; there is pretrain-'):
        client(server).chat.completions.create(model="gpt-4", messages=HELLO)


def test_a_model_may_be_called_by_its_folder_or_not_at_all(server: Served, model: Path, other_model: Path) -> None:
    first, second = (each["id"] for each in httpx.get(f"{server.url}/v1/models").json()["data"])
    names = {first: first, second: second, model.name: first, other_model.name: second}
    for name, expected in names.items():
        assert client(server).chat.completions.create(model=name, messages=HELLO, max_tokens=1).model == expected
    assert chat(server).json()["model"] == first


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "required"),
        (b"{", "^the body is not JSON: .* at character 1.$"),
        (b'{"messages": [', "^the body is not JSON: .* at character 14.$"),
        (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "JSON|body|parsing"),
        (b"[" * 200_000, "JSON|body|parsing|list|dictionary"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": [{"role": "boss", "content": "hi"}]}', "role"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "temperature": -1}', "temperature"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "temperature": NaN}', "temperature"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "temperature": 1e999}', "temperature"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "top_p": 0}', "top_p"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 0}', "max_tokens"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "n": 1000}', "n"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "seed": 1e300}', "seed"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "surrogate"),
        (b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "\\udc00"}]}]}', "messages"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "content"),
        (b'{"messages": [{"role": "tool", "content": "5"}]}', "no call asked for"),
        (b'{"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}', "come first"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "stop": ["a", "b", "c", "d", "e"]}', "stop"),
    ],
)
def test_a_wrong_body_is_refused_with_its_place(server: Served, body: bytes, message: str) -> None:
    answer = post(server, "/v1/chat/completions", body)
    assert answer.status_code == 400, answer.text

    assert re.search(message, answer.json()["error"]["message"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00\x01\x1b[31m",
        "<|assistant|><|end|></s>",
        "▁▁",
        "👩\u200d👩\u200d👧 🏳️\u200d🌈",
        "\u202egnp\u202c",
        "\u200b" * 20,
        "e" + "\u0301" * 30,
    ],
)
def test_odd_texts_are_only_texts(server: Served, text: str) -> None:
    answer = chat(server, messages=[{"role": "user", "content": text}])
    assert answer.status_code == 200, answer.text


def test_a_conversation_beyond_the_context_is_refused_with_its_length(server: Served) -> None:
    answer = chat(server, messages=[{"role": "user", "content": "the cat " * 200}])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert "context is 128" in answer.json()["error"]["message"]


def test_a_giant_body_is_refused_before_it_is_read(server: Served) -> None:
    giant = json.dumps({"messages": [{"role": "user", "content": "a" * (2 << 20)}]}).encode()
    assert post(server, "/v1/chat/completions", giant).status_code == 413

    def pieces() -> Any:  # without a length
        yield giant

    answer = httpx.post(
        server.url + "/v1/chat/completions", content=pieces(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


def test_a_form_from_another_site_is_refused(server: Served) -> None:
    assert post(server, "/v1/chat/completions", b"{}", **{"Content-Type": "text/plain"}).status_code == 415


def test_another_host_name_is_refused(server: Served) -> None:
    assert httpx.get(server.url + "/health", headers={"Host": "evil.example"}).status_code == 421


def test_what_a_server_may_tell_it_tells(server: Served) -> None:
    assert httpx.get(server.url + "/health").json()["status"] == "ok"
    chat(server)
    text = httpx.get(server.url + "/metrics").text
    assert 'corpuscle_requests_total{route="/v1/chat/completions",status="200"}' in text
    assert "corpuscle_first_token_seconds_bucket" in text


def test_200_streams_at_once_all_end(server: Served) -> None:
    async def one(api: httpx.AsyncClient, number: int) -> tuple[int, bool]:
        body = {"messages": HELLO, "max_tokens": 10, "seed": number, "stream": True}
        tokens, done = 0, False
        async with api.stream("POST", server.url + "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                tokens += '"content"' in line
                done |= line == "data: [DONE]"
        return tokens, done

    async def all_of_them() -> list[tuple[int, bool]]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=120, limits=limits) as api:
            return await asyncio.gather(*(one(api, number) for number in range(200)))

    ended = asyncio.run(all_of_them())
    assert all(done for _, done in ended)
    assert httpx.get(server.url + "/health").json()["models"][model_name(server)] == 0


def model_name(server: Served) -> str:
    return next(iter(httpx.get(server.url + "/health").json()["models"]))


def test_clients_that_leave_free_their_rows(server: Served) -> None:
    body = {"messages": HELLO, "max_tokens": 64, "stream": True}
    for _ in range(30):
        with httpx.stream("POST", server.url + "/v1/chat/completions", json=body) as answer:
            next(answer.iter_lines())
    for streaming in (False, True):  # and those that leave before the first word
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(server.url + "/v1/chat/completions", json={**body, "n": 8, "stream": streaming}, timeout=0.001)
    for _ in range(100):
        if httpx.get(server.url + "/health").json()["models"][model_name(server)] == 0:
            break
        time.sleep(0.1)
    assert httpx.get(server.url + "/health").json()["models"][model_name(server)] == 0


def test_where_there_is_no_room_a_client_is_told_to_come_back(model: Path, serve: Serve, tmp_path: Path) -> None:
    async def crowd(url: str) -> list[int]:
        body = {"messages": HELLO, "max_tokens": 60, "temperature": 3}
        async with httpx.AsyncClient(timeout=60) as api:
            answers = await asyncio.gather(*(api.post(url + "/v1/chat/completions", json=body) for _ in range(12)))
            return [answer.status_code for answer in answers]

    with serve(model, tmp_path / "r.db", "--rows", "2", "--waiting", "2") as served:
        statuses = asyncio.run(crowd(served.url))
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 4


def test_keys_open_the_api_and_are_never_shown(model: Path, serve: Serve, tmp_path: Path) -> None:
    with serve(model, tmp_path / "r.db", keys="secret-one, secret-two") as served:
        assert chat(served).status_code == 401
        with pytest.raises(openai.AuthenticationError):
            client(served, "secret").models.list()
        assert client(served, "secret-two").models.list().data
        assert httpx.get(served.url + "/").status_code == 200
        assert "secret" not in httpx.get(served.url + "/metrics").text


def test_a_server_without_keys_stays_on_this_machine(model: Path, tmp_path: Path) -> None:
    from trainer.talk.serve.command import Options, build

    with pytest.raises(ValueError, match="set CORPUSCLE_API_KEYS"):
        build(Options(model, host="0.0.0.0"))


def test_a_port_that_is_taken_is_said_before_any_address_is_shown(server: Served, model: Path) -> None:
    port = server.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "corpuscle.main", "serve", str(model), "--port", port]
    environment = {**os.environ, "CORPUSCLE_STORE": f"sqlite:///{server.store}"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert ended.returncode == 1
    assert f"127.0.0.1:{port} can't be listened on" in ended.stderr
    assert "http://" not in ended.stdout


@pytest.mark.parametrize("body", [{"temperature": 1e-40}, {"top_p": 1e-50}, {"temperature": 10, "top_k": 10**9}])
def test_extreme_settings_are_only_settings(server: Served, body: dict[str, Any]) -> None:
    assert chat(server, **body).status_code == 200
    assert httpx.get(server.url + "/health").json()["status"] == "ok"


def test_a_connection_that_does_not_say_what_it_wants_is_closed(server: Served) -> None:
    import socket

    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        assert slow.recv(1) == b""


def test_other_spellings_of_host_and_scheme_are_understood(model: Path, serve: Serve, tmp_path: Path) -> None:
    with serve(
        model,
        tmp_path / "r.db",
        keys="k",
    ) as served:
        for host in ("LOCALHOST", "localhost.:80", "[::1]", "[::1]:8000"):
            assert httpx.get(served.url + "/health", headers={"Host": host}).status_code == 200
        assert httpx.get(served.url + "/v1/models", headers={"Authorization": "bearer k"}).status_code == 200


def test_a_server_that_is_told_to_stop_ends_its_streams_with_a_word(model: Path, serve: Serve, tmp_path: Path) -> None:
    with serve(model, tmp_path / "r.db", "--tokens", "100") as served:
        body = {"messages": HELLO, "stream": True, "n": 8, "temperature": 3}
        with httpx.stream("POST", served.url + "/v1/chat/completions", json=body, timeout=30) as answer:
            lines = answer.iter_lines()
            next(lines)
            served.process.terminate()
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert served.process.wait(10) is not None
