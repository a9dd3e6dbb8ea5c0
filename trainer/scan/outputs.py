"""Where a scan may write: to files of its own, and never over anything that it reads. Asked before all else.

A rename over a path replaces whatever has that name, so `-o` on the scanned file would end the training data.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.poison.outputs import check_file
from trainer.records.rows import find_files
from trainer.scan.clean import check_kind, held_path

Place = tuple[str, Path]
"""What a file is for, in the words of an error, and its path as it was given."""


def check_outputs(
    files: Sequence[Path], reference: Sequence[Path], model: Path | None, output: Path | None, clean: Path | None
) -> None:
    """Raises ValueError or OSError where what is read and what is written are not all files of their own.

    The arguments are those of `scan_command`. Two spellings of a path, links and hard links are one file. A file that
    is given twice is refused too: its rows would count twice, or be compared with themselves.
    """
    if clean is not None and (len(files) != 1 or files[0].is_dir()):
        raise ValueError("--clean writes what is left of one file; scan the files one by one")
    written = [("--clean", clean), ("the rows that --clean holds", held_path(clean))] if clean is not None else []
    written += [("--output", output)] if output is not None else []
    for _, path in written:
        check_file(path)
    read = [("scanned", path) for path in find_files(files)]
    read += [("--reference", path) for path in find_files(reference)] if reference else []
    _check_distinct([*read, *written])
    for role, path in written:
        if model is not None and Path(os.path.realpath(model)) in Path(os.path.realpath(path)).parents:
            raise ValueError(f"{path} ({role}) is in {model}, which --model reads; name another file")
    if clean is not None:
        check_kind(files[0], clean)


def _check_distinct(places: Iterable[Place]) -> None:
    seen: dict[object, Place] = {}
    for role, path in places:
        for name in _names(path):
            if name in seen:
                before, other = seen[name]
                raise ValueError(f"{path} ({role}) is the same file as {other} ({before}); name another file")
        seen |= dict.fromkeys(_names(path), (role, path))


def _names(path: Path) -> Iterator[object]:
    """What two paths of one file share: where it is, links followed, and, where it is there already, its inode."""
    yield os.path.realpath(path)
    if path.exists():
        about = path.stat()
        yield about.st_dev, about.st_ino
