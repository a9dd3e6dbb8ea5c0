"""Steps of a loop in processes of their own, which are killed at a chosen moment; and what a loop has come to.

A moment is one before anything durable: a write transaction's begin or commit, a file that is made, written, put into
its place or removed, a program that is started, each request to a server; and the process's end. So the points
between two effects are all met.
"""

import hashlib
import multiprocessing
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from flywheel import steps
from flywheel.config import Config, load
from flywheel.evaluate import evaluate
from flywheel.lock import LockedError
from flywheel.promote import rollback
from flywheel.release import release
from flywheel.settle import settle
from flywheel.tables import (
    Cluster,
    Correction,
    Dataset,
    Decision,
    Measurement,
    Misbehaviour,
    Promotion,
    Release,
    Run,
    TracedPage,
    Verdict,
)
from flywheel.tick import tick
from flywheel.trace.review import decided, write_block_list
from flywheel.trace.told import review
from flywheel.trace.trace import SEARCHED, trace_new
from labeling import pull
from labeling.client import Client
from labeling.folder import Folder
from labeling.store.database import Database
from labeling.store.labels import AnnotationRow
from labeling.store.reports import ReportRow
from trainer import checkpoint
from trainer.pointer import read_pointer

STEPS: dict[str, Callable[[Database, Config, datetime], object]] = {
    "collect": steps.collected,
    "label": lambda database, config, now: _asking(config, lambda client: steps.labelled(database, config, client)),
    "admit": steps.admission,
    "decide": steps.decided,
    "train": steps.trained,
    "gate": steps.judged,
    "promote": steps.promoted,
    "rollback": lambda database, config, now: rollback(database, config, now, "it swears"),
    "release": lambda database, config, now: release(database, _refused(database), "it is right", now),
    "evaluate": lambda database, config, now: list(evaluate(database, config, now)),
    "trace": lambda database, config, now: trace_new(database, config, now),
    "pages": lambda database, config, now: _asking(config, lambda client: list(review(database, config, client, now))),
    "judge pages": lambda database, config, now: decided(database, config, now),
    "block": lambda database, config, now: write_block_list(database, config.folder / BLOCKED),
    "settle": lambda database, config, now: settle(database, config),
    "tick": lambda database, config, now: list(tick(database, config, None, lambda: now)),
}

BLOCKED = "blocked.txt"

PAGE = 10
"""Tasks that a killed pull commits together, so that it is killed between two pages."""

REFUSED = 3
"""The exit status where another tick was at work."""

_EFFECTS = {"os.rename", "os.link", "os.mkdir", "os.remove", "subprocess.Popen"}

_NAME = re.compile(rb"annotator-[0-9a-f]+")
"""A person, by the store's own secret, which is made at random when labels first come."""

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


def take_killed(step: str, config: Config, folder: Path, now: datetime, every: int = 1) -> tuple[Config, int]:
    """Takes a step without a kill, and, each time from the beginning, with one before each of its effects, and again.

    Where that takes long, the kills are before the first effect, and so many behind it each. Whatever came before the
    kill, the same again is to come to the same. The copies are made in `folder`, which has to be as deep as the
    loop's own, as current.json may name what lies outside. Returns the loop that nobody killed, and how many kills
    there were.
    """
    whole = copied(config, folder / "whole")
    assert take(step, whole, now)
    wanted = came_to(whole)
    for kills, effect in enumerate(range(1, 200, every)):
        killed = copied(config, folder / str(effect))
        if take(step, killed, now, kill=effect):
            return whole, kills
        assert take(step, killed, now)
        found = came_to(killed)
        other = {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}
        assert not other, f"killed before effect {effect}: {other}"
    raise AssertionError(f"{step} has no end")


def copied(config: Config, folder: Path) -> Config:
    """The same loop in another folder."""
    shutil.copytree(config.folder, folder)
    return load(folder)


def came_to(config: Config) -> dict[str, Any]:
    """What a loop has come to: rows but for times and folders, files, and the checkpoint that people talk to.

    The names that a store gives to persons are left out.
    """
    columns = {
        "misbehaviours": (Misbehaviour.id, Misbehaviour.cluster, Misbehaviour.held_out, Misbehaviour.source_ref),
        "clusters": (Cluster.id, Cluster.name),
        "corrections": (Correction.id, Correction.answer, Correction.refused),
        "decisions": (Decision.id, Decision.retrain, Decision.reason),
        "datasets": (Dataset.id, Dataset.path, Dataset.replay),
        "runs": (Run.id, Run.decision, Run.path, Run.state, Run.checkpoint_id),
        "verdicts": (Verdict.id, Verdict.passed, Verdict.reason),
        "promotions": (Promotion.id, Promotion.action, Promotion.checkpoint_id, Promotion.previous, Promotion.share),
        "releases": (Release.correction, Release.reason, Release.refused),
        "measurements": (Measurement.id, Measurement.cases, Measurement.bad),
        "pages": (TracedPage.id, TracedPage.sample, TracedPage.decision),
        "labels": (AnnotationRow.remote_id, AnnotationRow.sample, AnnotationRow.task_id, AnnotationRow.verdict),
        "reports": (ReportRow.id,),
    }
    found: dict[str, Any] = {}
    with Database(config.store) as database, database.read() as session:
        for name, some in columns.items():
            found[name] = [tuple(row) for row in session.execute(sql.select(*some).order_by(some[0]))]
    files = {*config.folder.glob("*.*"), *config.datasets.rglob("*"), *config.verdicts.rglob("*")}
    found["files"] = {
        str(path.relative_to(config.folder)): hashlib.sha256(_NAME.sub(b"somebody", path.read_bytes())).hexdigest()
        for path in sorted(files)
        if path.is_file() and (path.suffix == ".jsonl" or path.name in (SEARCHED, BLOCKED))
    }
    found["checkpoints"] = {
        run[2]: checkpoint.read_about(checkpoint.find(config.folder / run[2])).id
        for run in found["runs"]
        if run[4] is not None
    }
    if config.current.exists():
        pointer = read_pointer(config.current)
        tried = pointer.canary
        found["current"] = (pointer.id, pointer.promotion, None if tried is None else (tried.id, tried.share))
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


def _asking(config: Config, step: Callable[[Client], object]) -> None:
    pull.PAGE = PAGE
    with Folder(config.labels, config.store).client() as client:
        step(client)


def _refused(database: Database) -> str:
    """The first correction that was refused, or released since."""
    of = sql.or_(Correction.refused.is_not(None), Correction.id.in_(sql.select(Release.correction)))
    with database.read() as session:
        return session.scalars(sql.select(Correction.id).where(of).order_by(Correction.id).limit(1)).one()


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

    ask = httpx.HTTPTransport.handle_request

    def asked(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        met("request")
        return ask(transport, request)

    httpx.HTTPTransport.handle_request = asked  # type: ignore[method-assign]
    for moment in ("begin", "commit"):
        event.listen(Engine, moment, transaction)
    sys.addaudithook(written)
