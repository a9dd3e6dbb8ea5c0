"""A look at a canary that is killed, wherever: the same again comes to what an undisturbed one comes to."""

from pathlib import Path

import pytest

from flywheel.config import Config, load
from flywheel.promote import begin
from labeling.store.database import Database
from tests.flywheel.canaries import complain
from tests.flywheel.promotions import add_passed, id_of
from tests.flywheel.rows import DAY, HOUR, NOW
from tests.flywheel.survive.harness import came_to, take, take_killed

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(tmp_path: Path, three: list[Path]) -> Config:
    """A loop with a run that passed the gate, and shall answer a tenth of the conversations first."""
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "flywheel.yaml").write_text("promote: {canary: 0.1}\n")
    config = load(folder)
    with Database(config.store) as database:
        begin(database, config, three[0], NOW - HOUR)
        add_passed(database, "run", three[1], three[0])
    return config


def test_it_begins_once(waiting: Config, three: list[Path], tmp_path: Path) -> None:
    whole, kills = take_killed("promote", waiting, tmp_path, NOW)
    assert kills > 4
    assert came_to(whole)["current"] == (id_of(three[0]), 2, (id_of(three[1]), 0.1))


def test_it_takes_over_once(waiting: Config, three: list[Path], tmp_path: Path) -> None:
    assert take("promote", waiting, NOW)
    whole, kills = take_killed("promote", waiting, tmp_path, NOW + 2 * DAY)
    assert kills > 4
    assert came_to(whole)["current"] == (id_of(three[1]), 3, None)


def test_it_is_taken_back_once(waiting: Config, three: list[Path], tmp_path: Path) -> None:
    assert take("promote", waiting, NOW)
    with Database(waiting.store) as database:
        complain(database, id_of(three[1]), 5)
    whole, kills = take_killed("promote", waiting, tmp_path, NOW + 2 * HOUR)
    assert kills > 4
    assert came_to(whole)["current"] == (id_of(three[0]), 3, None)


def test_one_that_began_ahead_of_the_clock_is_noted_once_more(waiting: Config, tmp_path: Path) -> None:
    assert take("promote", waiting, NOW + DAY)
    whole, kills = take_killed("promote", waiting, tmp_path, NOW)
    assert kills > 4
    assert [row[1] for row in came_to(whole)["promotions"]] == ["promote", "canary", "canary"]
