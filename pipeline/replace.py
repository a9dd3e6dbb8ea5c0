"""Whose corpus an output folder holds: a run over other archives must not take its place without a word."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifact import is_local, part_from_json
from pipeline.crawl.read import Archive
from pipeline.manifest import read_manifest


class ReplaceError(Exception):
    """A folder that holds the corpus of another input; the message says which, and how to replace it."""


@dataclass(frozen=True)
class Held:
    """What a folder holds: its archives as (path, base name and bytes), and a sentence about it."""

    paths: frozenset[str]
    archives: frozenset[tuple[str, int]]
    text: str

    def shares(self, archives: Iterable[Archive]) -> bool:
        """Whether any of the archives was read before: the same path, or a file of that name and size elsewhere."""
        return any(
            archive.path in self.paths or (_base(archive.path), archive.bytes) in self.archives for archive in archives
        )


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
    return Held(
        frozenset(found["path"] for found in inputs),
        frozenset((_base(found["path"]), found["bytes"]) for found in inputs),
        text,
    )


def check_replaces(folder: str, archives: Sequence[Archive], recipe: str, replace: bool) -> str | None:
    """What a person should know of the corpus that a run will replace, if anything.

    Raises ReplaceError where it was made of none of these archives, unless `replace` says that this is meant.
    """
    found = held(folder)
    if found is None:
        return None
    if found.shares(archives):
        if found.archives == {(_base(archive.path), archive.bytes) for archive in archives}:
            return f"{folder} holds {found.text}; it is brought up to date with recipe {recipe}."
        return f"{folder} holds {found.text}; it is replaced by one of {_archives(len(archives))}, recipe {recipe}."
    if replace:
        return f"{folder} held {found.text}, of another input; it is replaced."
    raise ReplaceError(
        f"{folder} holds {found.text}, of another input: none of its archives is among the "
        f"{_archives(len(archives))} given. Give --replace to put the new corpus in its place, or name another folder."
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
