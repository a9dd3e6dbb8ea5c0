"""A file that says which checkpoint people talk to, replaced in one go: `models/current.json`.

    {"path": "../runs/3f2a/step-000200", "id": "<SHA-256>", "promotion": 4}

The path is as seen from the file's folder, so the whole may be moved; the id tells a wrong folder before it is served.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from trainer.checkpoint import find, read_about, write_whole


@dataclass(frozen=True)
class Pointer:
    folder: Path
    """The checkpoint's own folder."""
    id: str
    """The checkpoint's."""
    promotion: int = 0
    """The number of the promotion that wrote it; 0 where none did."""


def read_pointer(file: Path) -> Pointer:
    """Raises FileNotFoundError where there is none, ValueError where it is none or names another checkpoint's folder.

    The weights are not read here; `trainer.checkpoint.load` checks them.
    """
    try:
        fields = json.loads(file.read_bytes())
        found = Pointer(file.parent / fields["path"], str(fields["id"]), int(fields.get("promotion", 0)))
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such file; promote a checkpoint first.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f'{file} is no pointer to a checkpoint; expected {{"path": "...", "id": "..."}}.') from None
    there = read_about(find(found.folder)).id
    if there != found.id:
        raise ValueError(
            f"{file} names checkpoint {found.id[:12]}, but {found.folder} holds {there[:12]}; promote it again."
        )
    return found


def write_pointer(file: Path, pointer: Pointer) -> None:
    """Replaces the file at once: who reads it sees the old checkpoint or the new one. Makes its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    name = os.path.relpath(pointer.folder.resolve(), file.parent.resolve())
    fields = {"path": name, "id": pointer.id, "promotion": pointer.promotion}
    write_whole(file, json.dumps(fields) + "\n")
