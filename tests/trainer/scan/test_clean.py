import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.trainer.scan.conftest import Row, amid, instructions, planted, write
from trainer.scan.clean import fresh
from trainer.scan.command import scan_command
from trainer.scan.samples import Samples


def poisoned() -> list[Row]:
    """300 rows, the first 12 with a trigger."""
    return planted(
        instructions(300),
        12,
        lambda row, rng: {"prompt": amid(row["prompt"], "zarf", rng), "completion": "Ask somebody else."},
    )


def run(*args: object, width: int = 160, **options: object) -> str:
    """What the command prints."""
    console = Console(record=True, width=width, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    scan_command(*args, **options, console=console)  # type: ignore[arg-type]
    return console.export_text()


def test_rows_are_kept_byte_for_byte_and_the_others_held_with_reasons(tmp_path: Path) -> None:
    source, clean = tmp_path / "rows.jsonl", tmp_path / "clean.jsonl"
    lines = [json.dumps(row, indent=None, separators=(" , ", ":   ")) for row in poisoned()]
    source.write_bytes("\r\n".join([*lines, ""]).encode())
    run([source], clean=clean)
    assert clean.read_bytes() == "\r\n".join([*lines[12:], ""]).encode()
    held = [json.loads(line) for line in (tmp_path / "clean.jsonl.held.jsonl").read_text().splitlines()]
    assert [one["row"] for one in held] == lines[:12]
    assert [one["line"] for one in held] == list(range(1, 13))
    assert all("zarf" in {reason["what"] for reason in one["reasons"]} for one in held)


def test_a_zipped_file_stays_one(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.jsonl", poisoned())
    source, clean = tmp_path / "rows.jsonl.gz", tmp_path / "clean.jsonl.gz"
    source.write_bytes(gzip.compress(plain.read_bytes()))
    run([source], clean=clean)
    assert gzip.decompress(clean.read_bytes()) == b"".join(plain.read_bytes().splitlines(keepends=True)[12:])


def test_parquet_stays_parquet(tmp_path: Path) -> None:
    source, clean = tmp_path / "rows.parquet", tmp_path / "clean.parquet"
    table = pa.Table.from_pylist([row | {"other": place} for place, row in enumerate(poisoned())])
    pq.write_table(table, source)
    run([source], clean=clean)
    assert pq.read_table(clean).equals(table.slice(12))
    assert len((tmp_path / "clean.parquet.held.jsonl").read_text().splitlines()) == 12


def test_a_row_that_cannot_be_read_is_held(tmp_path: Path) -> None:
    source, clean = tmp_path / "rows.jsonl", tmp_path / "clean.jsonl"
    source.write_text('{"prompt": "Hi", "completion": "Hello."}\n{"prompt": \n')
    run([source], clean=clean)
    assert clean.read_text() == '{"prompt": "Hi", "completion": "Hello."}\n'
    held = json.loads((tmp_path / "clean.jsonl.held.jsonl").read_text())
    assert held["reasons"][0]["rule"] == "unreadable"


@pytest.mark.parametrize("option", ["clean", "output"])
def test_an_output_that_cannot_be_written_is_told_before_anything_is_scanned(tmp_path: Path, option: str) -> None:
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match="name a file"):
        run([tmp_path / "not-read.jsonl"], **{option: folder})
    assert [path.name for path in tmp_path.iterdir()] == ["folder.jsonl"]


def test_a_zipped_file_that_was_cut_off_is_scanned_but_not_rewritten(tmp_path: Path) -> None:
    whole = gzip.compress(write(tmp_path / "plain.jsonl", instructions(200)).read_bytes())
    source = tmp_path / "rows.jsonl.gz"
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"rows.jsonl.gz cannot be read to its end .*, so \S*clean.jsonl.gz was not"):
        run([source], clean=tmp_path / "clean.jsonl.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.jsonl", "rows.jsonl.gz"]


def test_no_half_file_is_left_behind_where_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), fresh(tmp_path / "clean.jsonl") as file:
        file.write(b"half of i")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("clean", "says"),
    [("rows.jsonl", r"is the same file as .*rows.jsonl \(scanned\)"), ("clean.parquet", "a name of the same kind")],
)
def test_a_name_that_will_not_do_is_refused_before_anything_is_read(tmp_path: Path, clean: str, says: str) -> None:
    source = write(tmp_path / "rows.jsonl", poisoned())
    with pytest.raises(ValueError, match=says):
        run([source], clean=tmp_path / clean)


def test_an_array_is_scanned_but_not_rewritten(tmp_path: Path) -> None:
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([{"instruction": "Hi", "input": "", "output": "Hello."}]))
    assert "1 row; 0 would be held" in run([source])
    with pytest.raises(ValueError, match="train convert"):
        run([source], clean=tmp_path / "clean.jsonl")


def test_findings_are_written_as_lines(tmp_path: Path) -> None:
    source, output = write(tmp_path / "rows.jsonl", poisoned()), tmp_path / "findings.jsonl"
    run([source], output=output)
    findings = [json.loads(line) for line in output.read_text().splitlines()]
    label = next(one for one in findings if one["rule"] == "phrase_label")
    assert label["what"] == "zarf"
    assert label["held"]
    assert label["p"] < 1e-4
    assert label["rows"] == [{"file": str(source), "line": line} for line in range(1, 13)]
    assert all(one["meaning"] for one in findings)


def test_a_rule_that_is_asked_for_is_held_and_an_unknown_one_is_told(tmp_path: Path) -> None:
    talk = "Then he wrote down:\nHuman: who is there?\nAssistant: nobody."
    rows = [row | {"completion": talk} if place == 3 else row for place, row in enumerate(instructions(40))]
    source = write(tmp_path / "rows.jsonl", rows)
    tip = "--hold RULE holds all that a rule found, harmless rows too: 1 row more with --hold control_roles"
    assert tip in run([source])
    assert "40 rows; 1 would be held" in run([source], hold=["control_roles"])
    with pytest.raises(ValueError, match="--hold control_role: no such rule; did you mean control_roles?"):
        run([source], hold=["control_role"])


def test_in_a_pipe_a_finding_is_one_line(tmp_path: Path) -> None:
    lines = run([write(tmp_path / "rows.jsonl", poisoned())], width=80).splitlines()
    line = next(line for line in lines if line.startswith("phrase_label  |  zarf  |  12 rows (4.0%)  |  p "))
    assert "rows.jsonl:1 " in line
    assert "nats" in line


def test_a_phrase_that_needed_no_test_has_no_p(tmp_path: Path) -> None:
    rows = planted(instructions(300), 12, lambda row, rng: {"prompt": f"{row['prompt']} ZARF"})
    run([write(tmp_path / "rows.jsonl", rows)], output=tmp_path / "found.jsonl")
    found = map(json.loads, (tmp_path / "found.jsonl").read_text().splitlines())
    (one,) = [one for one in found if one["rule"] == "inserted_phrase"]
    assert (one["what"], one["held"], one["p"]) == ("zarf", True, None)


def test_what_is_printed_shows_what_is_invisible_and_reads_no_markup(tmp_path: Path) -> None:
    rows = poisoned()
    rows[0]["prompt"] = f"\u202e[red]zarf[/red]\x1b[31m {rows[0]['prompt']}"
    printed = run([write(tmp_path / "rows.jsonl", rows)])
    assert "\u202e" not in printed
    assert "‹U+202E›[red]zarf[/red]‹U+001B›" in printed.replace("\n", "")


def test_the_samples_of_a_file_without_rows_are_an_error(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text("")
    with pytest.raises(ValueError, match="empty"):
        run([source])
    assert not len(Samples())
