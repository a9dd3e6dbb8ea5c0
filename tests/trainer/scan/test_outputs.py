import os
from pathlib import Path

import pytest

from tests.trainer.scan.conftest import instructions, write
from trainer.scan.outputs import check_outputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where people stand who type the paths below: with data, trusted data, and links to the data."""
    write(tmp_path / "rows.jsonl", instructions(3))
    write(tmp_path / "trusted.jsonl", instructions(3, seed=1))
    (tmp_path / "more").mkdir()
    write(tmp_path / "more/part.jsonl", instructions(3, seed=2))
    (tmp_path / "link.jsonl").symlink_to("rows.jsonl")
    os.link(tmp_path / "rows.jsonl", tmp_path / "hard.jsonl")
    (tmp_path / "later.jsonl").symlink_to("clean.jsonl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(
    files: str = "rows.jsonl",
    reference: str = "",
    output: str | None = None,
    clean: str | None = None,
    model: str | None = None,
) -> None:
    check_outputs(
        [Path(name) for name in files.split()],
        [Path(name) for name in reference.split()],
        Path(model) if model else None,
        Path(output) if output else None,
        Path(clean) if clean else None,
    )


def test_files_of_their_own_will_do(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    check(files="rows.jsonl more", reference="trusted.jsonl", output="found.jsonl")
    check(reference="trusted.jsonl", output="new/found.jsonl", clean="new/clean.jsonl")
    assert sorted(folder.rglob("*")) == before  # asking writes nothing
    write(folder / "clean.jsonl", instructions(2))
    check(clean="clean.jsonl", output="found.jsonl")  # what an earlier scan wrote is written anew


@pytest.mark.parametrize(
    "name",
    ["rows.jsonl", "./rows.jsonl", "more/../rows.jsonl", "link.jsonl", "hard.jsonl", "more/part.jsonl"],
)
def test_findings_are_not_written_over_what_is_scanned(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"^\S+ \(--output\) is the same file as \S+ \(scanned\); name another file$"):
        check(files="rows.jsonl more", output=name)


def test_an_absolute_path_is_the_same_file_as_a_relative_one(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"\(--output\) is the same file as rows.jsonl \(scanned\)"):
        check(output=str(folder / "rows.jsonl"))


@pytest.mark.parametrize("option", ["output", "clean"])
def test_nothing_is_written_over_trusted_data(folder: Path, option: str) -> None:
    with pytest.raises(ValueError, match=rf"\(--{option}\) is the same file as trusted.jsonl \(--reference\)"):
        check(reference="trusted.jsonl", **{option: "./trusted.jsonl"})


@pytest.mark.parametrize("name", ["clean.jsonl", "more/../clean.jsonl", "later.jsonl"])
def test_findings_and_rows_go_to_two_files(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\(--output\) is the same file as clean.jsonl \(--clean\)"):
        check(clean="clean.jsonl", output=name)


def test_the_rows_that_are_held_have_a_file_of_their_own_too(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"\(--output\) is the same file as \S+ \(the rows that --clean holds\)"):
        check(clean="clean.jsonl", output="clean.jsonl.held.jsonl")
    source = write(folder / "clean.jsonl.held.jsonl", instructions(2))
    with pytest.raises(ValueError, match=r"\(the rows that --clean holds\) is the same file as \S+ \(scanned\)"):
        check(files=source.name, clean="clean.jsonl")
    with pytest.raises(ValueError, match=r"\(the rows that --clean holds\) is the same file as \S+ \(--reference\)"):
        check(reference=source.name, clean="clean.jsonl")


@pytest.mark.parametrize("files", ["rows.jsonl rows.jsonl", "rows.jsonl link.jsonl", "more more/part.jsonl"])
def test_a_file_whose_rows_would_count_twice_is_told(folder: Path, files: str) -> None:
    with pytest.raises(ValueError, match=r"\(scanned\) is the same file as \S+ \(scanned\)"):
        check(files=files)


def test_data_is_not_its_own_reference(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"\(--reference\) is the same file as rows.jsonl \(scanned\)"):
        check(reference="rows.jsonl")


def test_nothing_is_written_into_a_checkpoint_that_is_read(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model/weights").write_text("weights")
    with pytest.raises(ValueError, match=r"model/weights \(--output\) is in model, which --model reads"):
        check(output="model/weights", model="model")
    check(output="models", model="model")


@pytest.mark.parametrize("option", ["output", "clean"])
def test_a_pipe_is_not_replaced_by_a_file(folder: Path, option: str) -> None:
    os.mkfifo(folder / "pipe.jsonl")
    with pytest.raises(OSError, match="is a device or a pipe, which would be replaced by a file.*pipe.jsonl"):
        check(**{option: "pipe.jsonl"})
    assert (folder / "pipe.jsonl").is_fifo()
