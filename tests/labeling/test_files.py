"""JSONL files that are there whole, or as they were before."""

import errno
import json
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labeling.files import json_lines, together


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Files of this process can grow to so many bytes: what is written beyond fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_after_an_error_the_old_files_are_as_they_were(tmp_path: Path) -> None:
    with json_lines(tmp_path, ["a"]) as files:
        files["a"].write({"row": 1})
    with pytest.raises(RuntimeError), json_lines(tmp_path, ["a"]) as files:
        files["a"].write({"row": 2})
        raise RuntimeError
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [{"row": 1}]
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_half_characters_of_a_files_name_say_are_spelt_as_json_does(tmp_path: Path) -> None:
    row = {"file": "\udcff.jsonl", "text": "é \\ud800"}
    with json_lines(tmp_path, ["a"]) as files:
        files["a"].write(row)
    assert json.loads((tmp_path / "a.jsonl").read_text("utf-8")) == row


def test_a_disk_that_is_full_leaves_the_old_files_as_they_were_and_nothing_beside_them(tmp_path: Path) -> None:
    with json_lines(tmp_path, ["a", "b"]) as files:
        files["a"].write({"row": 1})
    before = contents(tmp_path)
    with no_file_beyond(1000), pytest.raises(OSError) as error, json_lines(tmp_path, ["a", "b"]) as files:
        files["a"].write({"row": 2})
        files["b"].write({"row": "x" * 2000})
    assert error.value.errno == errno.EFBIG
    assert contents(tmp_path) == before


def test_what_is_not_written_goes_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "mine").write_text("mine")
    with together(tmp_path, ["new", "old"]) as parts:
        parts["new"].write_text("new")
        assert sorted(path.name for path in tmp_path.iterdir()) == [".new.part", "mine", "old"]
    assert contents(tmp_path) == {"new": b"new", "mine": b"mine"}


def test_what_a_killed_program_left_is_not_taken_for_written(tmp_path: Path) -> None:
    (tmp_path / ".a.part").write_text("half")
    with together(tmp_path, ["a"]):
        pass
    assert contents(tmp_path) == {}


def test_who_comes_to_a_folder_that_another_fills_waits(tmp_path: Path) -> None:
    came = threading.Event()

    def second() -> None:
        came.set()
        with together(tmp_path, ["a"]) as parts:
            parts["a"].write_text("second")

    with together(tmp_path, ["a"]) as parts:
        other = threading.Thread(target=second)
        other.start()
        came.wait(60)
        other.join(0.2)  # time to take the first one's part away
        parts["a"].write_text("first")
    other.join(60)
    assert contents(tmp_path) == {"a": b"second"}


def test_a_folder_in_a_file_s_place_leaves_all_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError, match="b"), together(tmp_path, ["a", "b"]) as parts:
        parts["a"].write_text("new")
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_files_come_in_the_order_of_their_names_given(tmp_path: Path) -> None:
    """Of files of which the first says whose the others are, it is there if any is."""
    with together(tmp_path, ["index", "a"]) as parts:
        parts["a"].write_text("1")
        parts["index"].write_text("of a")
    assert (tmp_path / "index").stat().st_ctime_ns <= (tmp_path / "a").stat().st_ctime_ns
