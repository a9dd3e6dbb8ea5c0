"""Where the checkpoint of a run lies."""

from pathlib import Path

from flywheel.config import Config
from flywheel.tables import Run
from trainer.checkpoint import find, read_about


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
