"""A canary under clocks that are ahead or behind."""

from pathlib import Path

import pytest

from flywheel.canary import began
from flywheel.config import Config
from flywheel.promote import begin, promote
from flywheel.settle import settle
from labeling.store.database import Database
from tests.flywheel.canaries import canary, complain, looked_at
from tests.flywheel.models import state
from tests.flywheel.promotions import add_passed, current, history, id_of
from tests.flywheel.rows import DAY, HOUR, NOW


def test_a_clock_that_is_set_back_ends_no_canary(database: Database, config: Config, out: str) -> None:
    """Nor does it when it is right again, which is before the canary's hours are over."""
    assert looked_at(database, config, NOW - 30 * DAY) == ("canary", False)
    assert looked_at(database, config, NOW - 29 * DAY) == ("promote", True)


def test_a_clock_that_was_set_back_for_an_hour_ends_no_canary(database: Database, config: Config, out: str) -> None:
    assert looked_at(database, config, NOW - 30 * DAY) == ("canary", False)
    assert looked_at(database, config, NOW - 30 * DAY + HOUR) == ("canary", False)
    assert looked_at(database, config, NOW + 23 * HOUR) == ("canary", False)
    assert looked_at(database, config, NOW + 24 * HOUR) == ("promote", True)


@pytest.fixture
def next_year(database: Database, config: Config, three: list[Path]) -> str:
    """The id of a canary that was begun while the clock was a year ahead."""
    begin(database, config, three[0], NOW - DAY)
    add_passed(database, "run", three[1], three[0])
    found = promote(database, config, NOW + 365 * DAY)
    assert found is not None
    return found.checkpoint_id


def test_a_canary_that_began_next_year_takes_over_its_hours_after_the_first_look(
    database: Database, config: Config, three: list[Path], next_year: str
) -> None:
    assert looked_at(database, config, NOW) == ("canary", False)
    assert not settle(database, config)
    assert history(database)[1:] == [("canary", next_year, id_of(three[0]))] * 2
    assert looked_at(database, config, NOW + 23 * HOUR) == ("canary", False)
    assert looked_at(database, config, NOW + 24 * HOUR) == ("promote", True)
    assert current(config) == next_year
    assert state(database, "run") == "promoted"


def test_a_canary_that_began_next_year_is_taken_back_where_people_report_it(
    database: Database, config: Config, three: list[Path], next_year: str
) -> None:
    """What was reported of the other before the canary's first report is left out: it may be older than the canary."""
    complain(database, id_of(three[0]), 50, "before", created=NOW - HOUR)
    complain(database, next_year, 5)
    assert looked_at(database, config, NOW + 2 * HOUR) == ("rollback", True)
    assert (current(config), canary(config)) == (id_of(three[0]), None)


def test_reports_of_before_the_first_look_count(database: Database, config: Config, next_year: str) -> None:
    complain(database, next_year, 4)
    assert looked_at(database, config, NOW + 2 * HOUR) == ("canary", False)
    complain(database, next_year, 1, "later", created=NOW + 3 * HOUR)
    assert looked_at(database, config, NOW + 4 * HOUR) == ("rollback", True)


@pytest.mark.parametrize(
    ("noted", "hour", "beginning"),
    [
        ([5], 7, 5),
        ([5], 5, 5),
        ([5], 3, None),  # the clock was ahead, or is behind
        ([5, 3], 4, 3),
        ([5, 3], 6, 5),  # it was behind, and is right again
        ([5, 3, 1], 2, 1),
    ],
)
def test_a_canary_began_at_the_last_time_that_is_not_ahead_of_the_clock(
    noted: list[int], hour: int, beginning: int | None
) -> None:
    expected = None if beginning is None else NOW + beginning * HOUR
    assert began([NOW + one * HOUR for one in noted], NOW + hour * HOUR) == expected
