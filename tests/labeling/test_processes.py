"""Child processes that are known to be ours, and are ended with all that they started."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labeling.processes import MOST_LOG, ServerError, claim, cut, end, last_words, refuse_busy_port, say_who, start

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


def made(folder: Path, umask: int) -> int:
    """The mode of a file that a child makes."""
    lock = claim(folder / "lock")
    code = f"open('made-{umask}', 'w').close()"
    start([sys.executable, "-c", code], folder / "log", os.environ, folder, lock, umask).wait(60)
    os.close(lock)
    return stat.S_IMODE((folder / f"made-{umask}").stat().st_mode)


def test_what_a_child_makes_is_its_owners_unless_another_umask_is_named(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert made(tmp_path, 0o077) == 0o600
        assert made(tmp_path, -1) == 0o644
    finally:
        os.umask(before)


def test_a_log_is_emptied_when_it_is_too_long_and_not_before(tmp_path: Path) -> None:
    log = tmp_path / "log"
    cut(log)
    assert not log.exists()
    with log.open("ab") as server:
        server.write(b"x" * MOST_LOG)
        server.flush()
        cut(log)
        assert log.stat().st_size == MOST_LOG
        server.write(b"x")
        server.flush()
        cut(log)
        server.write(b"goes on")
    assert log.read_bytes() == b"goes on"
