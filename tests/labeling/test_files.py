"""JSONL files that are there whole, or as they were before."""

import json
from pathlib import Path

import pytest

from labeling.files import json_lines


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
