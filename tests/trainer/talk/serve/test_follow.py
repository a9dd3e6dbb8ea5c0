import asyncio
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from labeling.store.database import Database
from labeling.store.reports import read_reports
from tests.trainer.talk.serve.conftest import Serve
from trainer.checkpoint import MODEL, find, read_about
from trainer.engine import Request
from trainer.pointer import Canary, Pointer, write_pointer
from trainer.sampling import GREEDY
from trainer.talk.conversation import Message
from trainer.talk.serve.answers import Writer
from trainer.talk.serve.command import Options, build
from trainer.talk.serve.follow import Answering, Follower
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.models import Models
from trainer.talk.serve.worker import StoppedError, Worker


def point(file: Path, model: Path, canary: Path | None = None, share: float = 0.5) -> str:
    """The id of the canary, or where there is none of the model."""
    folder, other = find(model), None if canary is None else find(canary)
    beside = None if other is None else Canary(other, read_about(other).id, share)
    write_pointer(file, Pointer(folder, read_about(folder).id, canary=beside))
    return read_about(other or folder).id


@pytest.fixture
def file(tmp_path: Path, model: Path) -> Path:
    point(tmp_path / "current.json", model)
    return tmp_path / "current.json"


@pytest.fixture
def models(model: Path) -> Iterator[Models]:
    worker = Worker(model, given="current")
    found = Models({worker.name: Writer(worker, Metrics())}, 64)
    yield found
    for writer in found.all:
        writer.worker.stop()


def following(file: Path, models: Models) -> Follower:
    def take_over(answering: Answering) -> None:
        old, canary = models.find(None).worker, answering.canary
        if old is not answering.worker:
            models.replace(old.name, Writer(answering.worker, Metrics()))
        models.try_out(None if canary is None else Writer(canary, Metrics()), answering.share)

    return Follower(file, models.find(None).worker, lambda path: Worker(path, given="current"), take_over)


async def nothing(*_: Any) -> Any:
    return None


@dataclass
class Clock:
    seconds: float = 0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Tried:
    """Loads a model, and remembers when."""

    clock: Clock
    at: list[float] = field(default_factory=list)

    def __call__(self, path: Path) -> Worker:
        self.at.append(self.clock())
        return Worker(path, given="current")


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


def greeting(number: int) -> list[Message]:
    return [Message("system", "be kind"), Message("user", f"question {number}")]


def who(models: Models, number: int = 0, name: str | None = None) -> str:
    return models.choose(name, greeting(number)).worker.about.id


def test_a_canary_answers_its_share_and_keeps_its_conversations(
    file: Path, models: Models, model: Path, other_model: Path
) -> None:
    canary = point(file, model, other_model, 0.25)
    assert asyncio.run(following(file, models).look())
    drawn = [number for number in range(400) if who(models, number) == canary]
    assert 60 < len(drawn) < 140  # 100 are expected, and 8.7 is the standard deviation
    for number in (drawn[0], next(number for number in range(400) if number not in drawn)):
        longer = [*greeting(number), Message("assistant", "well"), Message("user", "go on")]
        assert models.choose("current", longer).worker.about.id == who(models, number)


def test_who_asks_for_a_checkpoint_by_its_id_or_for_the_canary_by_its_name_gets_it(
    file: Path, models: Models, model: Path, other_model: Path
) -> None:
    first = models.find(None).worker
    canary = point(file, model, other_model, 0.5)
    asyncio.run(following(file, models).look())
    assert {who(models, number, first.about.id) for number in range(20)} == {first.about.id}
    assert {who(models, number, models.all[1].worker.name) for number in range(20)} == {canary}
    assert {who(models, number, first.name) for number in range(20)} == {first.about.id, canary}


def test_a_report_that_names_no_checkpoint_is_about_the_one_that_answers_its_conversation(
    file: Path, models: Models, model: Path, other_model: Path
) -> None:
    canary = point(file, model, other_model, 0.5)
    follower = following(file, models)
    asyncio.run(follower.look())
    name = models.all[1].worker.name
    number = next(number for number in range(100) if who(models, number) == canary)
    assert models.checkpoint("current", greeting(number)) == canary
    point(file, model)
    asyncio.run(follower.look())
    assert models.checkpoint("current", greeting(number)) == models.find(None).worker.about.id
    assert models.checkpoint(name, greeting(number)) == canary  # as its answers said


def test_a_canary_that_no_longer_writes_is_passed_over(
    file: Path, models: Models, model: Path, other_model: Path
) -> None:
    point(file, model, other_model, 0.9)
    asyncio.run(following(file, models).look())
    canary = models.all[1].worker
    canary.stop()
    canary.join()
    assert canary.failed
    assert {who(models, number) for number in range(20)} == {models.find(None).worker.about.id}


def test_a_promoted_canary_is_not_read_again(file: Path, models: Models, model: Path, other_model: Path) -> None:
    point(file, model, other_model)
    follower, old = following(file, models), models.find(None).worker
    asyncio.run(follower.look())
    canary = models.all[1].worker
    point(file, other_model)
    assert asyncio.run(follower.look())
    assert [writer.worker for writer in models.all] == [canary]
    old.join()
    canary.check_room(1)


def test_a_canary_that_ends_finishes_what_it_began(file: Path, models: Models, model: Path, other_model: Path) -> None:
    point(file, model, other_model)
    follower = following(file, models)

    async def story() -> None:
        assert await follower.look()
        canary, go, done = models.all[1].worker, asyncio.Event(), []

        async def app(*_: Any) -> None:
            await go.wait()
            done.append([event.token async for event in canary.write(Request([1, 5], 6, GREEDY))])

        request = asyncio.ensure_future(follower.around(app)({"type": "http"}, nothing, nothing))
        await asyncio.sleep(0)
        point(file, model)
        assert await follower.look()
        assert len(models.all) == 1
        go.set()
        await request
        assert len(done[0]) == 6
        await asyncio.to_thread(canary.join)
        models.find(None).worker.check_room(1)  # goes on, though it was there before the canary

    asyncio.run(story())


def test_a_canary_that_is_not_there_keeps_nobody_from_the_model(
    file: Path, models: Models, model: Path, other_model: Path, tmp_path: Path
) -> None:
    follower = following(file, models)
    named, folder = read_about(find(other_model)).id, find(other_model)
    write_pointer(file, Pointer(folder, named, canary=Canary(tmp_path / "gone", "f0" * 32, 0.5)))
    assert asyncio.run(follower.look())
    assert models.find(None).worker.about.id == named
    assert "gone" in follower.failure
    write_pointer(file, Pointer(folder, named, canary=Canary(find(model), "f0" * 32, 0.5)))
    assert not asyncio.run(follower.look())
    assert "not the canary f0f0f0f0f0f0" in follower.failure
    point(file, other_model)
    assert not asyncio.run(follower.look())
    assert not follower.failure


def test_a_request_may_ask_for_its_model_when_two_others_have_come_since(
    file: Path, models: Models, model: Path, other_model: Path
) -> None:
    """It began under the first, asks after one change, and still writes after the next."""
    follower = following(file, models)

    async def story() -> None:
        ask, go, done = asyncio.Event(), asyncio.Event(), []

        async def app(*_: Any) -> None:
            await ask.wait()
            worker = models.find(None).worker
            await go.wait()
            done.append([event.token async for event in worker.write(Request([1, 5], 6, GREEDY))])

        request = asyncio.ensure_future(follower.around(app)({"type": "http"}, nothing, nothing))
        await asyncio.sleep(0)
        point(file, other_model)
        assert await follower.look()
        second = models.find(None).worker
        ask.set()
        await asyncio.sleep(0)
        point(file, model)
        assert await follower.look()
        second.check_room(1)
        go.set()
        await request
        assert len(done[0]) == 6
        await asyncio.to_thread(second.join)  # now that nobody needs it

    asyncio.run(story())


def test_what_cannot_be_loaded_is_tried_again_after_longer_and_longer(
    file: Path, models: Models, other_model: Path, tmp_path: Path
) -> None:
    """The weights are gone, then they are there again: 1, 2, 4 seconds later and so on, and at last every 300."""
    clock = Clock()
    tried = Tried(clock)
    follower = replace(following(file, models), load=tried, clock=clock)
    broken = Path(shutil.copytree(find(other_model), tmp_path / "broken"))
    weights = (broken / MODEL).read_bytes()
    (broken / MODEL).unlink()
    point(file, broken)
    for _ in range(1_200):
        assert not asyncio.run(follower.look())
        clock.seconds += 1
    assert tried.at == [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1_111]
    assert follower.failure
    (broken / MODEL).write_bytes(weights)
    clock.seconds = 1_411
    assert asyncio.run(follower.look())
    assert not follower.failure


def test_a_canary_that_cannot_be_loaded_is_not_tried_every_second_either(
    file: Path, models: Models, model: Path, other_model: Path, tmp_path: Path
) -> None:
    clock = Clock()
    tried = Tried(clock)
    follower = replace(following(file, models), load=tried, clock=clock)
    folder, named = find(other_model), read_about(find(other_model)).id
    write_pointer(file, Pointer(folder, named, canary=Canary(tmp_path / "gone", "f0" * 32, 0.5)))
    took_over = [asyncio.run(follower.look())]
    for clock.seconds in range(1, 10):
        took_over.append(asyncio.run(follower.look()))
    assert took_over == [True, *[False] * 9]
    assert tried.at == [0, 0, 1, 3, 7]  # the first is the other model, which takes over at once


def test_a_file_that_is_written_again_is_tried_at_once(
    file: Path, models: Models, other_model: Path, tmp_path: Path
) -> None:
    clock = Clock()
    tried = Tried(clock)
    follower = replace(following(file, models), load=tried, clock=clock)
    broken = Path(shutil.copytree(find(other_model), tmp_path / "broken"))
    (broken / MODEL).unlink()
    point(file, broken)
    for _ in range(3):
        asyncio.run(follower.look())
    assert len(tried.at) == 1
    before = file.stat()
    point(file, broken)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    asyncio.run(follower.look())
    assert len(tried.at) == 2
    point(file, other_model)
    assert asyncio.run(follower.look())


def test_what_is_followed_is_not_compared_with(file: Path, other_model: Path) -> None:
    with pytest.raises(ValueError, match="--against"):
        build(Options(file, against=other_model))


@pytest.mark.slow
def test_a_server_under_load_changes_its_models_without_losing_a_request(
    file: Path, model: Path, other_model: Path, serve: Serve, tmp_path: Path
) -> None:
    """A canary comes and goes, comes again, and is promoted."""
    first, second = read_about(find(model)).id, read_about(find(other_model)).id
    seen: list[tuple[int, str]] = []
    over = threading.Event()
    with serve(file, tmp_path / "reports.db", "--rows", "8") as served:

        def ask(thread: int) -> None:
            numbers = iter(range(1_000_000))
            while not over.is_set():
                said = [{"role": "user", "content": f"the cat saw {thread} {next(numbers)}"}]
                body = {"model": "current", "messages": said, "max_tokens": 24}
                found = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60)
                seen.append((found.status_code, found.json().get("corpuscle", {}).get("checkpoint", found.text)))

        def until(met: Callable[[], object]) -> None:
            end = time.monotonic() + 60
            while not met():
                assert time.monotonic() < end, seen[-10:]
                time.sleep(0.05)

        def models() -> dict[str, float]:
            rows = httpx.get(f"{served.url}/v1/models").json()["data"]
            return {row["checkpoint"]: row.get("share", 1.0) for row in rows}

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: len(seen) > 8)
            point(file, model, other_model, 0.5)
            until(lambda: {checkpoint for _, checkpoint in seen} == {first, second})
            assert models() == {first: 0.5, second: 0.5}
            metrics = httpx.get(f"{served.url}/metrics").text
            assert f'corpuscle_conversation_share{{model="pretrain-{second[:12]}"}} 0.5' in metrics
            assert len(httpx.get(f"{served.url}/api/about").json()["models"]) == 1
            assert not httpx.get(f"{served.url}/api/about").json()["arena"]
            point(file, model)
            until(lambda: models() == {first: 1.0})
            assert second[:12] not in httpx.get(f"{served.url}/metrics").text.partition("corpuscle_conversation")[2]
            point(file, model, other_model, 0.5)
            until(lambda: models() == {first: 0.5, second: 0.5})
            point(file, other_model)
            until(lambda: models() == {second: 1.0})
            until(lambda: [checkpoint for _, checkpoint in seen[-8:]] == [second] * 8)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert httpx.get(f"{served.url}/health").json()["status"] == "ok"
    assert {status for status, _ in seen} == {200}
    assert {checkpoint for _, checkpoint in seen} == {first, second}


@pytest.mark.slow
def test_a_report_carries_the_checkpoint_that_answered(
    file: Path, model: Path, other_model: Path, serve: Serve, tmp_path: Path
) -> None:
    point(file, model, other_model, 0.5)
    store = tmp_path / "reports.db"
    expected: dict[str, str] = {}
    with serve(file, store) as served:
        while len(httpx.get(f"{served.url}/v1/models").json()["data"]) < 2:
            time.sleep(0.05)
        for number in range(12):
            asked = [{"role": "user", "content": f"the cat saw {number}"}]
            body = {"model": "current", "messages": asked, "max_tokens": 4}
            found = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60).json()
            id = f"00000000-0000-4000-8000-{number:012}"
            said = [*asked, found["choices"][0]["message"]]
            told = {"id": id, "model": "current", "messages": said, "category": "wrong"}
            if number % 2:
                told["checkpoint"] = found["corpuscle"]["checkpoint"]
            assert httpx.post(f"{served.url}/api/reports", json=told).status_code == 201
            expected[id] = found["corpuscle"]["checkpoint"]
    assert len(set(expected.values())) == 2
    with Database(f"sqlite:///{store}") as database, database.read() as session:
        assert {report.id: report.checkpoint_id for report in read_reports(session)} == expected
