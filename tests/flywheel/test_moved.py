"""A loop's folder that was moved or copied: what was promoted in it is found in the new place."""

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.config import Config, Promote
from flywheel.explain.explain import explain
from flywheel.promote import begin, promote, rollback
from flywheel.settle import settle
from flywheel.status.standing import standing
from flywheel.tables import Promotion
from labeling.store.database import Database
from tests.flywheel.models import settings
from tests.flywheel.promotions import add_passed, current, forget, id_of
from tests.flywheel.rows import HOUR, NOW
from trainer.pointer import read_pointer


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path / "one")


@pytest.fixture
def inside(config: Config, three: list[Path]) -> list[Path]:
    """The checkpoints in the loop's folder."""
    return [Path(shutil.copytree(one, config.folder / "models" / name)) for one, name in zip(three, "abc", strict=True)]


def moved(config: Config, tmp_path: Path) -> Config:
    config.folder.rename(tmp_path / "two")
    return config.model_copy(update={"folder": tmp_path / "two", "models": tmp_path / "two" / "models"})


def paths(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(sql.select(Promotion.path).order_by(Promotion.id)))


def test_a_rollback_after_a_move_finds_what_was_promoted_before_it(
    database: Database, config: Config, inside: list[Path], three: list[Path], tmp_path: Path
) -> None:
    for model in inside:
        begin(database, config, model, NOW)
    assert paths(database) == ["models/a", "models/b", "models/c"]
    there = moved(config, tmp_path)
    for name, model in (("b", three[1]), ("a", three[0])):
        assert rollback(database, there, NOW).folder == tmp_path / "two/models" / name
        assert current(there) == id_of(model)
    assert paths(database)[3:] == ["models/b", "models/a"]
    told = standing(database, there, NOW).current
    assert told is not None
    assert told.path == "models/a"
    assert str(tmp_path / "two/models/a") in explain(database, there, id_of(three[0]), NOW).fact.says


def test_a_copy_finds_its_own_though_the_original_is_there_too(
    database: Database, config: Config, inside: list[Path], three: list[Path], tmp_path: Path
) -> None:
    begin(database, config, inside[0], NOW)
    begin(database, config, inside[1], NOW)
    shutil.copytree(config.folder, tmp_path / "copy")
    copy = settings(tmp_path / "copy")
    rollback(database, copy, NOW)
    assert read_pointer(copy.current).folder.resolve() == tmp_path / "copy/models/a"
    assert current(config) == id_of(three[1])


def test_a_canary_in_a_folder_that_was_moved_takes_over(
    database: Database, config: Config, inside: list[Path], three: list[Path], tmp_path: Path
) -> None:
    config = config.model_copy(update={"promote": Promote(canary=0.1)})
    begin(database, config, inside[0], NOW)
    add_passed(database, "run", inside[1], inside[0])
    promote(database, config, NOW)
    there = moved(config, tmp_path)
    found = promote(database, there, NOW + 24 * HOUR)
    assert found is not None
    assert (found.action, current(there)) == ("promote", id_of(three[1]))
    assert paths(database) == ["models/a", "models/b", "models/b"]


def test_what_lies_outside_is_remembered_as_a_whole(
    database: Database, config: Config, inside: list[Path], three: list[Path], tmp_path: Path
) -> None:
    begin(database, config, three[2], NOW)
    begin(database, config, inside[0], NOW)
    assert paths(database) == [str(three[2].resolve()), "models/a"]
    there = moved(config, tmp_path)
    assert rollback(database, there, NOW).folder == three[2].resolve()


def test_a_row_of_an_earlier_version_has_a_whole_path_and_holds(
    database: Database, config: Config, inside: list[Path], three: list[Path]
) -> None:
    begin(database, config, inside[0], NOW)
    begin(database, config, inside[1], NOW)
    with database.write() as session:
        for row in session.scalars(sql.select(Promotion)):
            row.path = str(config.folder.resolve() / row.path)
    assert not begin(database, config, inside[1], NOW).new
    assert rollback(database, config, NOW).folder == inside[0].resolve()
    assert current(config) == id_of(three[0])
    told = standing(database, config, NOW).current
    assert told is not None
    assert told.path == "models/a"


def test_what_a_store_learns_from_current_json_may_be_moved_too(
    database: Database, config: Config, inside: list[Path]
) -> None:
    begin(database, config, inside[0], NOW)
    begin(database, config, inside[1], NOW)
    forget(database, 2)
    settle(database, config)
    assert paths(database) == ["models/a", "models/b"]


def test_a_folder_behind_a_link_is_the_same(database: Database, config: Config, inside: list[Path]) -> None:
    link = config.folder.with_name("link")
    link.symlink_to(config.folder)
    begin(database, settings(link), link / "models/a", NOW)
    assert paths(database) == ["models/a"]
    assert not begin(database, config, inside[0], NOW).new
