"""JSONL files that are there whole, all of them, or as they were before."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO


class JsonLines:
    """A file of rows that is being written."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.rows = 0

    def write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.rows += 1


@contextmanager
def json_lines(folder: Path, names: Sequence[str]) -> Iterator[dict[str, JsonLines]]:
    """Files `NAME.jsonl` in `folder`, which is made, by name: in their places, on the disk, when the block has ended.

    After an error in the block the old ones are as they were. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.jsonl" for name in names}
    parts = {name: path.with_name(f".{path.name}.part") for name, path in paths.items()}
    try:
        with ExitStack() as stack:
            # Half a surrogate pair, from the name of a file say, as JSON spells it: \ud800.
            files = {
                name: stack.enter_context(part.open("w", encoding="utf-8", errors="backslashreplace"))
                for name, part in parts.items()
            }
            yield {name: JsonLines(file) for name, file in files.items()}
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        for name, part in parts.items():
            part.replace(paths[name])
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
