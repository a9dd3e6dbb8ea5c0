"""The tool `python`: runs a program of the subset in a walled process of its own (cage/), and returns what it prints.

Three fences, outermost last: the subset, in words; the kernel's filter and limits; the clock, which kills the group.
"""

import contextlib
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trainer.talk.tools.cage.program import NO_WALL, RAN
from trainer.talk.tools.tool import Result, ToolError, argument

_ROOT = Path(__file__).resolve().parents[3]
_START = "import sys; sys.path.append(sys.argv[1]); from trainer.talk.tools.cage.program import main; main()"


@dataclass(frozen=True)
class Limits:
    """What a program may use. Starting the interpreter counts: about 0.1 s and 60 MB."""

    seconds: float = 5.0
    """By the clock; of CPU time one more is allowed."""
    memory_bytes: int = 512 << 20
    """Of address space."""
    output_bytes: int = 16 << 10


@dataclass(frozen=True)
class Python:
    name = "python"
    description = (
        "python PROGRAM: runs a short Python program and returns what it prints and the value of its last line. "
        "math, random, statistics, itertools, functools, collections, fractions, decimal, datetime, re, json and "
        "string can be imported; there are no files and no network. Example: python sum(n * n for n in range(10))"
    )
    limits: Limits = Limits()

    def run(self, input: str) -> Result:
        return run_walled(argument(input, "code"), self.limits)


def run_walled(code: str, limits: Limits, checked: bool = True) -> Result:
    """Runs a program in a new process. Raises ToolError where no wall can be put up around it.

    `checked=False` leaves out the subset, so that tests can run against the wall alone.
    """
    request = {
        "code": code,
        "cpu_seconds": math.ceil(limits.seconds) + 1,
        "memory_bytes": limits.memory_bytes,
        "checked": checked,
    }
    deadline = time.monotonic() + limits.seconds
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as stdin:
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-u", "-X", "utf8", "-c", _START, str(_ROOT)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        )
        assert process.stdout is not None
        with process.stdout as stdout:
            try:
                output, ended = _read(stdout, deadline, limits.output_bytes)
                if ended:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(max(deadline - time.monotonic(), 0))
            finally:
                killed = process.poll() is None
                if killed:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
    return _result(output, process.returncode, killed, limits)


def _read(stdout: IO[bytes], deadline: float, limit: int) -> tuple[bytes, bool]:
    """What a process writes, to a little more than `limit`, and whether it ended in time by itself."""
    output = b""
    with selectors.DefaultSelector() as ready:
        ready.register(stdout, selectors.EVENT_READ)
        while len(output) <= limit and ready.select(max(deadline - time.monotonic(), 0)):
            part = os.read(stdout.fileno(), 1 << 16)
            if not part:
                return output, True
            output += part
    return output, False


def _result(output: bytes, code: int, killed: bool, limits: Limits) -> Result:
    text = output[: limits.output_bytes].decode(errors="replace").rstrip("\n")
    if code == NO_WALL:
        raise ToolError(f"python is not available here, since programs can't be walled in on this machine ({text})")
    if code == RAN:
        return Result(text or "(no output)")
    if killed and len(output) > limits.output_bytes:
        return _stopped(f"stopped: the program wrote more than {limits.output_bytes:,} bytes", text)
    if killed or code in (-signal.SIGXCPU, -signal.SIGKILL):
        return _stopped(f"stopped: the program took more than {limits.seconds:g} s", text)
    if code < 0:
        return _stopped(f"stopped: the interpreter crashed (signal {-code}), out of memory or of stack", text)
    return Result(text, error=True)


def _stopped(why: str, text: str) -> Result:
    return Result(f"{why}; it had written:\n{text}" if text else why, error=True)
