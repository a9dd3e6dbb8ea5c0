"""The rows that nothing is held against, as they stand in the file, and beside them the others with the reasons."""

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.records.rows import read_rows
from trainer.scan.finding import Finding
from trainer.scan.samples import Samples
from trainer.scan.scan import Scan


def held_path(output: Path) -> Path:
    """Where the rows go that are not in `output`."""
    return output.with_name(f"{output.name}.held.jsonl")


def check_kind(source: Path, output: Path) -> None:
    """Raises ValueError where what is left of `source` could not be written as a file of `output`'s kind."""
    if (source.suffix == ".parquet") != (output.suffix == ".parquet"):
        raise ValueError(f"{output}: rows of {source.name} are kept as they are; give a name of the same kind")
    if source.suffix != ".parquet" and _is_array(source):
        raise ValueError(
            f"{source} is one JSON array, whose rows cannot be kept byte for byte; "
            f"rewrite it with `corpuscle train convert` first"
        )


def write_clean(scan: Scan, source: Path, output: Path) -> tuple[int, int]:
    """Writes `output` and `held_path(output)`, each whole or not at all; (rows kept, rows held).

    A row that could not be read was not judged, so it is held, too. Raises ValueError for a file that ends too early.
    """
    reasons = line_reasons(scan)
    write = _write_parquet if source.suffix == ".parquet" else _write_lines
    try:
        return write(reasons, source, output)
    except (EOFError, zlib.error, pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's own, such as a full disk; those of gzip and Arrow have no number
        raise ValueError(f"{source} cannot be read to its end ({error}), so {output} was not written") from None


def line_reasons(scan: Scan) -> dict[int, list[dict[str, Any]]]:
    """Lines (or rows of Parquet) that are held -> why."""
    samples: Samples = scan.samples
    reasons = {samples.places[row].line: [_reason(one) for one in found] for row, found in scan.held.items()}
    for bad in samples.rejected:
        reasons[bad.line] = [{"rule": "unreadable", "what": bad.reason}]
    return reasons


def _write_lines(reasons: dict[int, list[dict[str, Any]]], source: Path, output: Path) -> tuple[int, int]:
    kept = 0
    with fresh(output) as whole, fresh(held_path(output)) as held, _open(source) as lines:
        packed: Any = gzip.GzipFile(fileobj=whole, mode="wb", mtime=0) if output.suffix == ".gz" else whole
        for number, line in enumerate(lines, 1):
            if number in reasons:
                held.write(_held(source, number, reasons[number], line.decode(errors="replace").rstrip("\r\n")))
            else:
                packed.write(line)
                kept += bool(line.strip())
        if packed is not whole:
            packed.close()
    return kept, len(reasons)


def _write_parquet(reasons: dict[int, list[dict[str, Any]]], source: Path, output: Path) -> tuple[int, int]:
    kept = 0
    with pq.ParquetFile(source) as file, fresh(output) as whole, pq.ParquetWriter(whole, file.schema_arrow) as writer:
        first = 1
        for batch in file.iter_batches():
            mask = pa.array([first + place not in reasons for place in range(batch.num_rows)], pa.bool_())
            left = batch.filter(mask)
            writer.write_batch(left)
            kept += left.num_rows
            first += batch.num_rows
    with fresh(held_path(output)) as held:
        for row in read_rows(source):
            if row.line in reasons:
                fields = getattr(row, "fields", {})
                held.write(
                    _held(source, row.line, reasons[row.line], json.dumps(fields, ensure_ascii=False, default=str))
                )
    return kept, len(reasons)


def _reason(finding: Finding) -> dict[str, Any]:
    return {"rule": finding.rule, "what": finding.what, "field": finding.field, "score": finding.score, "p": finding.p}


def _held(source: Path, line: int, reasons: list[dict[str, Any]], row: str) -> bytes:
    value = {"file": str(source), "line": line, "reasons": reasons, "row": row}
    return f"{json.dumps(value, ensure_ascii=False)}\n".encode()


def _is_array(path: Path) -> bool:
    with _open(path) as file:
        return file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")  # type: ignore[return-value]


@contextmanager
def fresh(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes `path`'s place once all is written and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
