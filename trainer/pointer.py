"""A file that says which checkpoint people talk to, replaced in one go: `models/current.json`.

    {"path": "../runs/3f2a/step-000200", "id": "<SHA-256>", "promotion": 4,
     "canary": {"path": "../runs/77b0/step-000200", "id": "<SHA-256>", "share": 0.1}}

The canary, a checkpoint that answers a share of the conversations before it takes over, is there only while there is
one. Paths are as seen from the file's folder, so the whole may be moved; the id tells a wrong folder before it is
served.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from trainer.checkpoint import find, read_about, write_whole


@dataclass(frozen=True)
class Canary:
    """A checkpoint that answers a share of the conversations, above 0 and below 1."""

    folder: Path
    id: str
    share: float


@dataclass(frozen=True)
class Pointer:
    folder: Path
    """The checkpoint's own folder."""
    id: str
    """The checkpoint's."""
    promotion: int = 0
    """The number of the promotion that wrote it; 0 where none did."""
    canary: Canary | None = None


def read_pointer(file: Path) -> Pointer:
    """Raises FileNotFoundError where there is none, ValueError where it is none or names another checkpoint's folder.

    The weights are not read here; `trainer.checkpoint.load` checks them. Nor is the canary's folder: a canary that is
    gone is no reason not to find what most people talk to.
    """
    try:
        fields = json.loads(file.read_bytes())
        canary = None if fields.get("canary") is None else _canary(file, fields["canary"])
        found = Pointer(file.parent / fields["path"], str(fields["id"]), int(fields.get("promotion", 0)), canary)
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such file; promote a checkpoint first.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f'{file} is no pointer to a checkpoint; expected {{"path": "...", "id": "..."}}, and perhaps a canary with '
            "path, id, and a share between 0 and 1."
        ) from None
    there = read_about(find(found.folder)).id
    if there != found.id:
        raise ValueError(
            f"{file} names checkpoint {found.id[:12]}, but {found.folder} holds {there[:12]}; promote it again."
        )
    return found


def write_pointer(file: Path, pointer: Pointer) -> None:
    """Replaces the file at once: who reads it sees the old checkpoint or the new one. Makes its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fields = {"path": _relative(file, pointer.folder), "id": pointer.id, "promotion": pointer.promotion}
    canary = pointer.canary
    if canary is not None:
        fields["canary"] = {"path": _relative(file, canary.folder), "id": canary.id, "share": canary.share}
    write_whole(file, json.dumps(fields) + "\n")


def _canary(file: Path, fields: dict[str, object]) -> Canary:
    found = Canary(file.parent / str(fields["path"]), str(fields["id"]), float(str(fields["share"])))
    if not 0 < found.share < 1:
        raise ValueError
    return found


def _relative(file: Path, folder: Path) -> str:
    return os.path.relpath(folder.resolve(), file.parent.resolve())
