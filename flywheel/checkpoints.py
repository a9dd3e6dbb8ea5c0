"""Which run is meant, where its checkpoint lies, and how the store notes a checkpoint's folder."""

import hashlib
import json
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.config import Config
from flywheel.tables import Run
from trainer.checkpoint import find, read_about

SHORTEST = 6
"""Characters of an id that name a run."""


def run_id(dataset: str, base: str, config: Config) -> str:
    """SHA-256, in hexadecimal, of what the weights depend on: dataset, base checkpoint (both by id), settings."""
    settings = config.train.model_dump(exclude={"replay"})  # the dataset tells how much was replayed
    return hashlib.sha256(json.dumps([dataset, base, settings], sort_keys=True).encode()).hexdigest()


def run_named(session: Session, name: str) -> Run:
    """The run with this id, or the one whose id begins so. Raises ValueError."""
    found = session.scalars(sql.select(Run).where(Run.id.startswith(name, autoescape=True)).limit(2)).all()
    exact = [run for run in found if run.id == name]
    if exact or (len(found) == 1 and len(name) >= SHORTEST):
        return (exact or found)[0]
    if len(found) > 1:
        raise ValueError(f"several runs begin with {name}; give more of the id.")
    raise ValueError(f"there is no run {name}; ticks tell the ids of runs, of which {SHORTEST} characters are enough.")


def noted(config: Config, folder: Path) -> str:
    """A folder as rows name it: as seen from the loop's, where it lies in there, so that the whole may be moved.

    `config.folder / row.path` is it again, of rows of earlier versions too, which name it as a whole.
    """
    whole, loop = folder.resolve(), config.folder.resolve()
    return str(whole.relative_to(loop)) if whole.is_relative_to(loop) else str(whole)


def folder_of(config: Config, run: Run) -> Path:
    """The folder of the checkpoint that a run ended with, which may be its last or its best one.

    Raises ValueError where neither is the one that the store names, FileNotFoundError where there is none.
    """
    path = config.folder / run.path
    folders = [find(path, which) for which in ("last", "best")]
    for folder in folders:
        if read_about(folder).id == run.checkpoint_id:
            return folder
    raise ValueError(
        f"{path} holds no checkpoint {(run.checkpoint_id or 'with an id')[:12]}, with which run {run.id} ended; "
        "train it again."
    )
