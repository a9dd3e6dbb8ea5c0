"""What a loop's Airflow keeps is no more than a month's: its DAGs run some 1,900 tasks a day, each with rows and a log.

Rows go by Airflow's own `db clean`, logs by their age. The loop's history is in its own store, and stays.
"""

import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flywheel.airflow.command import run
from flywheel.airflow.home import Home
from labeling.environments import InstallError
from labeling.processes import ServerError, cut

KEPT = timedelta(days=30)
EVERY = timedelta(days=1)
STAMP = "cleaned"
"""The file whose time is that of the last cleaning."""
TIMEOUT = 600.0

# Not `dag` and `dag_version`: those not read for a month would go with their runs, which after a month's pause are all.
TABLES = (
    "asset_event",
    "callback",
    "dag_run",
    "import_error",
    "job",
    "log",
    "revoked_token",
    "task_instance",
    "task_instance_history",
    "task_reschedule",
    "xcom",
)


def due(home: Home) -> bool:
    """Whether the last cleaning was a day ago, or there was none."""
    try:
        last = (home.path / STAMP).stat().st_mtime
    except FileNotFoundError:
        return True
    return abs(time.time() - last) > EVERY.total_seconds()  # a clock that was set back is no reason to wait for it


def clean(home: Home) -> str:
    """Deletes rows and logs older than KEPT, and empties logs of servers that are too long.

    Airflow may be at work meanwhile. Nothing is an error: what could not be done is returned, in a line, and tried
    again a day later.
    """
    before = datetime.now(UTC) - KEPT
    words = ["--clean-before-timestamp", before.isoformat(timespec="seconds"), "--tables", ",".join(TABLES)]
    try:
        (home.path / STAMP).touch()
        for log in home.path.glob("*.log"):
            cut(log)
        remove_old(home.path / "logs", before)
        done = run(home, ["db", "clean", *words, "--skip-archive", "--error-on-cleanup-failure", "--yes"], TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"Airflow's old rows could not be deleted within {TIMEOUT:.0f} s"
    except (OSError, InstallError, ServerError) as error:
        return f"Airflow's old rows and logs could not be deleted: {error}"
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return f"Airflow's old rows could not be deleted: {(said or ['it said nothing'])[-1][:300]}"
    return ""


def remove_old(folder: Path, before: datetime) -> None:
    """Deletes files that were last written before a moment, and folders to which nothing came since and that are empty.

    Those of a task at work are younger.
    """
    old = list[Path]()
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.lstat().st_mtime < before.timestamp():
                old.append(path)
    for path in sorted(old, reverse=True):  # what is in a folder before it
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
