"""When people's reports end a canary, and which of them count."""

from pathlib import Path

import pytest

from flywheel.canary import Tally, canary_tally
from flywheel.config import Config
from flywheel.live import live
from flywheel.promote import promote
from labeling.store.database import Database
from tests.flywheel.canaries import canary, complain
from tests.flywheel.models import state
from tests.flywheel.promotions import current, id_of
from tests.flywheel.rows import HOUR, NOW


def test_a_canary_that_is_reported_too_often_is_taken_back(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    complain(database, id_of(three[0]), 7, "before")
    complain(database, out, 5)
    found = promote(database, config, NOW + 2 * HOUR)
    assert found is not None
    assert (found.action, found.new, canary(config)) == ("rollback", True, None)
    assert found.reason.startswith(
        "people report the canary too often: 5 of 12 reported conversations are its own, and 10% its share (p = 0.004)"
    )
    assert found.reason.endswith("; ends canary 2")
    assert current(config) == id_of(three[0])
    assert state(database, "run") == "refused"
    assert promote(database, config, NOW + 48 * HOUR) is None


@pytest.mark.parametrize(("own", "others", "too_many"), [(5, 7, True), (5, 20, False), (4, 0, False), (0, 0, False)])
def test_five_of_twelve_are_too_many_for_a_tenth_and_five_of_twentyfive_or_only_four_are_not(
    own: int, others: int, too_many: bool
) -> None:
    assert Tally(own, own + others, 0.1).too_many is too_many


def test_the_chance_is_that_of_a_binomial_tail() -> None:
    assert Tally(2, 3, 0.5).p == pytest.approx(0.5)
    assert Tally(3, 3, 0.1).p == pytest.approx(0.001)
    assert Tally(0, 3, 0.1).p == 1


def test_one_conversation_counts_once_however_often_it_is_reported(database: Database, out: str) -> None:
    complain(database, out, 2)
    complain(database, out, 2)
    found = canary_tally_of(database)
    assert (found.own, found.total) == (2, 2)


def test_praise_the_red_team_what_is_dismissed_and_what_came_before_do_not_count(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    complain(database, out, 1, "praise", category=None, rating=1)
    complain(database, out, 1, "red", source="redteam")
    complain(database, out, 1, "dismissed", status="dismissed")
    complain(database, out, 1, "early", created=NOW - HOUR)
    complain(database, id_of(three[2]), 1, "another checkpoint")
    assert canary_tally_of(database).total == 0
    complain(database, out, 1, "thumb", category=None, rating=-1)
    assert canary_tally_of(database).own == 1


def canary_tally_of(database: Database) -> Tally:
    with database.read() as session:
        found = canary_tally(session, live(session), NOW + 2 * HOUR)
    assert found is not None
    return found
