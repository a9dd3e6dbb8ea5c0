"""Several looks at one canary: each does what the first one did, or nothing."""

from pathlib import Path

import pytest

from flywheel.canary import Tally
from flywheel.config import Config
from flywheel.live import Live, live
from flywheel.promote import _look, promote, rollback
from labeling.store.database import Database
from tests.flywheel.canaries import canary
from tests.flywheel.promotions import add_passed, current, history, id_of
from tests.flywheel.rows import HOUR, NOW


def seen(database: Database) -> tuple[Live, Tally]:
    """What a look sees before it acts."""
    with database.read() as session:
        found = live(session)
        session.expunge_all()
    return found, Tally(9, 12, 0.1)


@pytest.fixture
def second(database: Database, config: Config, three: list[Path], out: str) -> str:
    """A canary whose predecessor has taken over."""
    promote(database, config, NOW, at_once=True)
    add_passed(database, "second", three[2], three[1])
    found = promote(database, config, NOW)
    assert found is not None
    assert found.action == "canary"
    return found.checkpoint_id


def test_two_looks_at_a_bad_canary_take_back_the_canary_alone(
    database: Database, config: Config, three: list[Path], second: str
) -> None:
    found, bad = seen(database)
    first = _look(database, config, NOW + HOUR, found, bad, False)
    again = _look(database, config, NOW + HOUR, found, bad, False)
    assert (first.action, first.new, again.action, again.new) == ("rollback", True, "rollback", False)
    assert (current(config), canary(config)) == (id_of(three[1]), None)
    assert len(history(database)) == 5


def test_two_looks_at_the_end_of_a_canary_promote_it_once(database: Database, config: Config, second: str) -> None:
    found = seen(database)[0]
    for new in (True, False):
        told = _look(database, config, NOW + 24 * HOUR, found, Tally(0, 0, 0.1), False)
        assert (told.action, told.new, current(config)) == ("promote", new, second)
    assert len(history(database)) == 5


def test_a_look_that_comes_late_leaves_the_next_canary_alone(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    found, bad = seen(database)
    rollback(database, config, NOW)
    add_passed(database, "second", three[2], three[0])
    promote(database, config, NOW)
    for tally in (bad, Tally(0, 0, 0.1)):
        assert not _look(database, config, NOW + 24 * HOUR, found, tally, False).new
    tried = canary(config)
    assert tried is not None
    assert tried.id == id_of(three[2])
