"""The folder that a training writes: made, found again, and refused where it holds something else."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from trainer import checkpoint

RUN = "run.json"

NAMED = 3
"""How many files a message names."""


def prepare_output(output: Path, stages: Sequence[str] = ()) -> None:
    """Makes a run's folder, or takes that of an earlier one, whose runs may lie in folders of it called `stages`.

    What lies in a folder of a run's own is that run's: `improve` keeps answers beside the fine-tuning on them. Raises
    ValueError where there can be no folder or it holds something else, before anything has been computed.
    """
    make_folder(output)
    found = sorted(path.name for path in output.iterdir() if not path.name.startswith("."))
    places = (output, output.parent, *(output / stage for stage in stages))
    if found and not any(map(_is_run, places)):
        rest = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
        raise ValueError(
            f"output {output} has something in it that no training made: {', '.join(found[:NAMED])}{rest}. "
            "Nothing was written; move that away, or name another folder."
        )


def make_folder(output: Path) -> None:
    """Makes a folder for results, before there are any. Raises ValueError where there can be none."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"output {output}: that is a file, or lies below one; expected a folder.") from None
    except OSError as error:
        raise ValueError(f"output {output}: {error.strerror}; name a folder that can be written.") from None
    if not os.access(output, os.W_OK | os.X_OK):
        raise ValueError(f"output {output}: no permission to write there; name a folder that can be written.")


def _is_run(folder: Path) -> bool:
    """Whether a training has begun in a folder: run.json comes before all else."""
    try:
        return (folder / checkpoint.INDEX).exists() or "settings" in json.loads((folder / RUN).read_bytes())
    except (OSError, ValueError, TypeError):
        return False
