"""Whose files lie in an output folder: what the steps make is known by its name, all else is somebody's own.

A run writes into a folder only where nothing foreign is in its way, and deletes only what has a name that a step gives.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from pipeline.artifact import MANIFEST, is_local, read_json
from pipeline.manifest import MODELS, STEPS, read_manifest

_PART = r"(?:[0-9a-f]{16}|part-\d{5,}-\d{4,})"
_SHARD = r"(?:train|validation)-\d{5,}"
_MODEL = r"(?:text|tokenizer)\.model"
MADE = re.compile(
    rf"(?:manifest\.json|{_MODEL}|{_SHARD}\.arrow|buckets/{_PART}\.arrow|[a-z]+/{_PART}\.parquet"
    rf"|parts/(?:{_PART}|{_SHARD}|{_MODEL}|vocabulary)\.json)(?:\.[0-9a-f]{{32}}\.tmp)?"
)
"""Names below a step's folder: an archive's part is a digest, a split's two numbers; `.tmp` is `artifact.atomic`'s."""

NAMED = 3
"""How many files a message names."""


class ForeignError(Exception):
    """An output folder with files in it that no run made; the message names them."""


def check_contents(folder: str) -> None:
    """Raises ForeignError where a run would mix its files with others, or could take others for its own.

    Files beside the steps' folders of a corpus stay as they are, so are hidden ones anywhere. Object stores are asked
    for the manifest alone: nothing is swept there.
    """
    if found := sorted(strangers(folder)):
        rest = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
        raise ForeignError(
            f"{folder} has something in it that no run made: {', '.join(found[:NAMED])}{rest}. Nothing was written; "
            "move that away, or name another folder."
        )


def strangers(folder: str) -> Iterator[str]:
    """What a run must not touch, as names below `folder`."""
    manifest = f"{folder}/{MANIFEST}"
    corpus = read_json(manifest)
    ours = is_corpus(corpus)
    if not is_local(folder):
        yield from () if corpus is None or ours else (MANIFEST,)
        return
    if os.path.exists(manifest) and not ours:  # noqa: PTH110
        yield MANIFEST
    made = False
    for step in STEPS:
        for name in _files(f"{folder}/{step}"):
            made = made or MADE.fullmatch(name) is not None
            if not MADE.fullmatch(name):
                yield f"{step}/{name}"
    if ours or made or not os.path.isdir(folder):  # noqa: PTH112
        return
    for entry in os.scandir(folder):
        if not (entry.name.startswith(".") or entry.name == MANIFEST or (entry.name in STEPS and entry.is_dir())):
            yield f"{entry.name}/" if entry.is_dir() else entry.name


def is_corpus(manifest: Any) -> bool:
    """Whether a JSON document is a corpus's manifest."""
    run = manifest.get("run") if isinstance(manifest, dict) else None
    return isinstance(run, dict) and "fingerprint" in run and "steps" in manifest


def sweep(folder: str) -> None:
    """Delete what the steps of earlier runs made and no manifest names: other recipes' parts, temporary files."""
    for step in STEPS if is_local(folder) else ():
        root, manifest = f"{folder}/{step}", read_manifest(folder, step)
        named: set[str] = set()
        if manifest is not None:  # else a step of an earlier recipe
            named = {MANIFEST} | {file["name"] for file in manifest["files"]}
            named |= {f"parts/{part}.json" for part in manifest["parts"]}
            named |= {vocabulary["file"]} if (vocabulary := manifest.get("vocabulary")) else set()
        samples = set((read_manifest(folder, MODELS.get(step, "")) or {}).get("parts", ())) if manifest else set()
        for name in list(_files(root)):
            if MADE.fullmatch(name) and name not in named and not _is_sample(step, name, samples):
                os.unlink(f"{root}/{name}")  # noqa: PTH108
                for emptied in (os.path.dirname(f"{root}/{name}"), root):  # noqa: PTH120
                    with contextlib.suppress(OSError):  # others are left in it
                        os.rmdir(emptied)  # noqa: PTH106


def _is_sample(step: str, name: str, parts: set[str]) -> bool:
    """Whether a file is a sample of the present input, which a model was trained on."""
    folder, _, file = name.partition("/")
    return step in MODELS and folder in ("sample", "parts") and file.rpartition(".")[0] in parts


def _files(root: str) -> Iterator[str]:
    """The files below a folder, hidden ones left out, by their names below it."""
    for path, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield os.path.relpath(f"{path}/{name}", root)
