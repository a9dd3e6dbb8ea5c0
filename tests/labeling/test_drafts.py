"""Drafts from a real server with a tiny model, which babbles: what it says is a draft only where it came to an end."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labeling.client import Client
from labeling.drafts import KEYS, Drafter, DraftError, Endpoint, NoAnswer
from labeling.kinds import KINDS
from labeling.kinds.kind import Draft, Json, Sample
from labeling.push import PushError, push
from labeling.rows import Known, Rejected
from labeling.sources import answered, make_sample
from labeling.store.database import Database
from labeling.store.labels import Project, add_project, read_samples
from labeling.store.sending import asked_before
from labeling.uncertainty import disagreement
from tests.trainer.talk.serve.conftest import Served, serving, write_model

KEY = "key-of-a-test"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return write_model(folder / "first", 1), write_model(folder / "second", 2)


@pytest.fixture(scope="module")
def servers(models: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    """One model each; the second server wants a key."""
    store = tmp_path_factory.mktemp("store") / "reports.db"
    with ExitStack() as stack:
        yield [
            stack.enter_context(serving(model, store, keys=keys)) for model, keys in zip(models, ("", KEY), strict=True)
        ]


def drafter(server: Served, **values: float) -> Drafter:
    options = {"max_tokens": 60, "temperature": 1.0, "retries": 1} | values
    return Drafter(Endpoint.parse(server.url), **options)  # type: ignore[arg-type]


def asked(count: int) -> list[list[Json]]:
    return [[{"role": "user", "content": f"the cat and {number}?"}] for number in range(count)]


# Endpoints and keys


@pytest.mark.parametrize(
    ("text", "url", "model"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1", None),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1", None),
        ("org/small:7b@https://api.example.com/openai/v1", "https://api.example.com/openai/v1", "org/small:7b"),
    ],
)
def test_endpoints(text: str, url: str, model: str | None) -> None:
    assert Endpoint.parse(text) == Endpoint(url, model)


@pytest.mark.parametrize("text", ["small", "ftp://a/b", "http://", "http://user:secret@host/v1", "a b@http://x y"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(DraftError, match="is no endpoint; expected a URL or MODEL@URL"):
        Endpoint.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://user:secret@host/v1",
        "small@http://user:secret@host",
        "http://user:sec?secret@host",
        "https://host/v1?api-key=secret",
        "small@https://host/v1#secret",
    ],
)
def test_a_password_in_an_endpoint_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(DraftError, match="a key goes into CORPUSCLE_ENDPOINT_KEYS, as HOST=KEY") as caught:
        Endpoint.parse(text)
    assert "sec" not in str(caught.value)


def test_a_key_does_not_travel_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS, f"192.0.2.1:80={KEY}")
    with pytest.raises(DraftError, match="would travel unencrypted") as caught:
        Drafter(Endpoint.parse("m@http://192.0.2.1:80/v1"))
    assert KEY not in str(caught.value)


def test_a_key_goes_to_its_own_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS, f"one.example={KEY}, two.example = , three.example:444=k3")
    sent = {
        url: Drafter(Endpoint.parse(f"m@https://{url}/v1"))._http.headers.get("authorization")
        for url in ("one.example", "other.example", "three.example:444", "three.example")
    }
    assert sent == {
        "one.example": f"Bearer {KEY}",
        "other.example": None,
        "three.example:444": "Bearer k3",
        "three.example": None,
    }


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(DraftError, match=r"http://127.0.0.1:1/v1: no server answers .*; start it, or name another"):
        Drafter(Endpoint.parse("http://127.0.0.1:1"), retries=0)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes questions and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"m@http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_a_slow_answer_is_none_and_only_slow_ones_stop_it(silent: str) -> None:
    with Drafter(Endpoint.parse(silent), timeout=0.2, at_once=8) as slow:
        (found,) = slow.answers(asked(1))
        assert isinstance(found, NoAnswer)
        assert found.reason == "it took longer than 0.2 seconds"
        with pytest.raises(DraftError, match="none of 8 questions was answered, the last one because it took longer"):
            slow.answers(asked(8))


# A real model


@pytest.mark.slow
def test_the_only_model_of_a_server_is_found(servers: list[Served]) -> None:
    with drafter(servers[0]) as model:
        assert model.model
        with Drafter(Endpoint.parse(f"{model.model}@{servers[0].url}")) as named:
            assert named.model == model.model


@pytest.mark.slow
def test_a_model_that_is_not_there_is_told(servers: list[Served]) -> None:
    with Drafter(Endpoint.parse(f"other@{servers[0].url}")) as model, pytest.raises(DraftError, match="model"):
        model.answers(asked(1))


@pytest.mark.slow
def test_a_key_is_needed_and_taken_from_the_environment(servers: list[Served], monkeypatch: pytest.MonkeyPatch) -> None:
    host = servers[1].url.removeprefix("http://")
    with pytest.raises(DraftError, match=f"denies access .*put its key into {KEYS}, as {host}=KEY"):
        drafter(servers[1])
    monkeypatch.setenv(KEYS, f"{host}={KEY}")
    with drafter(servers[1]) as model:
        assert model.model


@pytest.mark.slow
def test_an_answer_that_was_cut_off_is_no_draft(servers: list[Served]) -> None:
    with drafter(servers[0]) as model:
        found = model.answers(asked(40))
        whole = [one for one in found if isinstance(one, Draft)]
        assert whole
        assert all(one.text.strip() and one.model == model.model for one in whole)
        assert {one.reason for one in found if isinstance(one, NoAnswer)} <= {
            "its answer was cut off after 60 tokens",
            "its answer is empty",
        }
        assert model.answers(asked(40)) == found  # the same seed
        assert model.answers(asked(40), seed=1) != found


@pytest.mark.slow
def test_a_question_that_is_too_long_costs_itself_alone(servers: list[Served]) -> None:
    with drafter(servers[0]) as model:
        long = [{"role": "user", "content": "the dog " * 500}]
        found = model.answers([long, *asked(3)])
    assert isinstance(found[0], NoAnswer)
    assert found[0].reason.startswith("it refused the question")
    assert not any(isinstance(one, NoAnswer) and one.failed for one in found)


@pytest.mark.slow
def test_uncertainty_is_measured(servers: list[Served]) -> None:
    samples = [make_sample(KINDS["demonstrations"], {"prompt": f"the old house {n}"}, {}) for n in range(12)]
    with drafter(servers[0], max_tokens=100) as model:
        found = disagreement(model, 4)(samples)
    assert len(found) == 12
    assert all(0 <= value <= 1 for value in found)
    assert max(found) > 0.3  # random weights: two answers have little in common


@pytest.mark.slow
def test_two_models_answer_each_prompt_once(
    servers: list[Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS, f"{servers[1].url.removeprefix('http://')}={KEY}")
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"the river and {number}"} for number in range(80)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"x": 1}, rows[0]]))
    with drafter(servers[0], max_tokens=110) as first, drafter(servers[1], max_tokens=110) as second:
        found = list(answered(path, KINDS["comparisons"], [first, second]))
        good = [one for one in found if isinstance(one, Sample)]
        bad = [one for one in found if isinstance(one, Rejected)]
        assert good
        assert len(good) + len(bad) == 81
        assert [one for one in found if isinstance(one, Known)] == [Known(f"{path}:82")]  # there twice, and asked once
        assert f"{path}:81: prompt is missing" in str(next(one for one in bad if ":81" in one.place))
        assert any("gave no answer: its answer was cut off" in one.reason for one in bad)
        for one in good:
            assert [answer["model"] for answer in one.content["answers"]] == [first.model, second.model]
        before = {one.provenance["asked"] for one in good}
        again = list(answered(path, KINDS["comparisons"], [first, second], before))
        assert not before & {one.provenance["asked"] for one in again if isinstance(one, Sample)}
        assert {one.place for one in again if isinstance(one, Known)} >= {
            f"{path}:{one.provenance['line']}" for one in good
        }
        assert len(again) == len(found)


# With Label Studio


def project(database: Database, client: Client, kind: str) -> Project:
    id = client.create_project(f"test of drafts: {kind}", KINDS[kind].config())
    made = Project("p", kind, None, client.url, id, "", "", 1, 1, datetime.now(UTC))
    add_project(database, made)
    return made


@pytest.mark.slow
def test_drafts_fill_the_boxes_and_models_stay_unknown(servers: list[Served], client: Client, tmp_path: Path) -> None:
    samples = [make_sample(KINDS["demonstrations"], {"prompt": f"the cat and {n}?"}, {}) for n in range(60)]
    with Database(f"sqlite:///{tmp_path}/store.db") as database, drafter(servers[0]) as model:
        made = project(database, client, "demonstrations")
        found = push(database, client, "p", samples, drafts=model)
        with database.read() as session:
            stored = {one.task_id: one for one in read_samples(session, "p")}
        drafted = [one for one in stored.values() if one.draft is not None]
        assert (found.pushed, found.undrafted.total()) == (60, 60 - len(drafted))
        assert found.undrafted.keys() <= {"its answer was cut off after 60 tokens", "its answer is empty"}
        assert drafted
        assert {one.draft_model for one in drafted} == {model.model}
        for task, one in list(stored.items())[:10]:
            assert task is not None
            got = client._get(f"api/tasks/{task}/")
            shown = [each["result"][0]["value"]["text"] for each in got["predictions"]]
            assert shown == ([] if one.draft is None else [[one.draft]])
            assert model.model not in json.dumps(got)
        client.delete_project(made.remote_id)


@pytest.mark.slow
def test_a_project_without_a_box_takes_no_drafts(servers: list[Served], client: Client, tmp_path: Path) -> None:
    pair = make_sample(KINDS["comparisons"], {"prompt": "?", "answers": ["a", "b"]}, {})
    with Database(f"sqlite:///{tmp_path}/store.db") as database, drafter(servers[0]) as model:
        made = project(database, client, "comparisons")
        with pytest.raises(PushError, match="p: in a project of comparisons there is no box"):
            push(database, client, "p", [pair], drafts=model)
        assert push(database, client, "p").pushed == 1
        client.delete_project(made.remote_id)


@pytest.mark.slow
def test_a_model_that_goes_away_stops_the_push_and_the_same_call_goes_on(
    models: tuple[Path, Path], client: Client, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"the bird and {n}"}) + "\n" for n in range(120)))
    kind = KINDS["rankings"]
    with Database(f"sqlite:///{tmp_path}/store.db") as database:
        made = project(database, client, "rankings")
        with serving(models[0], tmp_path / "reports.db") as served:
            model = drafter(served, max_tokens=110, retries=0)
            port = int(served.url.rsplit(":", 1)[1])
            source = answered(prompts, kind, [model, model])
            seen: list[Sample | Rejected | Known] = []

            def killing() -> Iterator[Sample | Rejected | Known]:
                for one in source:
                    seen.append(one)
                    if len(seen) == 40:
                        served.process.kill()
                        served.process.wait()
                    yield one

            with pytest.raises(DraftError, match="no server answers"):
                push(database, client, "p", killing())
        kept = asked_before(database, "p")
        assert kept == {one.provenance["asked"] for one in seen if isinstance(one, Sample)}
        with serving(models[0], tmp_path / "reports.db", port=port), model:
            found = push(database, client, "p", answered(prompts, kind, [model, model], kept))
        assert kept < asked_before(database, "p")
        assert found.pushed == len(asked_before(database, "p"))
        client.delete_project(made.remote_id)
