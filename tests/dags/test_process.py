"""How a task's command runs: its words come at once, its failure tells why, and it ends with the task."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dags.corpuscle_dags.process import CommandError, StoppedError, run


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def read_pid(path: Path) -> int:
    until = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, "the command has not begun"
        time.sleep(0.02)
    return int(path.read_text())


def test_output_and_errors_are_said_line_by_line() -> None:
    said: list[str] = []
    found = run(python("import sys; print('one'); print('two', file=sys.stderr); print('three')"), said.append)
    assert found == said == ["one", "two", "three"]


def test_a_line_is_said_before_the_next_one_is_there(tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    code = f"""
import time
from pathlib import Path
print("asks")
until = time.monotonic() + 30
while not Path({str(answer)!r}).exists() and time.monotonic() < until:
    time.sleep(0.02)
print("was answered" if Path({str(answer)!r}).exists() else "was not heard")
"""
    assert run(python(code), lambda line: answer.touch() if line == "asks" else None)[-1] == "was answered"


def test_a_last_line_without_an_end_and_bytes_that_are_no_text_are_said() -> None:
    code = "import sys; sys.stdout.buffer.write(b'a\\xffb\\r\\nend')"
    assert run(python(code), print) == ["a\ufffdb", "end"]


def test_a_failure_tells_the_last_words_and_the_status() -> None:
    code = "print('\\n'.join(map(str, range(40)))); raise SystemExit(3)"
    with pytest.raises(CommandError) as caught:
        run(python(code), lambda line: None)
    assert caught.value.status == 3
    assert str(caught.value) == "\n".join(map(str, range(30, 40))) + "\n(exit status 3)"


def test_a_failure_without_words_says_so() -> None:
    with pytest.raises(CommandError, match=r"^It said nothing \(it was ended by signal 9\)\.$"):
        run(python("import os; os.kill(os.getpid(), 9)"), print)


def test_a_missing_program_is_status_127() -> None:
    with pytest.raises(CommandError, match="/no/such/program can't be started: No such file") as caught:
        run(["/no/such/program"], print)
    assert caught.value.status == 127


def test_no_shell_reads_the_words() -> None:
    assert run([*python("import sys; print(sys.argv[1])"), "$HOME; echo `id` *"], print) == ["$HOME; echo `id` *"]


def test_only_the_given_variables_are_handed_on() -> None:
    code = "import os; print(sorted(name for name in os.environ if name != 'LC_CTYPE'))"
    assert run(python(code), print, {"ONLY": "1"}) == ["['ONLY']"]


def test_who_keeps_the_pipe_open_is_not_waited_for() -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"
    began = time.monotonic()
    left = int(run(python(code), print)[0])
    try:
        assert time.monotonic() - began < 30
        assert not gone(left), "what a command has left behind on purpose was ended"
    finally:
        os.kill(left, signal.SIGKILL)


GROUP = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(str(child.pid))
print("begun")
time.sleep(60)
"""


def test_an_exception_such_as_a_time_out_ends_the_whole_group(tmp_path: Path) -> None:
    class TimeOutError(BaseException):
        pass

    def late(line: str) -> None:
        raise TimeOutError

    with pytest.raises(TimeOutError):
        run([*python(GROUP), str(tmp_path / "pid")], late)
    assert gone(read_pid(tmp_path / "pid"))


def test_sigterm_ends_the_whole_group_and_then_the_task(tmp_path: Path) -> None:
    """As Airflow kills a task: its function gets SIGTERM, and the handler that was there before is there again."""
    task = f"""
import os, sys
from dags.corpuscle_dags.process import StoppedError, run
try:
    run([sys.executable, "-u", "-c", {GROUP!r}, sys.argv[1]], print)
except StoppedError as error:
    print("stopped:", error)
"""
    process = subprocess.Popen(
        [*python(task), str(tmp_path / "pid")], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    child = read_pid(tmp_path / "pid")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert said.splitlines()[-1] == "stopped: the task was told to end (SIGTERM)"
    assert gone(child)


def test_a_command_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time, os; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid()); time.sleep(60)"
    seen: list[int] = []

    def stop(line: str) -> None:
        seen.append(int(line))
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError):
        run(python(code), stop)
    assert gone(seen[0])
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_it_runs_without_signals() -> None:
    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(run(python("print('here')"), print)))
    thread.start()
    thread.join(60)
    assert found == [["here"]]
