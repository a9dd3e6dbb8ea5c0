"""`current.json` and the rows of a canary, parted by a kill or by a backup."""

from pathlib import Path

import pytest

from flywheel.config import Config
from flywheel.promote import begin, promote, rollback
from flywheel.settle import settle
from flywheel.tables import Run
from labeling.store.database import Database
from tests.flywheel.canaries import canary
from tests.flywheel.models import state
from tests.flywheel.promotions import add_passed, current, forget, id_of
from tests.flywheel.rows import HOUR, NOW
from trainer.pointer import Pointer, write_pointer


@pytest.mark.parametrize("end", ["begins", "takes over", "is rolled back"])
def test_a_kill_between_row_and_file_is_mended(database: Database, config: Config, three: list[Path], end: str) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    if end != "begins":
        promote(database, config, NOW)
    before = config.current.read_bytes()
    if end == "is rolled back":
        rollback(database, config, NOW)
    else:
        promote(database, config, NOW + 24 * HOUR)
    after = config.current.read_bytes()
    assert before != after
    config.current.write_bytes(before)
    assert "stopped promotion" in settle(database, config)
    assert config.current.read_bytes() == after


def test_a_file_that_another_store_has_numbered_is_mended_in_silence(
    database: Database, config: Config, three: list[Path], tmp_path: Path
) -> None:
    begin(database, config, three[0], NOW)
    begin(database, config, three[1], NOW + HOUR, "better")
    before = config.current.read_bytes()
    with Database(f"sqlite:///{tmp_path}/mistyped.sqlite") as another:
        assert "did not know" in settle(another, config)
    assert config.current.read_bytes() != before
    assert not settle(database, config)
    assert config.current.read_bytes() == before


@pytest.mark.parametrize(
    ("end", "becomes"),
    [
        ("begins", "canary"),
        ("takes over", "promoted"),
        ("is rolled back", "refused"),
        ("gives way to another", "refused"),
    ],
)
def test_a_store_from_before_learns_of_it(
    database: Database, config: Config, three: list[Path], end: str, becomes: str
) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    promote(database, config, NOW)
    if end == "is rolled back":
        rollback(database, config, NOW)
    elif end == "takes over":
        promote(database, config, NOW + 24 * HOUR)
    elif end == "gives way to another":
        begin(database, config, three[2], NOW + HOUR, "urgent")
    told = (current(config), canary(config) and id_of(three[1]))
    forget(database, 2 if end == "begins" else 3)
    becoming(database, "trained" if end == "begins" else "canary")
    assert "did not know" in settle(database, config)
    assert (current(config), canary(config) and id_of(three[1])) == told
    assert not settle(database, config)
    assert state(database, "run") == becomes


def test_a_store_from_before_learns_of_a_canary_that_came_back_beside_another(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    tried = canary(config)
    write_pointer(config.current, Pointer(three[2], id_of(three[2]), 9, tried))
    assert "did not know" in settle(database, config)
    assert (current(config), canary(config)) == (id_of(three[2]), tried)
    assert state(database, "run") == "canary"


def becoming(database: Database, state: str) -> None:
    with database.write() as session:
        session.get_one(Run, "run").state = state
