"""JSON Lines: each bad row is told with its place, and the others are read."""

import gzip
import json
import re
from pathlib import Path

import pytest

from labeling.rows import ROW_BYTES, Rejected, Row, number, read_rows, reject, write_rejected


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


def test_good_rows_are_read_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b"\xef\xbb\xbf" + b'{"a": 1}\r', b"", '{"a": "é\u2028"}'.encode(), b"")
    assert [(row.line, row.fields) for row in read_rows(path) if isinstance(row, Row)] == [
        (1, {"a": 1}),
        (3, {"a": "é\u2028"}),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "not JSON: .*at character 8"),
        (b"[1, 2]", "not an object"),
        (b"\xff{}", "byte 1 is not UTF-8"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
        (b'{"a": "' + b"x" * ROW_BYTES + b'"}', "longer than 8,388,608 bytes"),
    ],
)
def test_a_bad_row_is_named_and_costs_itself(tmp_path: Path, line: bytes, reason: str) -> None:
    path = write(tmp_path / "a.jsonl", b"{}", line, b"{}", b"")
    first, bad, last = read_rows(path)
    assert isinstance(bad, Rejected)
    assert bad.place == f"{path}:2"
    assert re.search(reason, bad.reason)
    assert len(bad.raw) <= 200
    assert [row.line for row in (first, last) if isinstance(row, Row)] == [1, 3]


def test_a_zipped_file_is_read_and_a_cut_one_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    whole = gzip.compress(b"".join(b'{"number": %d}\n' % number for number in range(50_000)))
    path.write_bytes(whole)
    assert sum(isinstance(row, Row) for row in read_rows(path)) == 50_000
    path.write_bytes(whole[: len(whole) // 2])
    *good, bad = read_rows(path)
    assert all(isinstance(row, Row) for row in good)
    assert isinstance(bad, Rejected)
    assert "can't be read from here on" in bad.reason
    assert bad.place == f"{path}:{len(good) + 1}"


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (bad,) = read_rows(write(tmp_path / "a.jsonl", b"", b" "))
    assert "the file is empty" in str(bad)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_rows(tmp_path / "a.jsonl"))


def test_rejected_rows_can_be_written_and_replace_the_last_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.rejected.jsonl"
    row = Row(tmp_path / "a.jsonl", 3, {}, "{é}")
    write_rejected(path, [Rejected("x", "y")])
    write_rejected(path, [reject(row, ValueError("no prompt"))])
    expected = {"place": f"{tmp_path}/a.jsonl:3", "reason": "no prompt", "raw": "{é}"}
    assert [json.loads(line) for line in path.read_text().splitlines()] == [expected]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_half_characters_of_rows_and_file_names_are_spelt_as_json_does(tmp_path: Path) -> None:
    path = tmp_path / "a.rejected.jsonl"
    write_rejected(path, [Rejected("\udcff.jsonl:1", "gold is \ud800")])
    assert json.loads(path.read_text("utf-8")) == {"place": "\udcff.jsonl:1", "reason": "gold is \ud800", "raw": ""}


def test_numbers() -> None:
    assert number(3, "priority") == 3.0
    for value in (True, "3", None, float("inf"), 10**400):
        with pytest.raises(ValueError, match="priority is .*; expected a number"):
            number(value, "priority")
