"""A task that has failed for good, told to people: a line in LOOP/alerts.jsonl, and a command of theirs.

CORPUSCLE_ALERT is a command line such as `mail -s corpuscle me@example.org`; it is split as a shell would, run without
one, and gets the alert as JSON on its standard input, and none of Airflow's secrets.
"""

import json
import logging
import os
import shlex
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .environment import without_secrets

FILE = "alerts.jsonl"
PATIENCE = 30.0
"""Seconds for the command: it must not hold up the task's end."""

log = logging.getLogger(__name__)


def alert(context: Mapping[str, Any]) -> None:
    """Airflow's `on_failure_callback`. What fails in it is logged and nothing else: the task has failed already."""
    task = context.get("task_instance") or context.get("ti")
    send(
        {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "dag": getattr(task, "dag_id", None),
            "task": getattr(task, "task_id", None),
            "run": getattr(task, "run_id", None) or context.get("run_id"),
            "attempt": getattr(task, "try_number", None),
            "what": str(context.get("exception") or context.get("reason") or "it failed"),
            "log": getattr(task, "log_url", None),
        }
    )


def send(told: Mapping[str, Any]) -> None:
    """Writes an alert, and hands it to the command of CORPUSCLE_ALERT."""
    line = json.dumps(told, ensure_ascii=False) + "\n"
    folder = os.environ.get("CORPUSCLE_LOOP")
    if folder:
        try:
            # One write at the end of the file: lines of two tasks don't mix.
            handle = os.open(Path(folder) / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode())
            finally:
                os.close(handle)
        except OSError as error:
            log.error("the alert can't be written: %s", error)
    try:
        command = shlex.split(os.environ.get("CORPUSCLE_ALERT", ""))
        if command:
            subprocess.run(command, input=line.encode(), timeout=PATIENCE, env=without_secrets(), check=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.error("CORPUSCLE_ALERT failed: %s", error)
