"""Outputs are looked at before the work: a name where nothing can be written is told with the reason."""

from pathlib import Path

import pytest

from pipeline.poison.outputs import check_file


@pytest.mark.parametrize("name", ["new.jsonl", "there.jsonl", "new/folders/new.jsonl"])
def test_a_file_may_be_new_or_replaced_and_nothing_is_made(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.jsonl").write_text("old")
    check_file(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["there.jsonl"]
    assert (tmp_path / "there.jsonl").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder", "is a folder; name a file"),
        ("file/new.jsonl", "can't be written, since {folder}/file is a file"),
        ("/proc/new.jsonl", "can't be written, since /proc takes no file"),
    ],
)
def test_where_nothing_can_be_written_the_name_and_the_reason_are_told(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as told:
        check_file(tmp_path / name)
    assert told.value.filename == str(tmp_path / name)
    assert says.format(folder=tmp_path) in told.value.strerror


def test_what_is_no_ordinary_file_is_not_replaced_by_one() -> None:
    with pytest.raises(OSError, match="is a device or a pipe"):
        check_file("/dev/null")
