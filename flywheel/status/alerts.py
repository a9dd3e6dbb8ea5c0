"""The last alerts of the scheduler: lines of JSON that its tasks append to `alerts.jsonl` when they fail for good."""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = "alerts.jsonl"
LAST = 5
TAIL = 1 << 16
"""Bytes at the end of the file that are read: it grows as long as the loop lives."""


@dataclass(frozen=True)
class Alert:
    at: str
    where: str
    """The DAG and the task."""
    what: str


def last_alerts(folder: Path) -> tuple[Alert, ...]:
    """The newest last. A line that is no JSON is told as it stands; without a file there are none."""
    try:
        with (folder / FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(_alert(line) for line in [line for line in lines if line.strip()][-LAST:])


def _alert(line: str) -> Alert:
    try:
        told = json.loads(line)
        where = ".".join(str(told[name]) for name in ("dag", "task") if told.get(name))
        return Alert(str(told.get("at") or ""), where, str(told.get("what") or ""))
    except (ValueError, AttributeError):
        return Alert("", "", line)
