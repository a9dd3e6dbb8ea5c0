"""What happens when a task has failed for good."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dags.corpuscle_dags.alerts import FILE, alert, send


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CORPUSCLE_LOOP", str(tmp_path))
    monkeypatch.delenv("CORPUSCLE_ALERT", raising=False)
    return tmp_path


def told(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def test_a_failed_task_is_a_line_in_the_loops_folder(loop: Path) -> None:
    task = SimpleNamespace(dag_id="retrain", task_id="train", run_id="r1", try_number=3, log_url="http://here/log")
    alert({"task_instance": task, "exception": ValueError("no room on the disk")})
    alert({"task_instance": task, "exception": ValueError("again")})
    first, second = told(loop)
    assert first["at"].endswith("+00:00")
    assert first | {"at": ""} == {
        "at": "",
        "dag": "retrain",
        "task": "train",
        "run": "r1",
        "attempt": 3,
        "what": "no room on the disk",
        "log": "http://here/log",
    }
    assert second["what"] == "again"


def test_what_the_context_lacks_is_null(loop: Path) -> None:
    alert({"reason": "the task was lost"})
    assert told(loop)[0]["what"] == "the task was lost"
    assert told(loop)[0]["dag"] is None


def test_a_command_gets_the_alert_on_its_input_and_no_shell_reads_it(
    loop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = loop / "alert.py"
    program.write_text("import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())")
    monkeypatch.setenv("CORPUSCLE_ALERT", f"{sys.executable} {program} '{loop}/heard; $(id)'")
    send({"what": "die Prüfung"})
    assert json.loads((loop / "heard; $(id)").read_text()) == {"what": "die Prüfung"}
    assert told(loop) == [{"what": "die Prüfung"}]


def test_the_command_gets_no_secret_of_airflows(loop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = loop / "alert.py"
    program.write_text("import os, sys, pathlib; pathlib.Path(sys.argv[1]).write_text(repr(dict(os.environ)))")
    monkeypatch.setenv("CORPUSCLE_ALERT", f"{sys.executable} {program} {loop}/heard")
    names = ("AIRFLOW__CORE__FERNET_KEY", "_AIRFLOW__AS_LIBRARY", "CORPUSCLE_AIRFLOW_POSTGRES")
    for name in names:
        monkeypatch.setenv(name, "geheim")
    send({"what": "it failed"})
    heard = (loop / "heard").read_text()
    assert "CORPUSCLE_LOOP" in heard
    assert "geheim" not in heard


@pytest.mark.parametrize("command", ["/no/such/program", "false", "an 'open quote"])
def test_a_command_that_fails_is_logged_and_nothing_else(
    loop: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    monkeypatch.setenv("CORPUSCLE_ALERT", command)
    send({"what": "it failed"})
    assert told(loop) == [{"what": "it failed"}]
    assert "CORPUSCLE_ALERT failed" in caplog.text


def test_a_folder_that_is_gone_stops_no_command(
    loop: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CORPUSCLE_LOOP", str(loop / "gone"))
    monkeypatch.setenv("CORPUSCLE_ALERT", f"tee {loop}/heard")
    send({"what": "it failed"})
    assert "the alert can't be written" in caplog.text
    assert (loop / "heard").exists()
