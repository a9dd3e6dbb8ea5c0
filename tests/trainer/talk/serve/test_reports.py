import json
import math
import random
import signal
import sqlite3
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.event import listen

from labeling.store.database import Database
from labeling.store.reports import comparisons, reports
from tests.trainer.talk.serve.conftest import Serve, Served
from trainer.sampling import Sampling
from trainer.talk.conversation import Message
from trainer.talk.serve.arena import Match
from trainer.talk.serve.keep import Keeper
from trainer.talk.serve.schema import ArenaChoice
from trainer.talk.turn import Limits

pytestmark = pytest.mark.slow
SAID = [{"role": "user", "content": "mail me at jane.doe@example.org"}, {"role": "assistant", "content": "no"}]


def report(server: Served, **fields: Any) -> httpx.Response:
    body = {"id": str(uuid.uuid4()), "messages": SAID, "category": "refusal", **fields}
    return httpx.post(server.url + "/api/reports", json=body, timeout=60)


def stored(server: Served) -> dict[str, Any]:
    with Database(f"sqlite:///{server.store}") as database:
        return {item.id: item for item in reports(database)}


def test_a_report_is_stored_with_all_that_belongs_to_it(server: Served) -> None:
    answer = report(
        server,
        description="it should",
        wished_answer="Of course.",
        consent=True,
        mask=False,
        sampling={"temperature": 0.5, "seed": 3, "max_tokens": 9},
    )
    assert answer.status_code == 201
    found = stored(server)[answer.json()["id"]]
    assert [dict(message) for message in found.messages] == SAID
    assert (found.category, found.description, found.wished_answer) == ("refusal", "it should", "Of course.")
    assert (found.consent, found.masked, found.source) == (True, False, "page")
    assert found.sampling == {"temperature": 0.5, "seed": 3, "max_tokens": 9}
    assert len(found.checkpoint_id) == 64


def test_personal_data_are_masked_unless_it_is_asked_not_to(server: Served) -> None:
    answer = report(server)
    found = stored(server)[answer.json()["id"]]
    assert "jane.doe" not in json.dumps(found.messages)
    assert found.masked
    assert not found.consent


def test_the_same_report_sent_twice_is_stored_once(server: Served) -> None:
    same, before = str(uuid.uuid4()), len(stored(server))
    assert [report(server, id=same).status_code for _ in range(2)] == [201, 201]
    assert len(stored(server)) == before + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "1"},
        {"id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},  # of version 1
        {"id": "6ba7b810-9dad-41d1-c0b4-00c04fd430c8"},  # of another variant
        {"category": "dull"},
        {"category": None},
        {"messages": []},
        {"rating": 5},
        {"description": "\ud800"},
        {"checkpoint": "ab" * 31},
        {"sampling": {"temperature": math.nan}},
        {"sampling": {"top_p": math.inf}},
    ],
)
def test_a_wrong_report_is_refused(server: Served, wrong: dict[str, Any]) -> None:
    body = {"id": str(uuid.uuid4()), "messages": SAID, "category": "refusal", **wrong}
    answer = httpx.post(
        server.url + "/api/reports", content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"id": "1"}, "id is no random UUID (version 4)"),
        ({"checkpoint": "ab"}, "checkpoint is no checkpoint's id (64 digits, 0 to 9 and a to f)"),
        ({"category": None}, "neither category nor rating; expected one of them at least"),
        (
            {"messages": SAID[:1]},
            "messages end with the user; expected the assistant's answer that the report is about",
        ),
        (
            {"messages": SAID[1:]},
            "messages have nothing that was answered; expected a user's message before the answer",
        ),
        ({"wished_anwser": "Yes."}, "unknown key wished_anwser; expected id, model, checkpoint, messages, category,"),
        ({"consnet": True}, "unknown key consnet; expected id, model, checkpoint, messages, category, description,"),
        ({"sampling": {"temprature": 1}}, "sampling: unknown key temprature; expected temperature, top_p, top_k, seed"),
    ],
)
def test_a_refusal_says_what_was_expected(server: Served, wrong: dict[str, Any], told: str) -> None:
    before = len(stored(server))
    answer = report(server, **wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(told)
    assert len(stored(server)) == before


def test_a_comparison_s_consent_that_is_spelt_wrongly_is_refused(server: Served) -> None:
    body = {"id": str(uuid.uuid4()), "messages": SAID[:1], "a": {"text": "a"}, "b": {"text": "b"}, "choice": "a"}
    answer = httpx.post(server.url + "/api/comparisons", json=body | {"consnet": True})
    assert (answer.status_code, "unknown key consnet" in answer.text) == (400, True)


def test_a_report_may_say_which_checkpoint_answered(server: Served) -> None:
    answer = report(server, model="gone since", checkpoint="ab" * 32)
    assert answer.status_code == 201
    assert stored(server)[answer.json()["id"]].checkpoint_id == "ab" * 32


CALLED: list[dict[str, Any]] = [
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "search", "arguments": "jane.doe@example.org"}}],
    },
    {"role": "tool", "content": "nothing"},
    {"role": "assistant", "content": "I found nothing."},
]


def compare(server: Served, **a: Any) -> httpx.Response:
    body = {"id": str(uuid.uuid4()), "messages": SAID[:1], "a": a, "b": {"text": "no"}, "choice": "a"}
    return httpx.post(server.url + "/api/comparisons", json=body, timeout=60)


def test_an_answer_that_used_tools_is_stored_with_its_turns_and_masked(server: Served) -> None:
    answer = compare(server, text="I found nothing.", messages=CALLED, checkpoint="cd" * 32)
    assert answer.status_code == 201
    with Database(f"sqlite:///{server.store}") as database:
        found = {item.id: item for item in comparisons(database)}[answer.json()["id"]]
    assert (found.a.text, found.a.checkpoint_id, found.b.said) == ("I found nothing.", "cd" * 32, [])
    assert [message["role"] for message in found.a.said] == ["assistant", "tool", "assistant"]
    assert "jane.doe" not in json.dumps(found.a.said)


@pytest.mark.parametrize(
    "messages",
    [
        CALLED[:2],  # no answer
        [CALLED[0], CALLED[2]],  # no result
        [{"role": "user", "content": "?"}, CALLED[2]],
        [{"role": "assistant", "content": "Something else."}],
    ],
)
def test_turns_that_are_no_answer_with_that_text_are_refused(server: Served, messages: list[dict[str, Any]]) -> None:
    answer = compare(server, text="I found nothing.", messages=messages)
    assert answer.status_code == 400, answer.text


def test_ratings_are_reckoned_anew_only_after_a_choice(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path / 'reports.db'}") as database:
        keeper, statements = Keeper(database), list[str]()
        listen(database.engine, "before_cursor_execute", lambda *about: statements.append(about[2]))

        def choose() -> None:
            said = ((Message("assistant", "x"),), (Message("assistant", "y"),))
            names = ("a" * 64, "b" * 64)
            match = Match(str(uuid.uuid4()), [Message("user", "?")], said, names, names, Sampling(), Limits(9))
            keeper.arena(match, ArenaChoice(match=match.id, choice="a", session=""))

        def matches() -> int:
            return int(keeper.ratings({})["matches"])

        assert matches() == 0
        choose()
        assert matches() == 1
        statements.clear()
        assert matches() == 1
        assert not any("prompt" in statement for statement in statements)  # no row is read, only counted
        choose()
        assert matches() == 2


def test_a_comparison_is_stored(server: Served) -> None:
    body = {
        "id": str(uuid.uuid4()),
        "messages": SAID[:1],
        "a": {"text": "yes", "sampling": {"seed": 1}},
        "b": {"text": "no"},
        "choice": "a",
        "session": "s",
    }
    assert httpx.post(server.url + "/api/comparisons", json=body).status_code == 201
    with Database(f"sqlite:///{server.store}") as database:
        found = {item.id: item for item in comparisons(database)}[str(body["id"])]
    assert (found.a.text, found.b.text, found.choice, found.session) == ("yes", "no", "a", "s")


def test_the_arena_hides_the_names_until_the_choice_and_rates_afterwards(server: Served) -> None:
    chosen = 0
    for _ in range(6):
        answer = httpx.post(server.url + "/api/arena", json={"messages": SAID[:1], "max_tokens": 4}, timeout=60)
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert "pretrain-" not in answer.text
        told = httpx.post(server.url + "/api/arena/choice", json={"match": lines[-1]["match"], "choice": "a"}).json()
        assert {told["a"], told["b"]} == set(httpx.get(server.url + "/health").json()["models"])
        chosen += 1
    again = httpx.post(server.url + "/api/arena/choice", json={"match": lines[-1]["match"], "choice": "b"})
    assert again.status_code in (201, 503)  # told, but the first choice stays
    ratings = httpx.get(server.url + "/api/arena/ratings").json()
    assert ratings["matches"] == chosen
    assert "insufficient evidence" in ratings["verdict"]
    unknown = {"match": str(uuid.uuid4()), "choice": "a"}
    assert httpx.post(server.url + "/api/arena/choice", json=unknown).status_code == 404


def test_a_locked_store_is_told_and_the_report_can_be_sent_again(server: Served) -> None:
    lock = sqlite3.connect(server.store, isolation_level=None, check_same_thread=False)
    lock.execute("begin exclusive")
    release = threading.Timer(2.0, lambda: lock.execute("rollback"))
    release.start()
    waited = report(server)  # longer than the lock is held
    release.join()
    assert waited.status_code == 201
    assert waited.json()["id"] in stored(server)
    lock.execute("begin exclusive")
    same = str(uuid.uuid4())
    try:
        answer = report(server, id=same)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "store_busy"
    finally:
        lock.execute("rollback")
        lock.close()
    assert same not in stored(server)
    assert report(server, id=same).status_code == 201
    assert same in stored(server)


def test_no_report_that_was_acknowledged_is_lost_by_a_kill(model: Path, serve: Serve, tmp_path: Path) -> None:
    store, acknowledged = tmp_path / "reports.db", list[str]()
    with serve(model, store) as served:

        def send() -> None:
            while True:
                try:
                    answer = report(served)
                except httpx.TransportError:
                    return
                if answer.status_code == 201:
                    acknowledged.append(answer.json()["id"])

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(acknowledged) <= 10 and any(thread.is_alive() for thread in threads):
            time.sleep(0.01)
        time.sleep(random.Random(str(tmp_path)).random() / 2)  # anywhere in the middle of something
        served.process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert len(acknowledged) > 10
    with Database(f"sqlite:///{store}") as database:
        assert set(acknowledged) <= {item.id for item in reports(database)}


def test_a_full_store_is_told(model: Path, serve: Serve, tmp_path: Path) -> None:
    with serve(model, tmp_path / "reports.db") as served:
        assert report(served).status_code == 201
        with sqlite3.connect(tmp_path / "reports.db") as connection:
            connection.execute(
                "create trigger full before insert on reports begin select raise(fail, 'database or disk is full'); end"
            )
        answer = report(served)
        assert answer.status_code == 503, answer.text
        assert httpx.get(served.url + "/health").status_code == 200
