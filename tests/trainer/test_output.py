"""The folder that a training writes."""

import json
from pathlib import Path

import pytest

from trainer.output import prepare_output


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="that is a file, or lies below one; expected a folder"):
            prepare_output(output)
    prepare_output(tmp_path / "some" / "where")
    assert (tmp_path / "some" / "where").is_dir()


def test_a_folder_with_others_files_is_none_either(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("")
    prepare_output(tmp_path)
    for name in ("c.txt", "a.txt", "run.json", "d.txt"):
        (tmp_path / name).write_text("[]")
    with pytest.raises(ValueError, match="in it that no training made: a.txt, c.txt, d.txt and 1 more. Nothing was"):
        prepare_output(tmp_path)


def test_that_of_an_earlier_run_is_taken_with_all_that_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "run.json").write_text(json.dumps({"settings": {}}))
    (tmp_path / "notes.txt").write_text("")
    prepare_output(tmp_path, ("sft",))
    with pytest.raises(ValueError, match="that no training made: notes.txt, sft"):
        prepare_output(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"settings": {}}))
    prepare_output(tmp_path)


def test_what_a_run_keeps_in_a_folder_of_its_own_is_not_anothers(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"settings": {}}))
    (tmp_path / "round-1").mkdir()
    (tmp_path / "round-1" / "kept.jsonl").write_text("")
    prepare_output(tmp_path / "round-1")
