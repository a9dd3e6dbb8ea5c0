"""`corpuscle` as a task calls it: its output in the task's log, its failure the task's, its steps the task's result."""

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from .environment import without_secrets
from .process import CommandError, StoppedError, run

Step = dict[str, Any]
"""{"name": ..., "said": ..., "did": ...}: what a step of the loop says with --json."""

HOPELESS = {2: "settings or options are wrong", 3: "nothing was kept", 127: "there is no such program"}
"""Exit statuses after which a repetition would end the same."""

_PAGE = re.compile(r"(?<!\S)/\S+\.html(?!\S)")

log = logging.getLogger(__name__)


def loop() -> Path:
    """The loop's folder, from CORPUSCLE_LOOP. Raises AirflowFailException."""
    folder = os.environ.get("CORPUSCLE_LOOP")
    if not folder:
        raise AirflowFailException("CORPUSCLE_LOOP is not set; it names the folder that has flywheel.yaml.")
    return Path(folder)


def corpuscle(*words: str) -> list[str]:
    """Runs `corpuscle words...` and logs what it says; returns its lines.

    The program is the one that CORPUSCLE names. It gets none of Airflow's own settings, which hold its secrets.
    Raises AirflowFailException where repeating can't help, and AirflowException.
    """
    program = os.environ.get("CORPUSCLE") or "corpuscle"
    log.info("corpuscle %s", " ".join(words))
    try:
        return run([program, *words], _tell, without_secrets() | {"PYTHONUNBUFFERED": "1"})
    except CommandError as error:
        if error.status in HOPELESS:
            raise AirflowFailException(f"{HOPELESS[error.status]}: {error}") from None
        raise AirflowException(str(error)) from None
    except StoppedError as error:
        raise AirflowException(f"{error}; the command was ended, the next try goes on") from None


def take(*words: str) -> list[Step]:
    """Takes steps of the loop: `corpuscle flywheel words... --json`, in the loop's folder."""
    found = [_read(line) for line in corpuscle("flywheel", *words, "--folder", str(loop()), "--json")]
    return [step for step in found if step is not None and step.keys() >= {"name", "said", "did"}]


def ask(*words: str) -> dict[str, Any]:
    """What a command of the loop says in one line of JSON."""
    for line in corpuscle("flywheel", *words, "--folder", str(loop()), "--json"):
        if (found := _read(line)) is not None:
            return found
    raise AirflowException(f"corpuscle flywheel {' '.join(words)} said nothing that can be read; see the log.")


def link(page: Path) -> None:
    """Names a page in the log, as an address for a browser on the machine that has it."""
    log.info("page: %s", page.as_uri())


def _read(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _tell(line: str) -> None:
    """What a line of JSON says to people, with the address of each page that it names; other lines as they are."""
    found = _read(line)
    if found is None:
        log.info("%s", line)
    elif said := str(found.get("said") or ""):
        log.info("%s", f"{found['name']}: {said}" if found.get("name") else said)
        for page in _PAGE.findall(said):
            link(Path(page))
