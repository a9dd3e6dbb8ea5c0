"""A sample of what is asked and answered, for monitors: a line of JSON an exchange, masked, in a private file.

Lines are made and written by a thread of their own, so no answer waits for a disk, and none fails for want of one.
"""

import errno
import fcntl
import json
import logging
import os
import queue
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labeling.kinds.kind import LIMIT
from labeling.masking import mask, mask_json
from trainer.talk.conversation import Message, to_json
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.share import falls

Json = dict[str, Any]

MOST_BYTES = 16 << 20
"""Of the file; a full one becomes `older` in place of the one before. The two have some 50,000 short exchanges, which
the monitors read in half a minute."""

MOST_WAITING = 1000
"""Exchanges that may wait to be written; further ones are counted as lost. A short one takes 0.1 ms to mask."""

CLOSE_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Which share of the exchanges is kept, and where.

    `leaks` tells what in an answer identifies a person and was not in the prompt: a masked line can't tell that any
    more, so their number is noted in it.
    """

    file: Path
    share: float
    leaks: Callable[[Sequence[Json], str], Sequence[str]]

    def __post_init__(self) -> None:
        """Raises ValueError where nothing could be written, before a server begins."""
        try:
            os.close(_open(self.file))
        except OSError as error:
            raise ValueError(
                f"--traffic {self.file} can't be written ({error.strerror}); give a file in a folder that is there."
            ) from None


@dataclass(frozen=True)
class Exchange:
    """An answer of the checkpoint `checkpoint` to the messages before it."""

    id: str
    time: datetime
    checkpoint: str
    messages: Sequence[Message]
    answer: str


class Traffic:
    """Takes exchanges from the event loop. Threads and processes may write to one file."""

    def __init__(self, sample: Sample, metrics: Metrics) -> None:
        self.sample, self._metrics = sample, metrics
        self._waiting: queue.Queue[Exchange | None] = queue.Queue(MOST_WAITING)
        self._told = False
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._thread.start()

    def offer(self, id: str, checkpoint: str, messages: Sequence[Message], said: Sequence[Message]) -> None:
        """Keeps the exchange if its id is drawn, and it is one that a monitor can read; never waits, never raises.

        `said` is all of the answer, with what tools returned. Drawn by id, as a canary's conversations are: the same
        again needs no memory, and a person who tells an answer's id can be told whether it was kept.
        """
        if not falls(id, "traffic", self.sample.share):
            return
        asked = [*messages, *said[:-1]]
        if not said or said[-1].role != "assistant" or said[-1].calls or asked[-1].role not in ("user", "tool"):
            return  # a call that the client is to answer, or a text to be gone on with
        answer = said[-1].content
        if sum(len(message.content) for message in asked) > LIMIT or len(answer) > LIMIT:
            self._count("too long")
            return
        try:
            self._waiting.put_nowait(Exchange(id, datetime.now(UTC), checkpoint, asked, answer))
        except queue.Full:
            self._lost("more exchanges come than can be written")

    def close(self) -> None:
        """Writes what waits, for CLOSE_SECONDS at most."""
        try:
            self._waiting.put(None, timeout=CLOSE_SECONDS)
        except queue.Full:
            return
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while (one := self._waiting.get()) is not None:
            try:
                append(self.sample.file, self._line(one))
            except Exception as error:  # whatever it is: the next one may be kept
                self._lost(str(error) or type(error).__name__)
            else:
                self._count("kept")
                self._told = False

    def _line(self, one: Exchange) -> bytes:
        prompt = to_json(one.messages)
        fields: Json = {
            "id": one.id,
            "time": one.time.isoformat(timespec="seconds"),
            "checkpoint_id": one.checkpoint,
            "prompt": mask_json(prompt),
            "answer": mask(one.answer),
        }
        if leaks := len(self.sample.leaks(prompt, one.answer)):
            fields["leaks"] = leaks
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"

    def _lost(self, why: str) -> None:
        self._count("lost")
        if not self._told:  # once, until one is kept again
            _log.warning("sampled traffic is not kept, all else goes on: %s: %s", self.sample.file, why)
            self._told = True

    def _count(self, outcome: str) -> None:
        self._metrics.traffic.labels(outcome).inc()


def older(file: Path) -> Path:
    """Where what was written before lies: traffic.jsonl.1."""
    return file.with_name(f"{file.name}.1")


def append(file: Path, line: bytes, most: int = MOST_BYTES) -> None:
    """Appends a line whole or not at all; a file that would have more than `most` bytes is put aside before.

    Whoever writes holds a lock on the file, so that processes may share it. Raises OSError.
    """
    while True:
        handle = _open(file)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_at(file, handle):  # another process has put it aside meanwhile
                continue
            size = os.fstat(handle).st_size
            if size and size + len(line) > most:
                file.replace(older(file))
                continue
            torn = size and os.pread(handle, 1, size - 1) != b"\n"  # by a process that was killed
            _write(handle, b"\n" + line if torn else line, size)
            return
        finally:
            os.close(handle)


def _open(file: Path) -> int:
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.fchmod(handle, 0o600)  # one that was there may have been for all to read
    except OSError:
        os.close(handle)
        raise
    return handle


def _is_at(file: Path, handle: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _write(handle: int, line: bytes, size: int) -> None:
    """To the end of a file of that size, which has it again where the disk is full."""
    try:
        written = os.write(handle, line)
    except OSError:
        os.ftruncate(handle, size)
        raise
    if written < len(line):
        os.ftruncate(handle, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
