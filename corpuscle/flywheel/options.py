"""What the commands of the loop share: the folder, the opened store, and how a step is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpuscle.label.options import EXTRA, folder_at, out, require, tell
from corpuscle.terminal import plain

if TYPE_CHECKING:
    from flywheel.config import Config
    from flywheel.steps import Step
    from labeling.client import Client
    from labeling.folder import Folder
    from labeling.store.database import Database

FolderOption = Annotated[Path, typer.Option("--folder", help="Where flywheel.yaml is, and what the loop makes.")]
FOLDER = Path("loop")
JsonOption = Annotated[bool, typer.Option("--json", help="Tell each step as a line of JSON, for programs.")]


@contextmanager
def opened(folder: Path) -> Iterator[tuple["Config", "Database", "Folder"]]:
    """The settings, the store, and the folder of `corpuscle label`. Raises ConfigError, StoreError, LoopError."""
    require((*EXTRA, "wordfreq"), "flywheel")
    from flywheel.config import load
    from flywheel.loop import expect_store, join
    from labeling.folder import FolderError

    config = load(folder)
    expect_store(config)
    labels = folder_at(config.labels, config.store)
    with labels.database() as database:
        join(database, config.folder, now(), config.current)
        with suppress(FolderError):  # a help to `corpuscle label`, without which the loop goes on
            labels.note_store()
        yield config, database, labels


@contextmanager
def asking(labels: "Folder") -> "Iterator[Client | None]":
    """A client of the connected server, which waits a few seconds for it where it is away; None where there is none."""
    from flywheel.tick import PATIENCE
    from labeling.client import Client

    if not labels.connection_file.exists():
        yield None
        return
    there = labels.connection()
    with Client(there.url, there.token, patience=PATIENCE, say=tell) as client:
        yield client


def now() -> datetime:
    return datetime.now(UTC)


def say(step: "Step | None", as_json: bool, otherwise: str = "") -> None:
    """Prints `name: what it did`, or {"name": ..., "said": ..., "did": ...}; `otherwise` where there was no step."""
    if as_json:
        fields = {"name": "", "said": otherwise, "did": False} if step is None else asdict(step)
        typer.echo(json.dumps(fields, ensure_ascii=False))
    else:
        out().print(plain(otherwise if step is None else f"{step.name}: {step.said}"))
