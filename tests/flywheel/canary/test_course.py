"""A canary from its beginning to its end."""

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.config import Config
from flywheel.decide import AT_WORK
from flywheel.promote import begin, promote, rollback
from flywheel.tables import Promotion
from labeling.store.database import Database
from tests.flywheel.canaries import canary
from tests.flywheel.models import state
from tests.flywheel.promotions import add_passed, current, history, id_of
from tests.flywheel.rows import HOUR, NOW


def test_a_passed_run_answers_a_share_before_it_takes_over(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    assert current(config) == id_of(three[0])
    tried = canary(config)
    assert tried is not None
    assert (tried.id, tried.share) == (id_of(three[1]), 0.1)
    assert tried.folder.resolve() == three[1].resolve()
    assert state(database, "run") == "canary"
    assert "canary" in AT_WORK  # no other run is begun beside it


def test_a_row_tells_the_share(database: Database, out: str) -> None:
    with database.read() as session:
        assert list(session.scalars(sql.select(Promotion.share).order_by(Promotion.id))) == [1.0, 0.1]


def test_until_its_hours_are_over_it_is_only_looked_at(database: Database, config: Config, out: str) -> None:
    found = promote(database, config, NOW + 23 * HOUR)
    assert found is not None
    assert (found.action, found.new) == ("canary", False)
    assert found.reason == ("0 of 0 reported conversations are its own, and 10% its share; it takes over in 1.0 hours")
    assert len(history(database)) == 2


def test_after_its_hours_it_takes_over(database: Database, config: Config, three: list[Path], out: str) -> None:
    found = promote(database, config, NOW + 24 * HOUR)
    assert found is not None
    assert (found.action, found.new) == ("promote", True)
    assert (current(config), canary(config)) == (id_of(three[1]), None)
    assert state(database, "run") == "promoted"
    assert promote(database, config, NOW + 48 * HOUR) is None
    assert rollback(database, config, NOW).checkpoint_id == id_of(three[0])
    assert state(database, "run") == "refused"


def test_a_person_need_not_wait(database: Database, config: Config, three: list[Path], out: str) -> None:
    found = promote(database, config, NOW, "run", at_once=True)
    assert found is not None
    assert (found.action, current(config), canary(config)) == ("promote", id_of(three[1]), None)


def test_without_a_canary_a_person_may_promote_at_once(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    promote(database, config, NOW, at_once=True)
    assert (current(config), canary(config)) == (id_of(three[1]), None)


def test_the_first_checkpoint_is_no_canary(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    assert canary(config) is None


def test_a_rollback_ends_the_canary_and_no_more(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    found = rollback(database, config, NOW, "it swears")
    assert (found.action, found.reason) == ("rollback", "it swears; ends canary 2")
    assert (current(config), canary(config)) == (id_of(three[0]), None)
    assert state(database, "run") == "refused"
    with pytest.raises(ValueError, match="no checkpoint before"):
        rollback(database, config, NOW)
    with pytest.raises(ValueError, match="something else followed"):
        promote(database, config, NOW, "run")


def test_another_promotion_ends_the_canary(database: Database, config: Config, three: list[Path], out: str) -> None:
    begin(database, config, three[2], NOW + HOUR, "urgent")
    assert (current(config), canary(config)) == (id_of(three[2]), None)
    assert state(database, "run") == "refused"


def test_beside_a_canary_no_other_run_is_promoted(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    add_passed(database, "another", three[2], three[0])
    with pytest.raises(ValueError, match="answers 10% of the conversations; promote it with --now"):
        promote(database, config, NOW, "another")


def test_a_canary_whose_checkpoint_is_gone_is_taken_back(
    database: Database, config: Config, three: list[Path], tmp_path: Path
) -> None:
    begin(database, config, three[0], NOW)
    copy = Path(shutil.copytree(three[1], tmp_path / "copy"))
    add_passed(database, "run", copy, three[0])
    promote(database, config, NOW)
    shutil.rmtree(copy)
    with pytest.raises(FileNotFoundError):
        promote(database, config, NOW + HOUR, at_once=True)
    found = promote(database, config, NOW + 24 * HOUR)
    assert found is not None
    assert (found.action, current(config), canary(config)) == ("rollback", id_of(three[0]), None)
    assert "no such folder" in found.reason
    assert state(database, "run") == "refused"
