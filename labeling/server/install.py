"""Label Studio in a virtual environment of its own: its pins (numpy, Django, OpenCV) fit nobody else's.

Every package is pinned in label-studio.txt, the `pip freeze` of a clean installation under Python 3.11 of which the
tests have run: 153 packages, 1 GB, some 5 minutes. It is a constraint and no list of what to install, so that a package
which another Python needs besides is no fault.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "1.23.2"
PINS = Path(__file__).with_name("label-studio.txt")
STAMP = ".installed"
"""Made when everything is in: an environment without it was stopped half way, and is made anew."""

Say = Callable[[str], None]


class InstallError(Exception):
    """Label Studio could not be installed: why, and what to do."""


def cache() -> Path:
    """Where things that are fetched once are kept, as for the rest of the project."""
    return Path(os.environ.get("CORPUSCLE_CACHE", Path.home() / ".cache" / "corpuscle"))


def environment() -> Path:
    """Where Label Studio's environment for this Python is, or would be."""
    return cache() / f"label-studio-{VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"


def install(say: Say) -> Path:
    """The path of the `label-studio` program, installed on first use; `say` hears how far that is.

    Of two that call this at once, one installs and the other waits. Raises InstallError.
    """
    folder = environment()
    if not _complete(folder):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _turn(folder.with_name(folder.name + ".lock"), say):
                if not _complete(folder):
                    _build(folder, say)
        except OSError as error:
            raise InstallError(
                f"{folder}: Label Studio can't be installed there ({error.strerror or error}); make room (it takes "
                "1 GB), or let CORPUSCLE_CACHE name another folder."
            ) from None
    return folder / "bin" / "label-studio"


def _complete(folder: Path) -> bool:
    try:
        return (folder / STAMP).read_text() == PINS.read_text() and (folder / "bin" / "python").exists()
    except OSError:
        return False


@contextmanager
def _turn(lock: Path, say: Say) -> Iterator[None]:
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting: another program is installing Label Studio")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Path, say: Say) -> None:
    """Where it will stay, since an environment's scripts name its folder: it can't be made elsewhere and moved."""
    pins = PINS.read_text()
    total = pins.count("==")
    say(f"installing Label Studio {VERSION} into {folder} (once: about 5 minutes, 1 GB)")
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    command = [
        *(str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar", "off", "-c", str(PINS), f"label-studio=={VERSION}"),
    ]
    errors: list[str] = []
    collected = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                if "ERROR" in line:
                    errors.append(line.strip())
                elif line.startswith("Collecting "):
                    collected += 1
                    if collected % 20 == 0:
                        say(f"  found {collected} of about {total} packages")
                elif line.startswith("Installing collected packages"):
                    say("  all packages are here; unpacking them")
        except BaseException:
            pip.kill()
            raise
    if pip.returncode:
        cause = errors[0] if errors else f"pip ended with {pip.returncode}"
        raise InstallError(
            f"Label Studio {VERSION} could not be installed ({cause}). It needs a package registry once; check "
            "that pip reaches one, then run this again."
        )
    (folder / STAMP).write_text(pins)
    say("installed Label Studio")
