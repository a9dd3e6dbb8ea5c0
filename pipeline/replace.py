"""Whose corpus an output folder holds: a run over fewer or other archives must not take its place unasked."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifact import is_local, part_from_json
from pipeline.crawl.read import Archive
from pipeline.manifest import read_manifest

NAMED = 3
"""How many archives a message names."""


class ReplaceError(Exception):
    """A folder that holds the corpus of other archives; the message says which, and how to replace it."""


@dataclass(frozen=True)
class Held:
    """What a folder holds: its archives as (path, bytes), and a sentence about it."""

    archives: tuple[tuple[str, int], ...]
    text: str

    def lost(self, archives: Sequence[Archive]) -> list[str]:
        """Those that are not among `archives`, neither the same path nor a file of that name and size elsewhere."""
        paths = {archive.path for archive in archives}
        files = {(_base(archive.path), archive.bytes) for archive in archives}
        return [path for path, length in self.archives if path not in paths and (_base(path), length) not in files]


def held(folder: str) -> Held | None:
    """What a finished or a stopped run has left in a folder; None where there is nothing."""
    corpus, index = read_manifest(folder), read_manifest(folder, "index")
    inputs = index["inputs"] if index else list(_indexed(folder))
    if not inputs:
        return None
    text = f"an unfinished run over {_archives(len(inputs))}"
    if corpus is not None:
        text = (
            f"a corpus of {_archives(len(inputs))}, recipe {corpus['run']['recipe']}, "
            f"{corpus['counts']['kept']:,} documents"
        )
    return Held(tuple((found["path"], found["bytes"]) for found in inputs), text)


def check_replaces(folder: str, archives: Sequence[Archive], recipe: str, replace: bool) -> str | None:
    """What a person should know of the corpus that a run will replace, if anything.

    Raises ReplaceError where one of its archives is not among these, unless `replace` says that this is meant: a
    mistyped pattern must not shrink a corpus.
    """
    found = held(folder)
    if found is None:
        return None
    lost = found.lost(archives)
    if lost and replace:
        return f"{folder} held {found.text}; it is replaced by one of {_archives(len(archives))}, recipe {recipe}."
    if not lost and len(archives) > len(found.archives):
        return f"{folder} holds {found.text}; it grows to one of {_archives(len(archives))}, recipe {recipe}."
    if not lost:
        return f"{folder} holds {found.text}; it is brought up to date with recipe {recipe}."
    if len(lost) == len(found.archives):
        missing = "of another input: none of its archives is"
    else:
        shown = ", ".join(map(_base, lost[:NAMED])) + (" and others" if len(lost) > NAMED else "")
        missing = f"and {len(lost):,} of these ({shown}) {'is' if len(lost) == 1 else 'are'} not"
    raise ReplaceError(
        f"{folder} holds {found.text}, {missing} among the {_archives(len(archives))} given. "
        "Give --replace to put the new corpus in its place, or name another folder."
    )


def _indexed(folder: str) -> Iterable[dict[str, Any]]:
    """The archives that a stopped run has been through."""
    for path in sorted(Path(folder, "index", "parts").glob("*.json")) if is_local(folder) else ():
        try:
            yield dict(part_from_json(json.loads(path.read_bytes()), folder).extra)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _archives(number: int) -> str:
    return f"{number:,} archive{'' if number == 1 else 's'}"
