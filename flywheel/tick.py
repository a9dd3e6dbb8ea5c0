"""A turn of the loop: each step in its order, where there is something to do. Cron does no more than this, every hour.

The steps keep their own state, so a turn that is killed anywhere is finished by the next one; two never run at once.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

import sqlalchemy as sql

from flywheel import steps
from flywheel.config import Config
from flywheel.decide import AT_WORK
from flywheel.live import live
from flywheel.lock import claim, claim_store
from flywheel.lost import LostError
from flywheel.settle import settle
from flywheel.steps import Step
from flywheel.tables import Run
from labeling.client import Client, LabelStudioError
from labeling.create import ProjectError
from labeling.pull import PullError
from labeling.push import PushError
from labeling.store.database import Database

PATIENCE = 5.0
"""Seconds for which a tick waits for a Label Studio that is away; what is not asked now, the next tick asks."""


def tick(database: Database, config: Config, client: Client | None, clock: Callable[[], datetime]) -> Iterator[Step]:
    """Takes the steps, and tells of each when it has ended; `clock` gives the time in UTC.

    Without a client, or while Label Studio can't be reached, nobody is asked and the rest goes on. A run at work is
    gone on with before anything is decided. Raises LockedError where another tick is at work, and what the steps raise,
    after a look at the canary: one that people report too often ends whatever stops the rest.
    """
    with claim(config.folder), claim_store(database):
        if amiss := settle(database, config):
            yield Step("promote", amiss, True)
        try:
            yield from _turn(database, config, client, clock)
        except Exception:
            found = steps.promoted(database, config, clock()) if _canary(database) else None
            if found is not None:
                yield found
            raise


def _turn(database: Database, config: Config, client: Client | None, clock: Callable[[], datetime]) -> Iterator[Step]:
    yield steps.collected(database, config, clock())
    yield _labelled(database, config, client)
    yield steps.admission(database, config, clock())
    if config.trace.corpus is not None:
        from flywheel.trace.told import turn  # a loop without a corpus needs no search

        yield from turn(database, config, client, clock())
    if not _at_work(database):
        yield steps.decided(database, config, clock())
    for name, step in (("train", steps.trained), ("gate", steps.judged), ("promote", steps.promoted)):
        found: Step | None
        try:
            found = step(database, config, clock())
        except LostError as error:  # the run is noted as failed, and what others there are goes on
            found = Step(name, f"{error} It has failed.", True)
        if found is not None:
            yield found


def _labelled(database: Database, config: Config, client: Client | None) -> Step:
    if client is None:
        return Step("label", "no Label Studio server is connected: nobody is asked", False)
    try:
        return steps.labelled(database, config, client)
    except (LabelStudioError, ProjectError, PushError, PullError) as error:
        return Step("label", f"nobody can be asked, each tick tries again: {error}", False)


def _canary(database: Database) -> bool:
    with database.read() as session:
        return live(session).canary is not None


def _at_work(database: Database) -> bool:
    """Whether a run was begun and has not been judged and promoted or refused."""
    with database.read() as session:
        return session.scalar(sql.select(Run.id).where(Run.state.in_(AT_WORK)).limit(1)) is not None
