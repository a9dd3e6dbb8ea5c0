import json
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

from labeling.store.database import Database
from labeling.store.reports import comparisons, reports
from tests.trainer.serve.conftest import Serve, Served

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
    [{"id": "1"}, {"category": "dull"}, {"category": None}, {"messages": []}, {"rating": 5}, {"description": "\ud800"}],
)
def test_a_wrong_report_is_refused(server: Served, wrong: dict[str, Any]) -> None:
    body = {"id": str(uuid.uuid4()), "messages": SAID, "category": "refusal", **wrong}
    answer = httpx.post(
        server.url + "/api/reports", content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400, answer.text


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
        time.sleep(1 + random.Random(str(tmp_path)).random())
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
