"""Child processes that are known to be ours, and are ended with all that they started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labeling.processes import ServerError, claim, end, last_words, refuse_busy_port, say_who, start

FAMILY = """
import os, signal, subprocess, sys, time
if len(sys.argv) > 1:  # a child in a process group of its own, deaf to requests
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), flush=True)
else:
    subprocess.Popen([sys.executable, __file__, "child"], process_group=0)
time.sleep(600)
"""


def started(folder: Path, text: str) -> tuple[subprocess.Popen[bytes], Path, int]:
    """A script as a child, its log, and the lock that it has inherited."""
    (folder / "script.py").write_text(text)
    lock = claim(folder / "lock")
    log = folder / "log"
    return start([sys.executable, str(folder / "script.py")], log, os.environ, folder, lock), log, lock


def until(true: Callable[[], bool]) -> None:
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("a minute passed")


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_what_a_child_started_ends_with_it_even_if_it_will_not(tmp_path: Path) -> None:
    process, log, lock = started(tmp_path, FAMILY)
    until(lambda: log.read_text().endswith("\n"))
    grandchild = int(log.read_text())
    assert alive(grandchild)
    end(process, patience=0.5)
    os.close(lock)
    assert process.returncode == -signal.SIGTERM
    until(lambda: not alive(grandchild))


def test_a_child_that_has_ended_can_be_ended(tmp_path: Path) -> None:
    process, _, lock = started(tmp_path, "print('done')")
    process.wait()
    end(process)
    os.close(lock)
    assert process.returncode == 0


def test_a_folder_is_claimed_as_long_as_a_child_lives(tmp_path: Path) -> None:
    process, log, lock = started(tmp_path, "import time\nprint('here', flush=True)\ntime.sleep(600)")
    until(lambda: "here" in log.read_text())
    say_who(lock, process.pid, "http://127.0.0.1:8080")
    os.close(lock)
    with pytest.raises(ServerError, match=rf"{tmp_path}: a server runs .*process {process.pid}, http://127.0.0.1:8080"):
        claim(tmp_path / "lock")
    end(process)
    os.close(claim(tmp_path / "lock"))


def test_the_last_words_are_the_last_line_that_says_anything(tmp_path: Path) -> None:
    process, log, lock = started(tmp_path, "print('first')\nprint('second')\nprint()")
    process.wait()
    os.close(lock)
    assert last_words(log) == "second"
    log.write_text("\n")
    assert last_words(log) == "it said nothing"


def test_a_busy_port_is_refused_and_a_free_one_is_not() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} of 127.0.0.1 can't be had"):
            refuse_busy_port(port)
    refuse_busy_port(port)
