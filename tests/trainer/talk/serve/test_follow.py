import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.trainer.talk.serve.conftest import Serve
from trainer.checkpoint import find, read_about
from trainer.engine import Request
from trainer.pointer import Pointer, write_pointer
from trainer.sampling import GREEDY
from trainer.talk.serve.answers import Writer
from trainer.talk.serve.command import Options, build
from trainer.talk.serve.follow import Follower
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.models import Models
from trainer.talk.serve.worker import StoppedError, Worker


def point(file: Path, model: Path) -> str:
    folder = find(model)
    write_pointer(file, Pointer(folder, read_about(folder).id))
    return read_about(folder).id


@pytest.fixture
def file(tmp_path: Path, model: Path) -> Path:
    point(tmp_path / "current.json", model)
    return tmp_path / "current.json"


@pytest.fixture
def models(model: Path) -> Iterator[Models]:
    worker = Worker(model, given="current")
    found = Models({worker.name: Writer(worker, Metrics())}, 64)
    yield found
    for writer in found.writers.values():
        writer.worker.stop()


def following(file: Path, models: Models) -> Follower:
    def take_over(old: Worker, new: Worker) -> None:
        models.replace(old.name, Writer(new, Metrics()))

    return Follower(file, models.find(None).worker, lambda path: Worker(path, given="current"), take_over)


async def nothing(*_: Any) -> Any:
    return None


def test_the_model_that_the_pointer_comes_to_name_takes_over(file: Path, models: Models, other_model: Path) -> None:
    follower = following(file, models)
    assert not asyncio.run(follower.look())
    named = point(file, other_model)
    assert asyncio.run(follower.look())
    assert models.find(None).worker.about.id == models.find("current").worker.about.id == named
    assert not asyncio.run(follower.look())


def test_a_request_in_hand_is_finished_by_the_model_that_it_began_with(
    file: Path, models: Models, other_model: Path
) -> None:
    """Though it writes nothing while the models change, as between two rounds of tools."""
    follower = following(file, models)

    async def story() -> None:
        go, done = asyncio.Event(), []
        old = models.find(None).worker

        async def app(*_: Any) -> None:
            worker = models.find(None).worker
            await go.wait()
            done.append([event.token async for event in worker.write(Request([1, 5], 6, GREEDY))])

        request = asyncio.ensure_future(follower.around(app)({"type": "http"}, nothing, nothing))
        await asyncio.sleep(0)
        point(file, other_model)
        assert await follower.look()
        assert models.find(None).worker is not old
        go.set()
        await request
        assert len(done[0]) == 6
        await asyncio.to_thread(old.join)  # now that nobody needs it
        with pytest.raises(StoppedError):
            old.check_room(1)

    asyncio.run(story())


def test_a_model_without_requests_is_stopped_when_it_is_replaced(file: Path, models: Models, other_model: Path) -> None:
    follower, old = following(file, models), models.find(None).worker
    point(file, other_model)
    asyncio.run(follower.look())
    old.join()


@pytest.mark.parametrize("damage", ["no json", json.dumps({"path": "nowhere", "id": "x"})])
def test_a_pointer_that_cannot_be_followed_changes_nothing_and_says_why(
    file: Path, models: Models, damage: str, other_model: Path
) -> None:
    follower, before = following(file, models), models.find(None)
    file.write_text(damage)
    assert not asyncio.run(follower.look())
    assert models.find(None) is before
    assert follower.failure
    point(file, other_model)
    assert asyncio.run(follower.look())
    assert not follower.failure


def test_an_open_page_may_ask_for_the_model_before_and_reports_stay_with_what_answered(
    file: Path, models: Models, other_model: Path
) -> None:
    old = models.find(None).worker
    named = point(file, other_model)
    asyncio.run(following(file, models).look())
    assert models.find(old.name).worker.about.id == models.find(old.about.id).worker.about.id == named
    assert models.checkpoint(old.name) == models.checkpoint(old.about.id) == old.about.id
    assert models.checkpoint(None) == models.checkpoint("current") == named


def test_after_a_rollback_the_names_mean_what_they_meant(
    file: Path, models: Models, model: Path, other_model: Path
) -> None:
    follower, first = following(file, models), models.find(None).worker
    second = point(file, other_model)
    asyncio.run(follower.look())
    between = models.find(None).worker.name
    point(file, model)
    asyncio.run(follower.look())
    assert models.checkpoint(None) == models.checkpoint(first.name) == first.about.id
    assert models.checkpoint(between) == second


def test_what_is_followed_is_not_compared_with(file: Path, other_model: Path) -> None:
    with pytest.raises(ValueError, match="--against"):
        build(Options(file, against=other_model))


@pytest.mark.slow
def test_a_server_under_load_changes_its_model_without_losing_a_request(
    file: Path, model: Path, other_model: Path, serve: Serve, tmp_path: Path
) -> None:
    first, second = read_about(find(model)).id, read_about(find(other_model)).id
    body = {"model": "current", "messages": [{"role": "user", "content": "the cat saw"}], "max_tokens": 24}
    seen: list[tuple[int, str]] = []
    with serve(file, tmp_path / "reports.db", "--rows", "8") as served:

        def ask() -> None:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                found = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60)
                seen.append((found.status_code, found.json().get("corpuscle", {}).get("checkpoint", found.text)))
                if seen[-1][1] == second:
                    return

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(seen) < 8:
            time.sleep(0.05)
        point(file, other_model)
        for thread in threads:
            thread.join()
        assert httpx.get(f"{served.url}/health").json()["status"] == "ok"
    assert {status for status, _ in seen} == {200}
    assert {checkpoint for _, checkpoint in seen} == {first, second}
