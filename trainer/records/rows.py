"""Files -> rows: what each line of JSONL, element of a JSON array or row of Parquet says, or why it says nothing.

A row that cannot be read costs that row. Lines are read one at a time and never further than the limit, so a file of
one endless line, zipped or not, takes no more memory than another.
"""

import gzip
import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
EXCERPT = 200
"""Characters of a bad row that are kept to show it."""

_BOM, _GZIP = b"\xef\xbb\xbf", b"\x1f\x8b"


@dataclass(frozen=True)
class Limits:
    """What a row may have at most; what has more is a bad row."""

    row_bytes: int = 8 << 20
    messages: int = 1000
    """Also the most answers of one ranking."""
    array_bytes: int = 1 << 30
    """Of a whole JSON array, which unlike lines must be in memory at once."""


DEFAULT = Limits()


@dataclass(frozen=True)
class Row:
    """A row: its file, its place there (the line, or the row of Parquet; both count from 1), its columns."""

    path: Path
    line: int
    fields: dict[str, Any]
    raw: str = ""
    """Its beginning as it stands in the file; empty for Parquet."""


@dataclass(frozen=True)
class Rejected:
    """A row that could not be used, with the reason, and its beginning for the quarantine. Line 0 is the whole file."""

    path: Path
    line: int
    reason: str
    raw: str = ""

    def __str__(self) -> str:
        place = f", row {self.line}" if self.path.suffix == ".parquet" else f":{self.line}"
        return f"{self.path}{place if self.line else ''}: {self.reason}"


def find_files(path: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that are meant: one, several, or those of a folder in the order of their names.

    Raises FileNotFoundError where there is none, ValueError for a file of another kind.
    """
    found: list[Path] = []
    for given in [path] if isinstance(path, str | Path) else path:
        place = Path(given)
        if place.is_dir():
            inside = sorted(file for file in place.iterdir() if file.name.endswith(SUFFIXES) and file.name[0] != ".")
            if not inside:
                raise FileNotFoundError(f"{place}: no {', '.join(SUFFIXES)} in this folder")
            found += inside
        elif not place.is_file():
            raise FileNotFoundError(f"{place}: no such file; give JSONL or Parquet files, or a folder that holds them")
        elif not place.name.endswith(SUFFIXES):
            raise ValueError(f'{place}: the kind "{place.suffix}" is not known; expected {", ".join(SUFFIXES)}')
        else:
            found.append(place)
    if not found:
        raise FileNotFoundError("no file given; expected JSONL or Parquet files, or a folder that holds them")
    return found


def read_rows(path: Path, limits: Limits = DEFAULT, columns: Collection[str] | None = None) -> Iterator[Row | Rejected]:
    """The rows of a file in order. Of a Parquet file only `columns` are read; others appear as null (None: all)."""
    number, rows = 0, _parquet_rows(path, limits, columns) if path.suffix == ".parquet" else _json_rows(path, limits)
    try:
        for row in rows:
            number = row.line
            yield row
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        yield Rejected(path, number + 1, f"the file cannot be read from here on ({error}); copy or make it again")


def parse(text: bytes) -> Any:
    """JSON as the standard has it. Raises ValueError for what Python lets pass besides: NaN, keys given twice, and
    halves of characters ("\\\\ud800"), which no tokenizer can spell."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_each_key_once, parse_constant=_no_constant)
        if b"\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"{half} is half a character (a surrogate by itself); write the whole character") from None
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")  # "Unterminated string starting at"
        raise ValueError(f"not JSON: {what} at character {error.pos + 1}; expected one object a line") from None
    except RecursionError:
        raise ValueError("JSON nested too deeply; expected the columns of one record") from None
    return value


def _json_rows(path: Path, limits: Limits) -> Iterator[Row | Rejected]:
    with _open(path) as file:
        head = file.peek(1024)[:1024]
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            yield Rejected(path, 1, "this file is UTF-16; save it as UTF-8")
            return
        if head.removeprefix(_BOM).lstrip().startswith(b"["):
            yield from _array_rows(path, file.read(limits.array_bytes + 1), limits)
            return
        empty = True
        for number, line in _lines(file, limits.row_bytes):
            if line is None:
                yield Rejected(path, number, f"longer than {_too_long(limits)}")
            elif line := line.removeprefix(_BOM if number == 1 else b"").strip():
                yield _row(path, number, line)
            else:
                continue
            empty = False
        if empty:
            yield Rejected(path, 0, "the file is empty; expected a JSON object a line")


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    """The file, unzipped if it is zipped, whatever its name says."""
    with path.open("rb") as file:
        zipped = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path) if zipped else path.open("rb")


def _lines(file: gzip.GzipFile | BufferedReader, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers, parted by LF alone (U+2028 may stand in a JSON text); None for a longer one."""
    number = 0
    while line := file.readline(limit + 2):
        number += 1
        content = line.removesuffix(b"\n").removesuffix(b"\r")
        if len(content) <= limit:
            yield number, content
            continue
        yield number, None
        while not line.endswith(b"\n") and (line := file.readline(1 << 20)):
            pass


def _array_rows(path: Path, contents: bytes, limits: Limits) -> Iterator[Row | Rejected]:
    """The elements of one array that fills the file, each with the line on which it begins."""
    decode = json.JSONDecoder().raw_decode
    if len(contents) > limits.array_bytes:
        yield Rejected(path, 0, f"an array of more than {limits.array_bytes:,} bytes; write an object a line instead")
        return
    try:
        text = contents.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        yield Rejected(path, line, "not UTF-8; save the file as UTF-8")
        return
    place, line, counted = _skip(text, text.index("[") + 1), 1, 0
    while place < len(text) and text[place] != "]":
        line, counted = line + text.count("\n", counted, place), place
        try:
            _, end = decode(text, place)
        except (ValueError, RecursionError) as error:
            yield Rejected(path, line, f"not JSON ({error}); the rest of the array is lost", text[place:][:EXCERPT])
            return
        if end - place > limits.row_bytes:
            yield Rejected(path, line, f"longer than {_too_long(limits)}")
        else:
            yield _row(path, line, text[place:end].encode())
        place = _skip(text, end)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "]":
            break
    if text[place : place + 1] != "]" or text[place + 1 :].strip():
        line += text.count("\n", counted, place)
        yield Rejected(path, line, "a JSON array that does not end as it must; expected a comma, or one ] and no more")
    elif not counted:
        yield Rejected(path, 0, "the array is empty; expected objects")


def _too_long(limits: Limits) -> str:
    return f"{limits.row_bytes:,} bytes, the most that a row may have; make several rows of it, or leave it out"


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _row(path: Path, number: int, line: bytes) -> Row | Rejected:
    raw = line[: 4 * EXCERPT].decode(errors="replace")[:EXCERPT]
    try:
        value = parse(line)
    except ValueError as error:
        return Rejected(path, number, str(error), raw)
    if not isinstance(value, dict):
        return Rejected(path, number, "not an object; expected the columns of one record: {...}", raw)
    return Row(path, number, value, raw)


def _parquet_rows(path: Path, limits: Limits, columns: Collection[str] | None) -> Iterator[Row | Rejected]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        yield Rejected(path, 0, f"not a whole Parquet file ({error}); make it again")
        return
    with file:
        names = file.schema_arrow.names
        wanted = [name for name in names if columns is None or name in columns]
        number = 0
        for batch in file.iter_batches(batch_size=256, columns=wanted):
            for place in range(batch.num_rows):
                number += 1
                one = batch.slice(place, 1)
                if one.nbytes > limits.row_bytes:
                    yield Rejected(path, number, f"more than {_too_long(limits)}")
                    continue
                try:
                    values = {name: _without_nulls(one.column(name)[0].as_py()) for name in wanted}
                except UnicodeDecodeError:
                    yield Rejected(path, number, "text that is not UTF-8; write the column anew")
                    continue
                yield Row(path, number, dict.fromkeys(names) | values)
        if not number:
            yield Rejected(path, 0, "the file has no rows")


def _without_nulls(value: Any) -> Any:
    """Parquet gives every struct of a column all the fields that one of them has; what a row lacks is null."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:60]!r} twice in one object; keep one")
    return fields


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; write a number, or null")
