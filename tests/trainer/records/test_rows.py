import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trainer.records.conftest import ANSWER, GOOD, USER, complaint
from trainer.records import (
    Limits,
    RecordsError,
    read_comparisons,
    read_demonstrations,
)


def test_marks_blank_lines_and_line_ends_of_other_systems_are_no_matter(tmp_path: Path) -> None:
    row = json.dumps(GOOD).encode()
    other = json.dumps(
        {"messages": [USER, {"role": "assistant", "content": "a\u2028b\r\n"}]}, ensure_ascii=False
    ).encode()
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + row + b"\r\n\r\n \n" + other)
    assert [record.messages[1].content for record in read_demonstrations(path)] == ["4", "a\u2028b\r\n"]
    path.write_bytes(b"\xef\xbb\xbf" + row + b"\r\n\r\n \n" + other[:-1])
    assert f"{path}:4: not JSON" in complaint(path)


def test_utf_16_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(json.dumps(GOOD), encoding="utf-16")
    assert "UTF-16; save it as UTF-8" in complaint(tmp_path / "data.jsonl")


@pytest.mark.parametrize("contents", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_told(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "data.jsonl").write_bytes(contents)
    assert (
        complaint(tmp_path / "data.jsonl") == f"{tmp_path}/data.jsonl: the file is empty; expected a JSON object a line"
    )


def test_a_line_at_the_limit_is_read_and_a_longer_one_is_not(write: Any) -> None:
    line = json.dumps(GOOD).encode()
    path = write(line, line + b" ", {"prompt": "x", "completion": "y"})
    assert len(read_demonstrations(path, skip_bad=True, limits=Limits(row_bytes=len(line)))) == 2
    (bad,) = read_demonstrations(path, skip_bad=True, limits=Limits(row_bytes=len(line))).rejected
    most = "the most that a row may have; make several rows of it, or leave it out"
    assert (bad.line, bad.reason) == (2, f"longer than {len(line)} bytes, {most}")
    assert not read_demonstrations(path, limits=Limits(row_bytes=len(line) + 1)).rejected


def test_an_endless_zipped_line_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(20):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + json.dumps(GOOD).encode())
    records = read_demonstrations(path, skip_bad=True)
    assert len(records) == 1
    assert [bad.line for bad in records.rejected] == [1]


def test_the_number_of_messages_has_a_limit(write: Any) -> None:
    path = write({"messages": [USER, ANSWER] * 2})
    assert len(read_demonstrations(path, limits=Limits(messages=4))) == 1
    assert "4 messages; at most 3 are read" in complaint(path, limits=Limits(messages=3))
    long = "\n\nHuman: a\n\nAssistant: b" * 2
    path = write({"chosen": long, "rejected": long + "c"})
    assert "4 messages; at most 3" in complaint(path, read_comparisons, limits=Limits(messages=3))
    path = write({"prompt": "x", "completions": list("abcd"), "ranks": [1, 2, 3, 4]})
    assert "4 completions; at most 3" in complaint(path, read_comparisons, limits=Limits(messages=3))


def test_zipped_files_are_known_by_their_contents(tmp_path: Path) -> None:
    for name in ("one.jsonl.gz", "two.jsonl"):
        (tmp_path / name).write_bytes(gzip.compress(json.dumps(GOOD).encode()))
        assert len(read_demonstrations(tmp_path / name)) == 1
    (tmp_path / "three.jsonl.gz").write_text(json.dumps(GOOD))
    assert len(read_demonstrations(tmp_path / "three.jsonl.gz")) == 1


def test_a_zipped_file_cut_short_gives_what_is_whole(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [{"prompt": f"{draw.random()}", "completion": "y"} for _ in range(2000)]
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    records = read_demonstrations(path, skip_bad=True)
    assert 500 < len(records) < 2000
    assert "the file cannot be read from here on" in records.rejected[-1].reason
    assert records.rejected[-1].line > len(records)


def test_one_array_is_read_with_the_lines_of_its_elements(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([GOOD, {"messages": [USER]}, 5], indent=1))
    with pytest.raises(RecordsError) as raised:
        read_demonstrations(path)
    first, second = raised.value.rejected
    line = path.read_text().split("\n").index(" {", 3) + 1
    assert (first.line, first.reason) == (
        line,
        "no assistant message to learn from; expected one that is not left out of training",
    )
    assert second.reason.startswith("not an object")


@pytest.mark.parametrize(
    ("contents", "good"),
    [("[{}, {", 0), ("[%s, {]", 1), ("[%s %s]", 1), ("[%s", 1), ("[%s] []", 1), ("[]", 0), ("[", 0)],
)
def test_a_broken_array_gives_what_is_before_the_break(tmp_path: Path, contents: str, good: int) -> None:
    path = tmp_path / "data.json"
    path.write_text(contents.replace("%s", json.dumps(GOOD)))
    if good:
        assert read_demonstrations(path, skip_bad=True).rejected
    assert len(complaint(path)) > 20


ROWS = [
    {"messages": [USER, ANSWER], "weight": 2.0},
    {
        "messages": [
            USER,
            {
                "role": "assistant",
                "tool_calls": [{"type": "function", "function": {"name": "t", "arguments": {"x": 1}}}],
            },
            {"role": "tool", "content": "4"},
            ANSWER | {"train": True},
        ]
    },
]


def test_parquet_says_the_same_as_jsonl(write: Any, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "data.parquet")
    assert read_demonstrations(tmp_path / "data.parquet").good == read_demonstrations(write(*ROWS)).good


def test_a_bad_row_of_parquet_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    table = pa.table({"prompt": ["a", "b", None, "d"], "completion": ["x", "", "y", "z" * 1000], "choosen": [1] * 4})
    pq.write_table(table, path)
    with pytest.raises(RecordsError) as raised:
        read_demonstrations(path, limits=Limits(row_bytes=500))
    messages = [str(bad) for bad in raised.value.rejected]
    assert [message.removeprefix(str(path))[:8] for message in messages] == [", row 2:", ", row 3:", ", row 4:"]
    assert "an empty answer" in messages[0]
    assert "found 'completion', 'choosen'" in messages[1]
    assert "more than 500 bytes" in messages[2]


def test_parquet_with_broken_text_costs_that_row(tmp_path: Path) -> None:
    texts = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    pq.write_table(pa.table({"prompt": texts, "completion": ["x", "y"]}), tmp_path / "data.parquet")
    records = read_demonstrations(tmp_path / "data.parquet", skip_bad=True)
    assert len(records) == 1
    assert [bad.line for bad in records.rejected] == [2]


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    assert f"{path}: not a whole Parquet file" in complaint(path)
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), path)
    assert f"{path}: the file has no rows" in complaint(path)


def test_parquet_without_any_column_of_ours_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "data.parquet")
    assert "found 'text'" in complaint(tmp_path / "data.parquet")


def test_a_folder_and_a_list_are_their_files(write: Any, tmp_path: Path) -> None:
    b = write({"prompt": "b", "completion": "b"}, name="b.jsonl")
    a = write({"prompt": "a", "completion": "a"}, name="a.jsonl")
    (tmp_path / "README.md").write_text("not read")
    (tmp_path / ".a.jsonl.part").write_text("not read")
    assert [record.messages[0].content for record in read_demonstrations(tmp_path)] == ["a", "b"]
    assert [record.messages[0].content for record in read_demonstrations([b, str(a)])] == ["b", "a"]


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_demonstrations(tmp_path / "none.jsonl")
    with pytest.raises(FileNotFoundError, match=r"no \.jsonl"):
        read_demonstrations(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file given"):
        read_demonstrations([])
    (tmp_path / "data.csv").write_text("prompt,completion\n")
    with pytest.raises(ValueError, match=r"the kind \"\.csv\" is not known; expected \.jsonl"):
        read_demonstrations(tmp_path / "data.csv")


def test_a_text_without_its_end_is_told_by_its_character(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a')
    told = complaint(tmp_path / "rows.jsonl")
    assert "not JSON: Unterminated string starting at character 12; expected one object a line" in told
