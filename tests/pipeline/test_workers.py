"""Workers are processes of their own that know what this one knows, and take nothing from its main module."""

import os
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest

from pipeline import workers
from pipeline.runner import LOCAL, beam_options

SCRIPT = """
import apache_beam as beam
from pipeline.runner import beam_options

print("begins")
with beam.Pipeline(options=beam_options([*{options}, "--direct_num_workers=1"])) as pipeline:
    pipeline | beam.Create([1, 2]) | beam.Map(str)
print("ends")
"""


def told(path: Path) -> list[str]:
    """What a worker says of itself: process, parent, a variable and the working folder."""

    def tell(path: str) -> None:  # in here, for workers can't import the tests
        Path(path).write_text(f"{os.getpid()} {os.getppid()} {os.environ.get('HARBOUR')} {Path.cwd()}")

    with beam.Pipeline(options=beam_options([*LOCAL[:2], "--direct_num_workers=1"])) as pipeline:
        _ = pipeline | beam.Create([str(path)]) | beam.Map(tell)
    return path.read_text().split()


def test_a_worker_has_the_environment_and_the_folder_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers.prepare()
    monkeypatch.setenv("HARBOUR", "north")
    monkeypatch.chdir(tmp_path)
    process, parent, variable, folder = told(tmp_path / "first")
    assert int(process) != os.getpid()
    assert (variable, folder) == ("north", str(tmp_path))
    monkeypatch.setenv("HARBOUR", "south")
    _, second_parent, variable, _ = told(tmp_path / "second")
    assert variable == "south"
    assert parent == second_parent, "forked from one process, which has imported everything once"


@pytest.mark.slow
def test_a_script_that_does_not_ask_whether_it_is_the_main_module_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(options=LOCAL[:2]))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["begins", "ends"]
