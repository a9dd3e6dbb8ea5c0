"""However it is run, and however it was stopped: the same input gives the same bytes."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.manifest import STEPS, read_manifest
from pipeline.recipe import load_recipe
from pipeline.run import run
from tests.pipeline.conftest import corpuscle, digests

WORKERS = ("--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.mark.slow
def test_a_changed_threshold_measures_nothing_again(
    corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(corpus, tmp_path / "out")
    changed = tmp_path / "small.yaml"
    changed.write_text(recipe.read_text().replace("gopher_quality:", "gopher_quality: {min_words: 300}"))
    measured = {path: path.stat().st_ino for path in (folder / "measure").rglob("*.parquet")}
    corpuscle(
        "run",
        str(changed),
        "--input",
        f"{sample_crawl}/*.warc.gz",
        "--output",
        str(folder),
        "--no-report",
        "--",
        WORKERS[0],
    )
    assert {path: path.stat().st_ino for path in (folder / "measure").rglob("*.parquet")} == measured
    assert digests(folder) != digests(corpus)
    manifest = read_manifest(str(folder), "filter")
    assert manifest is not None
    assert manifest["reasons"]["too_few_words"] > 0


@pytest.mark.slow
def test_more_workers_and_another_order_give_the_same_bytes(
    corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    files = sorted(map(str, sample_crawl.iterdir()), reverse=True)
    inputs = [argument for file in files for argument in ("--input", file)]
    corpuscle("run", str(recipe), *inputs, "--output", str(tmp_path / "out"), "--no-report", "--", *WORKERS)
    assert digests(tmp_path / "out") == digests(corpus)


@pytest.mark.slow
def test_slices_grouped_by_a_shuffle_give_the_same_bytes(
    corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    run(load_recipe(recipe), [f"{sample_crawl}/*"], str(tmp_path / "out"), ["--runner=FnApiRunner"], dealing="shuffle")
    assert digests(tmp_path / "out") == digests(corpus)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def job_service(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Beam's portable job service and a pool of separate worker processes: the boundary that Dataflow has."""
    job, pool = free_port(), free_port()
    # The pool starts `python` from PATH.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    commands = [
        ["apache_beam.runners.portability.local_job_service_main", f"--port={job}", f"--staging_dir={tmp_path}/stage"],
        ["apache_beam.runners.worker.worker_pool_main", f"--service_port={pool}"],
    ]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
        )
        for command in commands
    ]
    for port in (job, pool):
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
    yield f"localhost:{job}", f"localhost:{pool}"
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_the_portable_job_service_gives_the_same_bytes(
    corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path, job_service: tuple[str, str]
) -> None:
    job, pool = job_service
    corpuscle(
        "run", str(recipe), "--input", f"{sample_crawl}/*.warc.gz", "--output", str(tmp_path / "out"), "--no-report",
        "--", "--runner=PortableRunner", f"--job_endpoint={job}",
        "--environment_type=EXTERNAL", f"--environment_config={pool}",
    )  # fmt: skip
    assert digests(tmp_path / "out") == digests(corpus)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_run_killed_in_a_step_goes_on_and_gives_the_same_bytes(
    step: str, corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    for attempt in range(3):  # the last steps are over in a moment, and the signal may come too late
        folder = tmp_path / str(attempt)
        command = ["run", str(recipe), "--input", f"{sample_crawl}/*.warc.gz", "--output", str(folder), "--no-report"]
        process = subprocess.Popen(
            [sys.executable, "-m", "corpuscle.main", *command, "--", "--runner=FnApiRunner"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while process.poll() is None and not list((folder / step).glob("parts/*.json")):
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not (folder / "manifest.json").exists():
            break
    assert not (folder / "manifest.json").exists(), "the run ended each time before it could be killed"
    survivors = {path: path.stat().st_ino for path in (folder / step).glob("parts/*.json")}
    assert survivors
    corpuscle(*command, "--", "--runner=FnApiRunner")
    assert digests(folder) == digests(corpus)
    assert {path: path.stat().st_ino for path in survivors if path.exists()} == {
        path: number for path, number in survivors.items() if path.exists()
    }
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_run_goes_on_later(
    corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system can't be mounted here (it takes root)")
    command = [
        "run",
        str(recipe),
        "--input",
        f"{sample_crawl}/*.warc.gz",
        "--output",
        str(small / "out"),
        "--no-report",
    ]
    try:
        ran = corpuscle(*command, check=False)
        assert ran.returncode == 1
        assert "the disk is full" in ran.stderr
        assert "Traceback" not in ran.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
        corpuscle(*command)
        assert digests(small / "out") == digests(corpus)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
