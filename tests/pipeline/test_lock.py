"""One run a folder: the second is refused, and a killed one leaves no lock."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.lock import LOCK, LockedError, claim

HOLD = "import sys, time; from pipeline.lock import claim\nwith claim(sys.argv[1]): print(flush=True); time.sleep(60)"


def test_a_second_run_is_told_who_has_the_folder(tmp_path: Path) -> None:
    with (
        claim(str(tmp_path)),
        pytest.raises(
            LockedError, match=rf"another run \(pid {os.getpid()}, host .+, since .+\) is writing {tmp_path}"
        ),
        claim(str(tmp_path)),
    ):
        pass


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    for _ in range(2):
        with claim(str(tmp_path)):
            assert (tmp_path / LOCK).exists()
        assert list(tmp_path.iterdir()) == []


def test_two_folders_are_two_locks(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with claim(str(tmp_path)), claim(str(tmp_path / "a")):
        assert (tmp_path / LOCK).exists()
        assert (tmp_path / "a" / LOCK).exists()


def test_a_killed_run_gives_its_lock_back(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout
    holder.stdout.readline()
    with pytest.raises(LockedError, match=f"pid {holder.pid}"), claim(str(tmp_path)):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert (tmp_path / LOCK).exists()
    with claim(str(tmp_path)):
        pass
