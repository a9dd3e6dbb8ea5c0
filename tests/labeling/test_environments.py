"""A program in an environment of its own: a package made here, so that no registry is needed."""

import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from labeling.environments import STAMP, Environment, InstallError

pytestmark = pytest.mark.slow


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A wheel with a program that greets."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheel = tmp_path / "hello-1.0-py3-none-any.whl"
    files = {
        "hello.py": "def main():\n    print('good morning')\n",
        "hello-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n",
        "hello-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "hello-1.0.dist-info/entry_points.txt": "[console_scripts]\nhello = hello:main\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in [*files, "hello-1.0.dist-info/RECORD"])
        archive.writestr("hello-1.0.dist-info/RECORD", record)
    pins = tmp_path / "hello.txt"
    pins.write_text("hello==1.0\n")
    return Environment("Hello", "1.0", (str(wheel),), pins, "hello", size="1 KB", time="a moment")


def greeting(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def test_it_is_installed_once_and_made_anew_for_other_pins(hello: Environment) -> None:
    told: list[str] = []
    assert greeting(hello.install(told.append)) == "good morning\n"
    assert told[0] == f"installing Hello 1.0 into {hello.folder} (once: a moment, 1 KB)"
    (hello.folder / "mark").touch()
    assert hello.install(told.append) == hello.folder / "bin" / "hello"
    assert (hello.folder / "mark").exists()
    hello.pins.write_text("hello==1.0\nnever-asked-for==2.0\n")
    assert greeting(hello.install(told.append)) == "good morning\n"
    assert not (hello.folder / "mark").exists()


def test_a_pin_that_what_is_asked_for_does_not_fit_is_told(hello: Environment) -> None:
    hello.pins.write_text("hello==2.0\n")
    with pytest.raises(InstallError, match=r"Hello 1\.0 could not be installed \(ERROR: .*hello"):
        hello.install(print)
    assert not (hello.folder / STAMP).exists()


def test_of_two_at_once_one_installs_and_the_other_waits(hello: Environment) -> None:
    told: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        programs = list(threads.map(lambda one: one.install(told.append), [hello, replace(hello)]))
    assert programs[0] == programs[1]
    assert sum(line.startswith("installing Hello") for line in told) == 1
    assert greeting(programs[0]) == "good morning\n"
