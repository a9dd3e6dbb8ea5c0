"""Files that are there whole, all of them, or as they were before."""

import errno
import fcntl
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
def together(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Where to write the files `names` of `folder`, which is made, each by its name.

    When the block has ended they are in their places, on the disk, in the order of `names`; what was not written is not
    in the folder any more. After an error in the block, or a full disk, the old ones are as they were; a kill between
    two of them leaves the first ones new. Who comes to a folder that another fills waits. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: folder / f".{name}.part" for name in names}
    with _alone(folder) as handle:
        for name in names:
            if (folder / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folder / name))
        try:
            for part in parts.values():
                part.unlink(missing_ok=True)  # of a program that was killed
            yield parts
            written = {name for name, part in parts.items() if part.exists()}
            for name in written:
                _sync(parts[name])
            for name, part in parts.items():
                if name in written:
                    part.replace(folder / name)
                else:
                    (folder / name).unlink(missing_ok=True)
            os.fsync(handle)
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Holds the folder's lock; gives its handle."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def text_file(path: Path) -> Iterator[TextIO]:
    """A new file of UTF-8. Half a surrogate pair, from the name of a file say, is in it as JSON spells it: \\ud800."""
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        yield file


@contextmanager
def json_lines(folder: Path, names: Sequence[str]) -> Iterator[dict[str, JsonLines]]:
    """Files `NAME.jsonl` in `folder`, by name, `together`. Raises OSError."""
    with together(folder, [f"{name}.jsonl" for name in names]) as parts, ExitStack() as stack:
        yield {name: JsonLines(stack.enter_context(text_file(parts[f"{name}.jsonl"]))) for name in names}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
