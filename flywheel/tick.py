"""A turn of the loop: each step in its order, where there is something to do. Cron does no more than this, every hour.

The steps keep their own state, so a turn that is killed anywhere is finished by the next one; two never run at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql

from flywheel.collect import collect
from flywheel.config import Config
from flywheel.decide import AT_WORK, decide
from flywheel.gate import gate
from flywheel.label import admitted, fetch, send
from flywheel.lock import claim
from flywheel.promote import promote, settle
from flywheel.tables import Run
from flywheel.train import train
from labeling.client import Client, LabelStudioError
from labeling.drafts import DraftError
from labeling.pull import PullError
from labeling.push import PushError
from labeling.store.database import Database


@dataclass(frozen=True)
class Step:
    """What a step did, in a line."""

    name: str
    said: str
    did: bool
    """Whether it changed anything."""


def tick(database: Database, config: Config, client: Client | None, clock: Callable[[], datetime]) -> Iterator[Step]:
    """Takes the steps, and tells of each when it has ended; `clock` gives the time in UTC.

    Without a client, or while Label Studio can't be reached, nobody is asked and the rest goes on. A run at work is
    gone on with before anything is decided. Raises LockedError where another tick is at work, and what the steps raise.
    """
    with claim(config.folder):
        if settle(database, config):
            yield Step("promote", "the pointer follows the last promotion now, at which a tick was stopped", True)
        yield _collect(database, config, clock())
        yield _label(database, config, client)
        yield _admit(database, config, clock())
        if not _at_work(database):
            decision = decide(database, config, clock())
            wants = "train" if decision.retrain else "wait"
            yield Step("decide", f"{wants}: {decision.reason}", decision.retrain)
        run = train(database, config, clock())
        if run is not None:
            yield Step("train", _trained(run), run.state != "training")
        judged = gate(database, config, clock())
        if judged is not None:
            said = f"run {judged.run[:12]} {'passed' if judged.passed else 'refused'}: {judged.reason} {judged.page}"
            yield Step("gate", said, judged.new)
        promoted = promote(database, config, clock())
        if promoted is not None:
            yield Step("promote", f"people talk to {promoted.checkpoint_id[:12]} now: {promoted.folder}", promoted.new)


def _collect(database: Database, config: Config, now: datetime) -> Step:
    found = collect(database, config, now)
    new = sum(found.new.values())
    said = f"{new:,} new misbehaviours, {found.known:,} known, {found.clusters:,} new clusters"
    if found.rejected:
        said += f", {len(found.rejected):,} can't be used ({found.rejected[0].place}: {found.rejected[0].reason})"
    return Step("collect", said, bool(new or found.clusters))


def _label(database: Database, config: Config, client: Client | None) -> Step:
    if client is None:
        return Step("label", "no Label Studio server is connected: nobody is asked", False)
    try:
        sent = send(database, client, config)
        pulled = fetch(database, client, config)
    except (LabelStudioError, PushError, PullError, DraftError) as error:
        return Step("label", f"nobody can be asked just now, the next tick tries again: {error}", False)
    said = f"{sent.pushed.pushed:,} sent, {pulled.new:,} new labels, {pulled.changed:,} changed"
    return Step("label", said, bool(sent.noted or pulled.new or pulled.changed or pulled.deleted))


def _admit(database: Database, config: Config, now: datetime) -> Step:
    found = admitted(database, config, now)
    said = f"{found.corrections:,} new corrections, {found.refused:,} refused as poison, {found.withdrawn:,} withdrawn"
    return Step("admit", said, any((found.corrections, found.refused, found.withdrawn, found.cases)))


def _trained(run: Run) -> str:
    said = f"run {run.id[:12]} {'is being trained' if run.state == 'training' else run.state}"
    return f"{said}: {run.note.splitlines()[-1]}" if run.note else said


def _at_work(database: Database) -> bool:
    """Whether a run was begun and has not been judged and promoted or refused."""
    with database.read() as session:
        return session.scalar(sql.select(Run.id).where(Run.state.in_(AT_WORK)).limit(1)) is not None
