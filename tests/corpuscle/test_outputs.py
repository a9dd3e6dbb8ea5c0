"""A command writes over what it wrote before, and over nothing that is somebody's."""

from pathlib import Path

import pytest
import typer

from corpuscle.outputs import PAGE, check_own, check_own_folder


def test_a_new_file_an_empty_one_and_an_earlier_page_may_be_written(tmp_path: Path) -> None:
    check_own(tmp_path / "new.html", PAGE, "page")
    (tmp_path / "empty.html").touch()
    check_own(tmp_path / "empty.html", PAGE, "page")
    (tmp_path / "old.html").write_text("<!DOCTYPE html>\n<html>")
    check_own(tmp_path / "old.html", PAGE, "page")


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    check_own(tmp_path / "lists" / "new" / "learnt.txt", PAGE, "page")
    assert (tmp_path / "lists" / "new").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(typer.BadParameter, match="file can't be made .*; name a file in a folder"):
        check_own(tmp_path / "file" / "learnt.txt", PAGE, "page")


@pytest.mark.parametrize("content", [b"gate: {tolerance: 0.1}", b"SQLite format 3\0", b"<", b'{"messages": []}'])
def test_somebody_s_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(content)
    with pytest.raises(typer.BadParameter, match="store.sqlite is there, and is no page; give another name"):
        check_own(path, PAGE, "page")
    assert path.read_bytes() == content


def test_a_folder_and_a_device_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="is a folder; name a file"):
        check_own(tmp_path, PAGE, "page")
    with pytest.raises(typer.BadParameter, match="/dev/null is no ordinary file; name a file"):
        check_own(Path("/dev/null"), PAGE, "page")


def check_export(folder: Path) -> None:
    check_own_folder(folder, ["answers.jsonl"], "index.jsonl", '{"sample": ', "earlier export")


def test_a_folder_that_is_new_and_one_of_an_earlier_export_may_be_written(tmp_path: Path) -> None:
    check_export(tmp_path / "new")
    (tmp_path / "notes.txt").write_text("ours")
    check_export(tmp_path)
    (tmp_path / "index.jsonl").write_text('{"sample": "a"}\n')
    (tmp_path / "answers.jsonl").write_text("{}\n")
    check_export(tmp_path)


def test_a_folder_with_somebody_s_answers_or_index_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text("{}\n")
    with pytest.raises(typer.BadParameter, match="answers.jsonl is there, and is of no earlier export: index.jsonl is"):
        check_export(tmp_path)
    (tmp_path / "index.jsonl").write_text("sample\n")
    with pytest.raises(typer.BadParameter, match="index.jsonl is there, and is no part of an earlier export"):
        check_export(tmp_path)
