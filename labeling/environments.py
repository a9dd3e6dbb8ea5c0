"""Programs in virtual environments of their own, since what they pin fits nobody else's: installed once, on first use.

Every package is pinned in a file, the `pip freeze` of a clean installation under Python 3.11 with which the tests
were run. It is a constraint and no list of what to install, so that a package which another Python needs besides is no
fault.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STAMP = ".installed"
"""Made when everything is in, with the pins: an environment without it was stopped half way, and is made anew."""

Say = Callable[[str], None]


class InstallError(Exception):
    """A program could not be installed: why, and what to do."""


def cache() -> Path:
    """Where things that are fetched once are kept, as for the rest of the project."""
    return Path(os.environ.get("CORPUSCLE_CACHE", Path.home() / ".cache" / "corpuscle"))


@dataclass(frozen=True)
class Environment:
    """`name` is as people know it; `size` and `time` tell them what its first use takes; `requirements` are for pip."""

    name: str
    version: str
    requirements: tuple[str, ...]
    pins: Path
    program: str
    size: str
    time: str

    @property
    def folder(self) -> Path:
        """Where it is for this Python, or would be."""
        return cache() / f"{self.program}-{self.version}-py{sys.version_info.major}.{sys.version_info.minor}"

    def install(self, say: Say) -> Path:
        """The path of the program, installed on first use; `say` hears how far that is.

        Of two that call this at once, one installs and the other waits. Raises InstallError.
        """
        folder = self.folder
        if not self._complete():
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                with self._turn(folder.with_name(folder.name + ".lock"), say):
                    if not self._complete():
                        self._build(say)
            except OSError as error:
                raise InstallError(
                    f"{folder}: {self.name} can't be installed there ({error.strerror or error}); make room (it takes "
                    f"{self.size}), or let CORPUSCLE_CACHE name another folder."
                ) from None
        return folder / "bin" / self.program

    def _complete(self) -> bool:
        try:
            whole = (self.folder / STAMP).read_text() == self.pins.read_text()
            return whole and (self.folder / "bin" / "python").exists()
        except OSError:
            return False

    @contextmanager
    def _turn(self, lock: Path, say: Say) -> Iterator[None]:
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting: another program is installing {self.name}")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _build(self, say: Say) -> None:
        """Where it will stay, since an environment's scripts name its folder: it can't be made elsewhere and moved."""
        folder, pins = self.folder, self.pins.read_text()
        say(f"installing {self.name} {self.version} into {folder} (once: {self.time}, {self.size})")
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        command = [
            *(str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"),
            *("--progress-bar", "off", "-c", str(self.pins), *self.requirements),
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
                            say(f"  found {collected} of about {pins.count('==')} packages")
                    elif line.startswith("Installing collected packages"):
                        say("  all packages are here; unpacking them")
            except BaseException:
                pip.kill()
                raise
        if pip.returncode:
            cause = errors[0] if errors else f"pip ended with {pip.returncode}"
            raise InstallError(
                f"{self.name} {self.version} could not be installed ({cause}). It needs a package registry once; check "
                "that pip reaches one, then run this again."
            )
        (folder / STAMP).write_text(pins)
        say(f"installed {self.name}")
