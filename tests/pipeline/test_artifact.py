"""Files appear whole or not at all; a part is found again only if it was finished, and from the same input."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.artifact import (
    BYTES_A_GROUP,
    ROWS_A_GROUP,
    File,
    Part,
    PartWriter,
    atomic,
    finished_part,
    read_batches,
    read_json,
)

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string())])


def rows(start: int, stop: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"n": n, "text": f"row {n}"} for n in range(start, stop)], SCHEMA)


def write_part(folder: Path, batches: list[pa.RecordBatch], mark: str = "mark") -> Part:
    writer = PartWriter(str(folder), "step", "part-00000-0000", mark, 0, (0, 10))
    with writer.table("documents", SCHEMA) as table:
        for batch in batches:
            table.write(batch)
    writer.counts["read"] += 3
    return writer.commit({})


def test_a_file_that_fails_half_way_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic(str(tmp_path / "a" / "file")) as file:
        file.write(b"half")
        raise RuntimeError
    assert list((tmp_path / "a").iterdir()) == []


def test_a_file_that_is_there_stays_whole_while_another_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic(str(path)) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"


def test_a_finished_part_is_found_again(tmp_path: Path) -> None:
    part = write_part(tmp_path, [rows(0, 3)])
    assert finished_part(str(tmp_path), "step", "part-00000-0000", "mark") == part


def test_a_part_of_other_input_is_not(tmp_path: Path) -> None:
    write_part(tmp_path, [rows(0, 3)])
    assert finished_part(str(tmp_path), "step", "part-00000-0000", "another") is None


def test_a_part_whose_file_is_gone_is_not(tmp_path: Path) -> None:
    part = write_part(tmp_path, [rows(0, 3)])
    Path(part.path("documents")).unlink()
    assert finished_part(str(tmp_path), "step", "part-00000-0000", "mark") is None


def test_a_marker_cut_short_is_no_marker(tmp_path: Path) -> None:
    write_part(tmp_path, [rows(0, 3)])
    marker = tmp_path / "step/parts/part-00000-0000.json"
    marker.write_bytes(marker.read_bytes()[:40])
    assert finished_part(str(tmp_path), "step", "part-00000-0000", "mark") is None
    assert read_json(str(marker)) is None


def test_a_tables_bytes_do_not_depend_on_its_batches(tmp_path: Path) -> None:
    total = 3 * ROWS_A_GROUP + 7
    whole = write_part(tmp_path / "whole", [rows(0, total)])
    pieces = write_part(tmp_path / "pieces", [rows(n, min(n + 100, total)) for n in range(0, total, 100)])
    assert whole.files == pieces.files
    assert whole.files[0].rows == total


def test_batches_come_back_in_order_and_bounded(tmp_path: Path) -> None:
    part = write_part(tmp_path, [rows(0, ROWS_A_GROUP + 1)])
    batches = list(read_batches(part.path("documents")))
    assert [batch.num_rows for batch in batches] == [ROWS_A_GROUP, 1]
    assert pa.Table.from_batches(batches).column("n").to_pylist() == list(range(ROWS_A_GROUP + 1))


def test_a_table_without_rows_leaves_a_file(tmp_path: Path) -> None:
    part = write_part(tmp_path, [])
    assert part.files[0].rows == 0
    assert list(read_batches(part.path("documents"))) == []


def test_a_parts_content_changes_with_its_files() -> None:
    one, other = (Part("step", "name", "", files=(File("documents/a", sha, 1, 1),)) for sha in ("aa", "bb"))
    assert one.content != other.content


def test_long_texts_make_smaller_groups(tmp_path: Path) -> None:
    long = pa.RecordBatch.from_pylist([{"n": n, "text": "x" * (BYTES_A_GROUP // 2)} for n in range(3)], SCHEMA)
    part = write_part(tmp_path, [long])
    assert [batch.num_rows for batch in read_batches(part.path("documents"))] == [2, 1]
