"""A clock that is set back by a day or forward by a year, between any two steps."""

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.tables import Run
from labeling.store.database import Database
from tests.flywheel.rows import DAY, HOUR, NOW
from tests.flywheel.survive.conftest import ORDER, TIMES, Undisturbed
from tests.flywheel.survive.harness import came_to, copied, take
from tests.flywheel.survive.people import correct_more, report_more

YEAR = 365 * DAY
FEW = 6
"""Reports, of which some are held out: fewer corrections than a decision takes at once."""


@pytest.mark.slow
@pytest.mark.parametrize("clocks", [(-DAY, YEAR), (YEAR, -DAY)], ids=["back first", "forward first"])
def test_jumps_between_any_two_steps_change_nothing(
    clocks: tuple[timedelta, timedelta], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The clock is wrong this way, right, and wrong that way in turn."""
    config = copied(undisturbed.before["admit"], tmp_path / "loop")
    for step, wrong in zip(ORDER[1:], itertools.cycle((clocks[0], timedelta(), clocks[1])), strict=False):
        assert take(step, config, TIMES[step] + wrong)
    wanted = came_to(undisturbed.end)
    assert came_to(config) == wanted
    # With the right time again, nothing is trained a second time.
    assert take("tick", config, TIMES["promote"] + 9 * DAY)
    found = came_to(config)
    assert [row for row in found["decisions"] if row[1]] == wanted["decisions"]
    for name in ("runs", "promotions", "current"):
        assert found[name] == wanted[name]


@pytest.mark.slow
def test_a_run_that_ended_next_year_delays_the_next_one_by_no_more_than_any_other(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Few new corrections wait for `days`, counted from a moment that lies in the future once the clock is right."""
    config = copied(undisturbed.end, tmp_path / "loop")
    with Database(config.store) as database:
        with database.write() as session:
            session.execute(sql.update(Run).values(began=NOW + YEAR, ended=NOW + YEAR + HOUR))
        report_more(database, FEW)
        assert take("collect", config, NOW + DAY)
        correct_more(database, NOW + DAY)
    assert take("admit", config, NOW + DAY)
    assert take("decide", config, NOW + DAY + HOUR)
    assert not came_to(config)["decisions"][-1][1]
    assert take("decide", config, NOW + 9 * DAY)
    assert came_to(config)["decisions"][-1][1], came_to(config)["decisions"][-1][2]
