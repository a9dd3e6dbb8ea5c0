"""Steps of a loop in processes of their own, which are killed at a chosen moment; and what a loop has come to.

A moment is one before anything durable: a write transaction's begin or commit, a file that is made, written, put into
its place or removed, a program that is started, a server that is asked; and the process's end. So the points between
two effects are all met.
"""

import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from flywheel import steps
from flywheel.config import Config, load
from flywheel.lock import LockedError
from flywheel.settle import settle
from flywheel.tables import Cluster, Correction, Dataset, Decision, Misbehaviour, Promotion, Run, Verdict
from flywheel.tick import tick
from labeling.folder import Folder
from labeling.store.database import Database
from trainer import checkpoint
from trainer.pointer import read_pointer

STEPS: dict[str, Callable[[Database, Config, datetime], object]] = {
    "collect": steps.collected,
    "label": lambda database, config, now: _label(database, config),
    "admit": steps.admission,
    "decide": steps.decided,
    "train": steps.trained,
    "gate": steps.judged,
    "promote": steps.promoted,
    "settle": lambda database, config, now: settle(database, config),
    "tick": lambda database, config, now: list(tick(database, config, None, lambda: now)),
}

REFUSED = 3
"""The exit status where another tick was at work."""

_EFFECTS = {"socket.connect", "os.rename", "os.link", "os.mkdir", "os.remove", "subprocess.Popen"}

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__, "tests.flywheel.survive.warm"])  # for a hundred processes once


def begin(step: str, config: Config, now: datetime, kill: int | str = 0) -> BaseProcess:
    """Starts a step, which dies by SIGKILL before its effect of this number, or name, if it has such."""
    process = _processes.Process(target=_take, args=(step, config.folder, now, kill))
    process.start()
    return process


def take(step: str, config: Config, now: datetime, kill: int | str = 0) -> bool:
    """Takes a step, and says whether it came to its end."""
    process = begin(step, config, now, kill)
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"{step} ended with {process.exitcode}"
    return process.exitcode == 0


def copied(config: Config, folder: Path) -> Config:
    """The same loop in another folder."""
    shutil.copytree(config.folder, folder)
    return load(folder)


def came_to(config: Config) -> dict[str, Any]:
    """What a loop has come to: rows but for times and folders, files, and the checkpoint that people talk to."""
    columns = {
        "misbehaviours": (Misbehaviour.id, Misbehaviour.cluster, Misbehaviour.held_out, Misbehaviour.source_ref),
        "clusters": (Cluster.id, Cluster.name),
        "corrections": (Correction.id, Correction.answer, Correction.refused),
        "decisions": (Decision.id, Decision.retrain, Decision.reason),
        "datasets": (Dataset.id, Dataset.path, Dataset.replay),
        "runs": (Run.id, Run.decision, Run.path, Run.state, Run.checkpoint_id),
        "verdicts": (Verdict.id, Verdict.passed, Verdict.reason),
        "promotions": (Promotion.id, Promotion.action, Promotion.checkpoint_id, Promotion.previous),
    }
    found: dict[str, Any] = {}
    with Database(config.store) as database, database.read() as session:
        for name, some in columns.items():
            found[name] = [tuple(row) for row in session.execute(sql.select(*some).order_by(some[0]))]
    files = [path for folder in (config.datasets, config.verdicts) for path in sorted(folder.rglob("*"))]
    found["files"] = {
        str(path.relative_to(config.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file() and path.suffix == ".jsonl"
    }
    found["checkpoints"] = {
        run[2]: checkpoint.read_about(checkpoint.find(config.folder / run[2])).id
        for run in found["runs"]
        if run[4] is not None
    }
    pointer = read_pointer(config.current)
    found["current"] = (pointer.id, pointer.promotion)
    return found


def _take(step: str, folder: Path, now: datetime, kill: int | str) -> None:
    config = load(folder)
    if kill:
        _die_before(kill, str(folder))
    try:
        with Database(config.store) as database:
            STEPS[step](database, config, now)
    except LockedError:
        sys.exit(REFUSED)
    if kill:
        sys.audit("survive.end")


def _label(database: Database, config: Config) -> None:
    with Folder(config.labels, config.store).client() as client:
        steps.labelled(database, config, client)


def _die_before(effect: int | str, folder: str) -> None:
    met_before = 0

    def met(name: str) -> None:
        nonlocal met_before
        met_before += 1
        if effect in (met_before, name):
            os.kill(os.getpid(), signal.SIGKILL)

    def written(name: str, values: tuple[Any, ...]) -> None:
        flags = values[2] if name == "open" else 0
        if name == "open" and isinstance(values[0], str) and values[0].startswith(folder):
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        else:
            writes = name in _EFFECTS or name == "survive.end"
        if writes:
            met(name)

    def transaction(connection: Connection) -> None:
        if connection.get_execution_options().get("store_writes"):
            met("transaction")

    for moment in ("begin", "commit"):
        event.listen(Engine, moment, transaction)
    sys.addaudithook(written)
