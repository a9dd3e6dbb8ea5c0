"""The command line as a new user meets it: what it says of itself, and of a command that can't be run."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from corpuscle.main import told
from labeling.store.database import Database
from tests.pipeline.conftest import corpuscle


def test_it_says_its_version() -> None:
    assert re.fullmatch(r"corpuscle \d+\.\d+\.\d+\n", corpuscle("--version").stdout)


def test_a_run_without_input_is_told() -> None:
    ran = corpuscle("run", "recipes/demo.yaml", "-o", "out", check=False)
    assert ran.returncode == 2
    assert "no input: name WARC files, or give --input" in ran.stderr


def test_a_full_disk_is_told_even_where_no_file_is_named() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert str(told(full)).startswith("No space left on device (writing a file")
    assert told(OSError(errno.EIO, "Input/output error")) is None  # which only its trace tells


@pytest.mark.slow
def test_a_faulty_beam_option_is_told_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"")
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    out = tmp_path / "out"
    ran = corpuscle(
        "run", f"{tmp_path}/mine.yaml", f"{tmp_path}/a.warc", "-o", str(out), "--", "--direct_num_worker=1", check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: behind --: Beam's local runner has no option --direct_num_worker. Did you")
    assert not out.exists()


@pytest.mark.slow
def test_a_file_where_a_folder_was_expected_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = corpuscle("sample-crawl", str(tmp_path / "file"), check=False)
    assert (ran.returncode, ran.stderr) == (1, f"error: {tmp_path}/file: that is a file; expected a folder\n")


@pytest.mark.slow
def test_a_prompt_that_is_no_text_is_told() -> None:
    ran = subprocess.run(
        [os.fsencode(sys.executable), b"-m", b"corpuscle.main", b"sample", b"model", b"--prompt", b"\xff\xfe"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "--prompt is not text in UTF-8" in ran.stderr


def test_pretraining_shows_its_own_name_and_the_corpuss_place() -> None:
    told = corpuscle("train", "pretrain", "--help").stdout
    assert told.startswith("Usage: corpuscle train pretrain DATA --output OUTPUT [OPTIONS]")


@pytest.mark.slow
def test_pretraining_says_in_two_lines_what_is_missing() -> None:
    ran = corpuscle("train", "pretrain", "corpus", "--steps", "5", check=False)
    assert ran.returncode == 2
    assert "--output" in ran.stderr.splitlines()[0]
    assert len(ran.stderr.splitlines()) == 2


@pytest.mark.parametrize("command", [["labels", "out"], ["chat", "model"]])
def test_a_store_whose_url_is_none_is_told_before_anything_is_done(command: list[str]) -> None:
    ran = corpuscle(*command, check=False, CORPUSCLE_STORE="nonsense")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: the store's URL can't be read; expected sqlite:///path/to/file or ")
    assert len(ran.stderr.splitlines()) == 1


def test_an_export_without_a_database_makes_none_and_leaves_the_last_one(tmp_path: Path) -> None:
    (tmp_path / "demonstrations.jsonl").write_text("{}\n")
    store = tmp_path / "none.db"
    ran = corpuscle("labels", str(tmp_path), check=False, CORPUSCLE_STORE=f"sqlite:///{store}")
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: sqlite:///{store}: there is no such database (looked for {store}). ")
    assert (tmp_path / "demonstrations.jsonl").read_text() == "{}\n"
    assert not store.exists()
    Database(f"sqlite:///{store}").close()
    assert corpuscle("labels", str(tmp_path), CORPUSCLE_STORE=f"sqlite:///{store}").stdout.splitlines() == [
        f"from sqlite:///{store}",
        *(f"{0:>7} {tmp_path}/{kind}.jsonl" for kind in ("demonstrations", "comparisons", "unpaired")),
    ]
