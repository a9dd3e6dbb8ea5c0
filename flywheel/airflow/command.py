"""Airflow's own command line, for a loop's Airflow."""

import re
import subprocess
from collections.abc import Sequence

from flywheel.airflow.home import Home
from flywheel.airflow.install import install
from flywheel.airflow.settings import variables
from labeling.environments import Say
from labeling.processes import ServerError

TIMEOUT = 600.0

_ERROR = re.compile(r"[\w.]+(Error|Exception|Exit)\b")
"""The line of a trace that tells what happened; SQLAlchemy's go on behind it."""


def run(
    home: Home, arguments: Sequence[str], timeout: float = TIMEOUT, say: Say = print, **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs `airflow ARGUMENTS...` to its end; `more` are further environment variables. Nothing is checked.

    Raises InstallError, ServerError, OSError, TimeoutExpired.
    """
    return subprocess.run(
        [str(install(say)), *arguments],
        env=variables(home) | more,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        umask=0o077,
        check=False,
    )


def migrate(home: Home, say: Say = print) -> None:
    """Makes the database's tables, or changes them to this version's; 7 s of an idle core. Raises ServerError."""
    done = run(home, ["db", "migrate"], say=say)
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in said if _ERROR.match(line)]
        cause = (errors or said or ["it said nothing"])[-1][:300]
        raise ServerError(
            f"Airflow's database can't be made ready ({cause}); check "
            f"{home.database_file if home.postgres is None else 'that the database of --postgres is there'}."
        )
