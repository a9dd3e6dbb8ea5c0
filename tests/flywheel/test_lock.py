"""One tick a loop, whoever is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flywheel.lock import LOCK, LockedError, claim, claim_store
from labeling.store.database import Database

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

HOLD_STORE = """
import sys
from flywheel.lock import claim_store
from labeling.store.database import Database
with Database(sys.argv[1]) as database, claim_store(database):
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
    with pytest.raises(LockedError, match=f"another tick is at work there .pid {held.pid} on "), claim(tmp_path):
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


def test_a_training_that_outlives_its_killed_tick_keeps_the_lock_and_is_named(tmp_path: Path) -> None:
    held, child = hold(tmp_path, "child")
    held.kill()
    held.communicate()
    named = f"pid {child}, begun by pid {held.pid}, which has ended"
    try:
        with pytest.raises(LockedError, match=named), claim(tmp_path):
            pytest.fail("two trainings could meet")
    finally:
        subprocess.run(["kill", child], check=True)


def test_a_tick_that_has_ended_is_named_no_more(tmp_path: Path) -> None:
    with claim(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith("pid ")
    assert (tmp_path / LOCK).read_text() == ""


def test_two_machines_with_one_store_on_postgresql_do_not_meet(postgresql: str) -> None:
    with Database(postgresql) as one, Database(postgresql) as other:
        refused = pytest.raises(LockedError, match="another tick is at work with this store")
        with claim_store(one), refused, claim_store(other):
            pytest.fail("two at once")
        with claim_store(other):
            pass


def test_a_store_in_a_file_needs_no_second_lock(database: Database) -> None:
    with claim_store(database), claim_store(database):
        pass


def test_a_killed_tick_gives_the_store_back(postgresql: str) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD_STORE, postgresql], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout
    assert held.stdout.readline() == "held\n"
    with Database(postgresql) as database:
        with pytest.raises(LockedError), claim_store(database):
            pytest.fail("two at once")
        held.kill()
        held.communicate()
        for _ in range(100):  # the server needs a moment to see that the client is gone
            try:
                with claim_store(database):
                    return
            except LockedError:
                time.sleep(0.1)
    pytest.fail("the store stayed locked")


def test_ticks_of_two_folders_do_not_meet(tmp_path: Path) -> None:
    with claim(tmp_path / "one"), claim(tmp_path / "two"):
        pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claim(tmp_path):
        raise KeyError
    with claim(tmp_path):
        pass
