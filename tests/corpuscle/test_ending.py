"""A process ends with its command's status, when all has been said that was to be, and not by its interpreter's end."""

import subprocess
import sys

import pytest

BEFORE = """
import atexit, sys, threading, time
from corpuscle.ending import run_to_the_end
"""


def ran(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BEFORE + script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("lambda: None", 0),
        ("lambda: sys.exit()", 0),
        ("lambda: sys.exit(3)", 3),
        ("lambda: sys.exit('no')", 1),
        ("lambda: 1 / 0", 1),
    ],
)
def test_the_status_is_the_command_s(command: str, status: int) -> None:
    done = ran(f"run_to_the_end({command})")
    assert done.returncode == status
    assert ("no" in done.stderr, "ZeroDivisionError" in done.stderr) == ("'no'" in command, "1 / 0" in command)


def test_threads_and_what_waits_for_the_end_come_before_it() -> None:
    done = ran("""
def late():
    time.sleep(0.2)
    print("thread", end=" ")

atexit.register(lambda: print("at the end", end=""))
threading.Thread(target=late).start()
run_to_the_end(lambda: print("command", end=" "))
""")
    assert (done.returncode, done.stdout) == (0, "command thread at the end")


def test_the_interpreter_s_own_end_can_spoil_nothing() -> None:
    done = ran("""
import os

class Worker:
    def __del__(self):
        os.abort()

worker = Worker()
run_to_the_end(lambda: print("all is said"))
""")
    assert (done.returncode, done.stdout) == (0, "all is said\n")


def test_who_can_t_be_told_is_no_success() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", f"{BEFORE}run_to_the_end(lambda: print('lost'))"], stdout=full, check=False
        )
    assert done.returncode == 1
