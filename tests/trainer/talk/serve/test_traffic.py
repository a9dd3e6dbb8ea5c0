"""A sample of what is asked and answered: whole lines, masked, for the owner alone, and never at an answer's cost."""

import fcntl
import json
import logging
import multiprocessing
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from flywheel.cases import leaked
from tests.trainer.talk.serve.conftest import Serve, Served
from trainer.talk.conversation import Call, Message
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.traffic import MOST_WAITING, Sample, Traffic, append, older

ASKED, SAID = [Message("user", "Who can help?")], [Message("assistant", "Ask anna@example.com.")]
CHECKPOINT = "c0" * 32


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def counted(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("corpuscle_sampled_exchanges_total", {"outcome": outcome}) or 0.0


def until(done: Callable[[], bool], seconds: float = 60) -> bool:
    """Waits so long; whether it is done."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return done()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "traffic.jsonl"


def kept(file: Path, *said: Message, asked: list[Message] = ASKED, share: float = 1.0) -> list[dict[str, Any]]:
    traffic = Traffic(Sample(file, share, leaked), Metrics())
    traffic.offer("a1", CHECKPOINT, asked, said)
    traffic.close()
    return rows(file)


def test_an_exchange_is_kept_masked_with_what_its_answer_gave_away(file: Path) -> None:
    (row,) = kept(file, *SAID)
    assert row.pop("time").endswith("+00:00")
    prompt = [{"role": "user", "content": "Who can help?"}]
    assert row == {"id": "a1", "checkpoint_id": CHECKPOINT, "prompt": prompt, "answer": "Ask [email].", "leaks": 1}


def test_what_the_user_gave_is_masked_and_no_leak(file: Path) -> None:
    (row,) = kept(file, *SAID, asked=[Message("user", "Write to anna@example.com")])
    assert row["prompt"][0]["content"] == "Write to [email]"
    assert "leaks" not in row


def test_what_tools_returned_stands_before_the_answer(file: Path) -> None:
    used = [Message("assistant", "", (Call("calculator", "1+1"),)), Message("tool", "2"), Message("assistant", "Two.")]
    (row,) = kept(file, *used)
    assert [message["role"] for message in row["prompt"]] == ["user", "assistant", "tool"]
    assert row["answer"] == "Two."


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ([Message("assistant", "", (Call("weather", "Paris"),))], ASKED),
        ([Message("assistant", "", (Call("search", "it"),)), Message("tool", "much")], ASKED),
        ([Message("assistant", "and on")], [*ASKED, Message("assistant", "It goes")]),
        ([], ASKED),
        ([Message("assistant", "a" * 200_001)], ASKED),
    ],
    ids=["a call for the client", "a tool had the last word", "a text gone on with", "nothing", "too long"],
)
def test_what_no_monitor_could_read_is_not_kept(file: Path, said: list[Message], asked: list[Message]) -> None:
    assert kept(file, *said, asked=asked) == []


def test_the_same_ids_are_drawn_each_time_and_as_many_as_the_share(file: Path) -> None:
    drawn = []
    for _ in range(2):
        traffic = Traffic(Sample(file, 0.2, leaked), Metrics())
        for number in range(MOST_WAITING):
            traffic.offer(f"chatcmpl-{number}", CHECKPOINT, ASKED, [Message("assistant", "Yes.")])
        traffic.close()
        drawn.append([row["id"] for row in rows(file)])
        file.unlink()
    assert drawn[0] == drawn[1]
    assert 150 < len(drawn[0]) < 250


def test_the_file_is_for_its_owner_alone(file: Path) -> None:
    umask = os.umask(0)
    try:
        append(file, b"{}\n", most=3)
        append(file, b"{}\n", most=3)
    finally:
        os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in (file, older(file))} == {0o600}
    file.chmod(0o644)  # made by somebody before
    append(file, b"{}\n")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_full_file_is_put_aside_in_place_of_the_one_before(file: Path) -> None:
    for number in range(10):
        append(file, b"%d\n" % number, most=8)
    assert (older(file).read_text(), file.read_text()) == ("4\n5\n6\n7\n", "8\n9\n")


def write_many(file: Path, writer: int, most: int) -> None:
    with ThreadPoolExecutor(4) as threads:
        lines = [json.dumps({"writer": writer, "line": line, "fill": "x" * (line % 700)}) for line in range(200)]
        list(threads.map(lambda line: append(file, line.encode() + b"\n", most), lines))


@pytest.mark.parametrize("most", [1 << 20, 60_000], ids=["one file", "put aside meanwhile"])
def test_threads_of_several_processes_write_whole_lines(file: Path, most: int) -> None:
    forked = multiprocessing.get_context("fork")
    writers = [forked.Process(target=write_many, args=(file, number, most)) for number in range(3)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    found = {(row["writer"], row["line"]) for path in (older(file), file) for row in rows(path)}
    assert file.stat().st_size <= most
    assert older(file).exists() == (most < 1 << 20)
    assert len(found) == 600, "what was put aside twice would be missing"


def test_who_waits_for_a_file_that_is_put_aside_writes_into_the_new_one(file: Path) -> None:
    with ThreadPoolExecutor(1) as thread, file.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        written = thread.submit(append, file, b"{}\n")
        time.sleep(0.5)  # until it waits for the lock
        file.replace(older(file))
        fcntl.flock(held, fcntl.LOCK_UN)
        written.result()
    assert (older(file).read_text(), file.read_text()) == ("", "{}\n")


def test_behind_half_a_line_of_a_killed_process_a_new_one_begins(file: Path) -> None:
    file.write_text('{"id": "a0", "answ')
    append(file, b'{"id": "a1"}\n')
    assert file.read_text().splitlines() == ['{"id": "a0", "answ', '{"id": "a1"}']


def test_what_a_full_disk_cuts_off_leaves_no_part(file: Path) -> None:
    """The largest file that a process may write stands for the disk: the write that meets its end is short."""
    append(file, b"first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9, before[1]))
    try:
        for line in (b"second\n", b"third\n"):
            with pytest.raises(OSError, match="No space left|too large"):
                append(file, line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    append(file, b"last\n")
    assert file.read_text() == "first\nlast\n"


def test_a_disk_that_fails_is_told_once_and_counted_until_it_is_well(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    file = file.parent / "gone" / file.name
    file.parent.mkdir()
    traffic = Traffic(Sample(file, 1.0, leaked), metrics)
    file.unlink()
    file.parent.rmdir()
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            traffic.offer(f"a{number}", CHECKPOINT, ASKED, SAID)
        assert until(lambda: counted(metrics, "lost") == 3)
        file.parent.mkdir()
        traffic.offer("a3", CHECKPOINT, ASKED, SAID)
        traffic.close()
    assert [row["id"] for row in rows(file)] == ["a3"]
    assert [one.getMessage() for one in caplog.records] == [
        f"sampled traffic is not kept, all else goes on: {file}: [Errno 2] No such file or directory: '{file}'"
    ]
    assert (counted(metrics, "lost"), counted(metrics, "kept")) == (3, 1)


def test_more_than_can_be_written_are_lost_and_wait_for_nobody(file: Path) -> None:
    metrics = Metrics()
    traffic = Traffic(Sample(file, 1.0, leaked), metrics)
    with file.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for number in range(MOST_WAITING + 10):
            traffic.offer(f"a{number}", CHECKPOINT, ASKED, [Message("assistant", "Yes.")])
        assert counted(metrics, "lost") >= 9, "one is being written"
    assert until(lambda: counted(metrics, "lost") + counted(metrics, "kept") == MOST_WAITING + 10)
    traffic.close()
    assert len(rows(file)) == counted(metrics, "kept")


def test_a_file_that_can_t_be_written_is_told_before_the_server_begins(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be written .No such file or directory.; give a file in a folder"):
        Sample(tmp_path / "none" / "traffic.jsonl", 1.0, leaked)


@pytest.fixture(scope="module")
def sampling(
    model: Path, other_model: Path, serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, Path]]:
    folder = tmp_path_factory.mktemp("sampling")
    file = folder / "traffic.jsonl"
    options = ("--against", str(other_model), "--tokens", "8", "--traffic", str(file), "--traffic-share", "1")
    with serve(model, folder / "store.db", *options, says=subprocess.PIPE) as served:
        yield served, file


def ask(server: Served, text: str, **more: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}], **more}
    return httpx.post(server.url + "/v1/chat/completions", json=body, timeout=60)


def waited(file: Path, text: str, count: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [row for row in rows(file) if text in row["prompt"][-1]["content"]]

    assert until(lambda: len(found()) >= count)
    return found()


@pytest.mark.slow
def test_answers_are_kept_streamed_or_whole_one_or_several(sampling: tuple[Served, Path]) -> None:
    server, file = sampling
    whole = ask(server, "whole").json()
    (row,) = waited(file, "whole", 1)
    assert (row["id"], row["checkpoint_id"]) == (whole["id"], whole["corpuscle"]["checkpoint"])
    streamed = [line for line in ask(server, "streamed", stream=True).text.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(line[6:]) for line in streamed]
    (row,) = waited(file, "streamed", 1)
    assert row["id"] == chunks[0]["id"]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert row["answer"] == text
    three = ask(server, "several", n=3).json()
    assert [row["id"] for row in waited(file, "several", 3)] == [three["id"], f"{three['id']}-1", f"{three['id']}-2"]


@pytest.mark.slow
def test_both_answers_of_the_arena_are_kept_each_with_its_checkpoint(sampling: tuple[Served, Path]) -> None:
    server, file = sampling
    body = {"messages": [{"role": "user", "content": "arena"}]}
    lines = httpx.post(server.url + "/api/arena", json=body, timeout=60).text.splitlines()
    match = json.loads(lines[-1])["match"]
    found = waited(file, "arena", 2)
    assert [row["id"] for row in found] == [f"{match}-a", f"{match}-b"]
    assert len({row["checkpoint_id"] for row in found}) == 2


@pytest.mark.slow
def test_who_asks_that_nothing_be_stored_is_not_in_the_sample(sampling: tuple[Served, Path]) -> None:
    server, file = sampling
    for stream in (False, True):
        assert ask(server, "secret", store=False, stream=stream).status_code == 200
    ask(server, "marker", store=True)
    waited(file, "marker", 1)
    assert not any("secret" in str(row) for row in rows(file))


@pytest.mark.slow
def test_the_server_tells_that_it_samples(sampling: tuple[Served, Path], model: Path, serve: Serve) -> None:
    server, file = sampling
    ask(server, "counted")
    waited(file, "counted", 1)
    assert httpx.get(server.url + "/api/about").json()["sampled"] == 1
    assert 'corpuscle_sampled_exchanges_total{outcome="kept"}' in httpx.get(server.url + "/metrics").text
    with serve(model, file.parent / "other.db") as plain:
        assert httpx.get(plain.url + "/api/about").json()["sampled"] == 0


@pytest.mark.slow
def test_people_read_on_the_page_that_answers_are_kept(
    sampling: tuple[Served, Path], model: Path, serve: Serve, browser: Any
) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def said(server: Served) -> str:
        browser.get(server.url + "/")
        WebDriverWait(browser, 30).until(lambda _: browser.find_element(By.ID, "model").text)
        return str(browser.find_element(By.ID, "sampled").text)

    server, file = sampling
    assert said(server).startswith("100% of the answers are kept with their conversations, to look for faults.")
    with serve(model, file.parent / "quiet.db") as plain:
        assert said(plain) == ""


@pytest.mark.slow
def test_a_server_that_is_stopped_writes_what_waits(model: Path, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    with serve(model, tmp_path / "store.db", "--tokens", "4", "--traffic", str(file), "--traffic-share", "1") as served:
        for number in range(20):
            ask(served, f"number {number}")
    assert len(rows(file)) == 20
