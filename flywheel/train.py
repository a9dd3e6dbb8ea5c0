"""A decision becomes a checkpoint: the dataset is written, the run noted, and `corpuscle train sft` started.

Training is a process of its own, so what it costs is given back at its end, and what kills it does not kill the loop.
A run is named by what it depends on: whoever repeats the call after any stop goes on with the same run.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.config import Config
from flywheel.dataset import build
from flywheel.tables import Dataset, Decision, Run
from labeling.store.database import Database
from trainer import checkpoint
from trainer.pointer import Pointer, read_pointer

TAIL = 2000
"""Characters of what a failed training said last that are kept."""


class TrainError(Exception):
    """Why no training can begin, and what to do."""


def train(database: Database, config: Config, now: datetime) -> Run | None:
    """Does what was decided: goes on with the run at work, or begins one for the last decision; None without either.

    Returns the run as it ended, `trained` or `failed` (with what it said last as its note), or still in `training`
    where another process is at it. Raises TrainError, DatasetError.
    """
    run, dataset = _at_work(database) or _begin(database, config, now) or (None, None)
    if run is None or dataset is None:
        return None
    with _alone(config.runs / f".{run.id}.lock") as mine:
        with database.read() as session:
            run = session.get_one(Run, run.id)
            session.expunge(run)
        if not mine or run.state != "training":  # another process is at it, or was until now
            return run
        started = time.monotonic()
        fault = _fine_tune(config, run, dataset)
        ended = now + timedelta(seconds=time.monotonic() - started)
        made = None if fault else checkpoint.read_about(checkpoint.find(config.folder / run.path)).id
        with database.write() as session:
            row = session.get_one(Run, run.id)
            row.state, row.ended, row.checkpoint_id, row.note = "failed" if fault else "trained", ended, made, fault
            session.flush()
            session.expunge(row)
        return row


def run_id(dataset: str, base: str, config: Config) -> str:
    """SHA-256, in hexadecimal, of what the weights depend on: dataset, base checkpoint (both by id), settings."""
    settings = config.train.model_dump(exclude={"replay"})  # the dataset tells how much was replayed
    return hashlib.sha256(json.dumps([dataset, base, settings], sort_keys=True).encode()).hexdigest()


def _base(config: Config) -> Pointer:
    """The checkpoint that people talk to, from which a run starts."""
    try:
        return read_pointer(config.current)
    except (FileNotFoundError, ValueError) as error:
        raise TrainError(str(error)) from None


def _at_work(database: Database) -> tuple[Run, Dataset] | None:
    with database.read() as session:
        run = session.scalar(sql.select(Run).where(Run.state == "training").order_by(Run.decision.desc()).limit(1))
        return None if run is None else _taken_out(session, run)


def _begin(database: Database, config: Config, now: datetime) -> tuple[Run, Dataset] | None:
    with database.read() as session:
        decision = session.scalar(sql.select(Decision).order_by(Decision.id.desc()).limit(1))
        begun = sql.select(sql.func.count()).select_from(Run)
        if decision is None or not decision.retrain or session.scalar(begun.where(Run.decision == decision.id)):
            return None
        number = decision.id
    base, dataset = _base(config), build(database, config, now)
    id = run_id(dataset.id, base.id, config)
    with database.write() as session:
        run = session.get(Run, id)
        if run is None:
            path = str((config.runs / id[:16]).relative_to(config.folder))
            run = Run(id=id, dataset=dataset.id, base=str(base.folder.resolve()), path=path, checkpoint_id=None)
            session.add(run)
        elif run.state != "failed":
            raise TrainError(f"run {id[:12]} has learnt the same from the same before, and was {run.state}")
        # A run that failed is tried again where it stopped.
        run.decision, run.began, run.ended, run.state, run.note = number, now, None, "training", ""
        session.flush()
        return _taken_out(session, run)


def _taken_out(session: Session, run: Run) -> tuple[Run, Dataset]:
    """The rows, to be used after the transaction."""
    dataset = session.get_one(Dataset, run.dataset)
    session.expunge_all()
    return run, dataset


def _fine_tune(config: Config, run: Run, dataset: Dataset) -> str:
    """Trains, or goes on; what was said last where that failed, else nothing.

    Nothing is held out: the gate judges, by cases that no training has seen.
    """
    given = {
        "model": run.base,
        "data": config.folder / dataset.path,
        "output": config.folder / run.path,
        "held-out": 0,
        "steps": config.train.steps,
        "seed": config.train.seed,
        "device": config.train.device,
        "lr": config.train.learning_rate,
        "batch-tokens": config.train.batch_tokens,
        "lora-rank": config.train.lora_rank,
    }
    options = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "trainer.align.sft", *options],  # `corpuscle train sft`, whatever is on the PATH
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        close_fds=False,  # it inherits the locks: where we are killed it trains on, and nobody else at the same
        check=False,
    )
    if not done.returncode:
        return ""
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    return f"{how}: {done.stdout.decode(errors='replace').strip()[-TAIL:]}"


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else trains this run; the lock is held to the end of the block, and of what is started in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(handle, True)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
