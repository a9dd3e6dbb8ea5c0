"""JSON Lines, read row by row: a bad row is told with its file and line, and costs itself alone."""

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from labeling.private import write_private

ROW_BYTES = 8 << 20
"""The longest line. A sample of the longest texts that can be labelled has about 1 MB."""

EXCERPT = 200
"""Characters of a bad row that are kept to show it."""

_BOM, _GZIP = b"\xef\xbb\xbf", b"\x1f\x8b"


@dataclass(frozen=True)
class Row:
    path: Path
    line: int
    fields: dict[str, Any]
    raw: str


@dataclass(frozen=True)
class Rejected:
    """Something that is no sample: where it stands (`answers.jsonl:3`, `report 1f0c...`), and why."""

    place: str
    reason: str
    raw: str = ""
    """Its beginning."""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class Known:
    """Something of which the project has a sample already, or which the same source had before."""

    place: str


def reject(row: Row, reason: object) -> Rejected:
    return Rejected(f"{row.path}:{row.line}", str(reason), row.raw)


def read_rows(path: Path) -> Iterator[Row | Rejected]:
    """The objects of a JSON Lines file, gzipped or not. Raises OSError where it can't be opened."""
    with _open(path) as file:
        number, empty = 0, True
        try:
            while line := file.readline(ROW_BYTES + 2):
                number += 1
                content = line.removeprefix(_BOM if number == 1 else b"").rstrip(b"\r\n")
                if len(content) > ROW_BYTES:
                    while not line.endswith(b"\n") and (line := file.readline(1 << 20)):
                        pass
                    yield Rejected(f"{path}:{number}", f"longer than {ROW_BYTES:,} bytes; nobody can label that")
                elif content.strip():
                    yield _row(path, number, content)
                else:
                    continue
                empty = False
        except (OSError, EOFError, zlib.error) as error:
            yield Rejected(f"{path}:{number + 1}", f"the file can't be read from here on ({error}); copy it again")
            return
        if empty:
            yield Rejected(str(path), "the file is empty; expected a JSON object a line")


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Writes them as JSON lines: place, reason, and the row's beginning. Appears whole or not at all, for its owner.

    Half a surrogate pair, from a row or a file's name, is spelt as JSON spells it, `\\ud800`.
    """
    lines = "".join(json.dumps(vars(one), ensure_ascii=False) + "\n" for one in rejected)
    write_private(path, lines.encode("utf-8", "backslashreplace").decode())


def number(value: object, name: str) -> float:
    """Raises ValueError for what is no finite number."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise ValueError(f"{name} is {value!r:.60}; expected a number")


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    with path.open("rb") as file:
        zipped = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path) if zipped else path.open("rb")


def _row(path: Path, line: int, content: bytes) -> Row | Rejected:
    raw = content[: 4 * EXCERPT].decode(errors="replace")[:EXCERPT]
    try:
        value = json.loads(content.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at character {error.pos + 1}; expected one object a line"
    except RecursionError:
        reason = "JSON nested too deeply; expected the columns of one sample"
    except ValueError as error:
        reason = str(error)
    else:
        if isinstance(value, dict):
            return Row(path, line, value, raw)
        reason = "not an object; expected the columns of one sample: {...}"
    return Rejected(f"{path}:{line}", reason, raw)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; write a number, or null")
