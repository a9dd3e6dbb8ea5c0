"""A decision becomes a checkpoint: the dataset is written, the run noted, and `corpuscle train sft` started.

With `train.preferences`, `corpuscle train dpo` follows, which prefers the right answers to the reported ones. Training
is a process of its own, so what it costs is given back at its end, and what kills it does not kill the loop.
A run is named by what it depends on: whoever repeats the call after any stop goes on with the same run.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.checkpoints import noted, run_id
from flywheel.config import Config
from flywheel.dataset import DatasetError, build, lacking, write_pairs
from flywheel.gate_cases import unusable
from flywheel.tables import Dataset, Decision, Run
from labeling.store.database import Database
from trainer import checkpoint
from trainer.pointer import Pointer, read_pointer

TAIL = 2000
"""Characters of what a failed training said last that are kept."""


SFT, DPO = "sft", "dpo"
"""The folders of a run of two stages; of one, the run's own folder is it."""


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
        fault = _trained(database, config, run, dataset)
        ended, made = now + timedelta(seconds=time.monotonic() - started), None
        if not fault:
            try:
                made = checkpoint.read_about(checkpoint.find(config.folder / run.path, "last")).id
            except (FileNotFoundError, ValueError) as error:  # of a training that had ended before, and was damaged
                fault = str(error)
        with database.write() as session:
            row = session.get_one(Run, run.id)
            row.state, row.ended, row.checkpoint_id, row.note = "failed" if fault else "trained", ended, made, fault
            session.flush()
            session.expunge(row)
        return row


def obstacle(config: Config) -> str | None:
    """Why no training could begin, or none be judged, whatever people correct; else None.

    There is no checkpoint to start from, no older data, or the gate could not read its general questions.
    """
    try:
        _base(config)
    except TrainError as error:
        return str(error)
    return lacking(config) or unusable(config.gate.evaluation)


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
        # The older data takes long to read: another process may have begun one since, perhaps with other corrections.
        theirs = sql.select(Run).where(sql.or_(Run.decision == number, Run.state == "training"))
        if (other := session.scalar(theirs.order_by(Run.decision.desc()).limit(1))) is not None:
            return _taken_out(session, other)
        decision, run = session.get_one(Decision, number), session.get(Run, id)
        if run is None:
            last = config.runs / id[:16] / DPO if config.train.preferences else config.runs / id[:16]
            path = str(last.relative_to(config.folder))
            run = Run(id=id, dataset=dataset.id, base=noted(config, base.folder), path=path, checkpoint_id=None)
            session.add(run)
        elif run.state != "failed":
            raise TrainError(f"run {id[:12]} has learnt the same from the same before, and was {run.state}")
        decision.counts = {**decision.counts, "run": id}  # so that it is known how often this run was begun
        # A run that failed is tried again where it stopped.
        run.decision, run.began, run.ended, run.state, run.note = number, now, None, "training", ""
        session.flush()
        return _taken_out(session, run)


def _taken_out(session: Session, run: Run) -> tuple[Run, Dataset]:
    """The rows, to be used after the transaction."""
    dataset = session.get_one(Dataset, run.dataset)
    session.expunge_all()
    return run, dataset


def _trained(database: Database, config: Config, run: Run, dataset: Dataset) -> str:
    """Trains, or goes on, a stage after the other; what was said last where that failed, else nothing.

    Nothing is held out: the gate judges, by cases that no training has seen.
    """
    base = (config.folder / run.base).resolve()
    try:
        same = run.id == run_id(run.dataset, checkpoint.read_about(base).id, config)
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    if not same:
        return "the settings were changed while it was at work; another run is begun with those"
    last, data = config.folder / run.path, config.folder / dataset.path
    first = last.with_name(SFT) if config.train.preferences else last
    settings = config.train
    more = {"lr": settings.learning_rate, "batch-tokens": settings.batch_tokens, "lora-rank": settings.lora_rank}
    given = {"model": base, "data": data, "output": first, "steps": settings.steps, **more}
    fault = _stage(config, "trainer.align.sft", given)  # `corpuscle train sft`, whatever is on the PATH
    if fault or not settings.preferences:
        return fault
    try:
        pairs = write_pairs(database, config, dataset)
    except DatasetError as error:
        return str(error)
    given = {"model": first, "data": pairs, "output": last, "steps": settings.preferences}
    return _stage(config, "trainer.align.preference.command", given)


def _stage(config: Config, module: str, given: Mapping[str, object]) -> str:
    """Runs a stage to its end; one that has ended already is done at once."""
    given = {**given, "held-out": 0, "seed": config.train.seed, "device": config.train.device}
    options = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", module, *options],
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
