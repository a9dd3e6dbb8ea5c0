import asyncio
import threading
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from trainer.engine import Engine, Request, Written
from trainer.sampling import GREEDY
from trainer.talk.conversation import Call, Message
from trainer.talk.serve import answers
from trainer.talk.serve.answers import Piece, Writer, merged
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.worker import BusyError, StoppedError, Worker
from trainer.talk.tools.tool import Result
from trainer.talk.tools.toolbox import Toolbox
from trainer.talk.turn import Limits, Turn


async def collect(worker: Worker, request: Request) -> list[int]:
    return [event.token async for event in worker.write(request)]


def ask(number: int = 0, most: int = 8) -> Request:
    return Request([1, 5 + number], most, GREEDY)


def test_many_are_answered_by_one_thread_each_as_if_alone(model: Path) -> None:
    worker = Worker(model, rows=4)

    async def all_at_once() -> list[list[int]]:
        return await asyncio.gather(*(collect(worker, ask(number)) for number in range(9)))

    together = asyncio.run(all_at_once())
    assert together == [asyncio.run(collect(worker, ask(number))) for number in range(9)]
    assert worker.active == 0
    worker.stop()
    worker.join()


def test_a_step_that_fails_ends_what_it_was_writing_and_the_next_request_is_answered(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, step, broken = Worker(model), Engine.step, [True]

    def sometimes(engine: Engine) -> list[Written]:
        if engine.busy and broken.pop() if broken else False:
            raise RuntimeError("no memory")
        return step(engine)

    monkeypatch.setattr(Engine, "step", sometimes)
    with pytest.raises(StoppedError, match="no memory.*try again"):
        asyncio.run(collect(worker, ask()))
    assert len(asyncio.run(collect(worker, ask()))) == 8
    assert not worker.failed


def test_a_worker_that_fails_again_and_again_gives_up_and_says_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(model)

    def never(engine: Engine) -> list[Written]:
        raise RuntimeError("broken")

    monkeypatch.setattr(Engine, "step", never)
    for _ in range(3):
        with pytest.raises(StoppedError):
            asyncio.run(collect(worker, ask()))
    worker.join()
    assert worker.failed
    with pytest.raises(StoppedError, match="restart the server"):
        asyncio.run(collect(worker, ask()))


def test_a_worker_that_is_stopped_tells_those_who_wait(model: Path) -> None:
    worker = Worker(model, rows=1)

    async def stop_in_the_middle() -> None:
        async for _ in worker.write(ask(most=100)):
            worker.stop()

    with pytest.raises(StoppedError, match="stopping"):
        asyncio.run(stop_in_the_middle())


def test_where_there_is_no_room_it_is_said_before_anything_begins(model: Path) -> None:
    worker = Worker(model, rows=1, waiting=1)

    async def three() -> None:
        streams = [worker.write(ask(number, 50)) for number in range(2)]
        for stream in streams:
            await anext(stream)
            worker.check_room(0)
            if stream is streams[0]:
                break
        worker.check_room(1)
        with pytest.raises(BusyError):
            worker.check_room(2)
        for stream in streams:
            await stream.aclose()

    asyncio.run(three())


class Hangs:
    """A tool that answers when it is let go."""

    name, description = "hangs", ""

    def __init__(self) -> None:
        self.go = threading.Event()

    def run(self, input: str) -> Result:
        self.go.wait(30)
        return Result("late")


class Quick:
    name, description = "quick", ""

    def run(self, input: str) -> Result:
        return Result(input.upper())


def test_a_tool_that_never_returns_ends_with_an_error_and_leaves_room_for_others(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "TOOL_SECONDS", 0.3)
    hangs, worker = Hangs(), Worker(model)
    writer = Writer(worker, Metrics(), Toolbox([hangs, Quick()]))

    async def many() -> list[str]:
        stuck = await asyncio.gather(*(writer._use(0, Call("hangs", "")) for _ in range(12)))
        assert all(use.error and "gave no answer" in use.text for use in stuck)
        return [(await writer._use(0, Call("quick", "abc"))).text]

    assert asyncio.run(many()) == ["ABC"]
    hangs.go.set()
    assert REGISTRY is not writer.metrics.registry


def test_only_so_many_calls_are_answered_in_one_round(model: Path) -> None:
    writer = Writer(Worker(model), Metrics(), Toolbox([Quick()]))

    async def calls() -> list[bool]:
        return [(await writer._use(number, Call("quick", "a"))).error for number in (0, 7, 8)]

    assert asyncio.run(calls()) == [False, False, True]


def test_a_turn_with_a_call_is_written_on_behind_its_result(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(model)
    template = worker.template
    script = [
        template.answer(Message("assistant", "so", (Call("quick", "abc"),))),
        template.answer(Message("assistant", "ABC it is")),
    ]

    async def scripted(request: Request):  # type: ignore[no-untyped-def]
        tokens = script.pop(0)
        for place, token in enumerate(tokens):
            yield Written(0, token, 0.0, "stop" if place == len(tokens) - 1 else None)

    monkeypatch.setattr(worker, "write", scripted)
    writer = Writer(worker, Metrics(), Toolbox([Quick()]))
    turn = Turn(template, [Message("user", "abc?")], GREEDY, Limits(50), 128, tools=True)

    async def pieces() -> list[Piece]:
        return [piece async for piece in writer.write(turn)]

    found = asyncio.run(pieces())
    assert "".join(piece.text for piece in found) == "soABC it is"
    assert [piece.tool.text for piece in found if piece.tool] == ["ABC"]
    assert turn.finish == "stop"


def test_streams_are_merged_as_they_come_and_an_error_ends_all() -> None:
    closed = []

    async def numbers(name: str, most: int, fail: bool = False):  # type: ignore[no-untyped-def]
        try:
            for number in range(most):
                await asyncio.sleep(0)
                yield number
            if fail:
                raise ValueError("broken")
        finally:
            closed.append(name)

    async def run(fail: bool) -> list[tuple[int, int]]:
        return [item async for item in merged([numbers("a", 3), numbers("b", 2, fail)])]

    assert sorted(asyncio.run(run(False))) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(run(True))
    assert sorted(closed) == ["a", "a", "b", "b"]
