"""One tick a loop, whoever is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flywheel.lock import LockedError, claim

HOLD = """
import subprocess, sys
from pathlib import Path
from flywheel.lock import claim
with claim(Path(sys.argv[1])):
    if sys.argv[2] == "child":
        print(subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL).pid, flush=True)
    else:
        print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path, how: str = "alone") -> tuple[subprocess.Popen[str], str]:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout
    return held, held.stdout.readline().strip()


def test_a_second_tick_is_refused_with_the_first_one_s_number_and_let_in_after_it(tmp_path: Path) -> None:
    held, _ = hold(tmp_path)
    with pytest.raises(LockedError, match=f"another tick is at work there .pid {held.pid}."), claim(tmp_path):
        pytest.fail("two at once")
    held.communicate("")
    assert held.returncode == 0
    with claim(tmp_path):
        pass


def test_a_killed_tick_gives_the_lock_back(tmp_path: Path) -> None:
    held, _ = hold(tmp_path)
    held.send_signal(signal.SIGKILL)
    held.communicate()
    with claim(tmp_path):
        pass


def test_a_training_that_outlives_its_killed_tick_keeps_the_lock(tmp_path: Path) -> None:
    held, child = hold(tmp_path, "child")
    held.kill()
    held.communicate()
    try:
        with pytest.raises(LockedError), claim(tmp_path):
            pytest.fail("two trainings could meet")
    finally:
        subprocess.run(["kill", child], check=True)


def test_ticks_of_two_folders_do_not_meet(tmp_path: Path) -> None:
    with claim(tmp_path / "one"), claim(tmp_path / "two"):
        pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claim(tmp_path):
        raise KeyError
    with claim(tmp_path):
        pass
