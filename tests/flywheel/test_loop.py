"""A loop's folder and its store know each other."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.config import Config
from flywheel.loop import ID, LoopError, expect_store, join
from flywheel.tables import Loop
from labeling.store.database import Database
from tests.flywheel.rows import NOW


@pytest.fixture
def stored(url: str) -> Iterator[Database]:
    """On either database."""
    with Database(url) as opened:
        yield opened


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def owners(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(sql.select(Loop.id)))


def test_at_first_use_folder_and_store_get_one_id_which_stays(stored: Database, tmp_path: Path) -> None:
    one = folder(tmp_path / "one")
    id = join(stored, one, NOW)
    assert owners(stored) == [id]
    assert (one / ID).read_text() == f"{id}\n"
    assert join(stored, one, NOW + timedelta(days=1)) == id
    assert [path.name for path in one.iterdir()] == [ID]


def test_another_folder_on_the_same_store_is_an_error_that_names_both(stored: Database, tmp_path: Path) -> None:
    id = join(stored, folder(tmp_path / "one"), NOW)
    two = folder(tmp_path / "two")
    with pytest.raises(LoopError) as told:
        join(stored, two, NOW)
    assert f"is the store of loop {id} (since 2026-03-02), and {two} has no loop.id" in str(told.value)
    assert not (two / ID).exists()
    with Database(f"sqlite:///{tmp_path}/another.sqlite") as another:
        its = join(another, two, NOW)
    with pytest.raises(LoopError, match=f"loop {id} .*{two} is loop {its}"):
        join(stored, two, NOW)
    assert owners(stored) == [id]


def test_a_folder_may_be_moved_and_copied_whole(tmp_path: Path) -> None:
    one = folder(tmp_path / "one")
    with Database(f"sqlite:///{one}/store.sqlite") as database:
        id = join(database, one, NOW)
    shutil.copytree(one, tmp_path / "copy")
    one.rename(tmp_path / "moved")
    for place in ("copy", "moved"):
        with Database(f"sqlite:///{tmp_path}/{place}/store.sqlite") as database:
            assert join(database, tmp_path / place, NOW) == id


def test_a_store_from_a_backup_of_before_the_first_use_joins_again(stored: Database, tmp_path: Path) -> None:
    one = folder(tmp_path / "one")
    id = join(stored, one, NOW)
    with stored.write() as session:
        session.execute(sql.delete(Loop))
    assert join(stored, one, NOW) == id
    assert owners(stored) == [id]


def test_a_store_that_is_gone_or_mistyped_is_told_before_a_new_one_is_made(tmp_path: Path) -> None:
    one = folder(tmp_path / "one")
    config, mistyped = Config(folder=one), Config(folder=one, store="sqlite:///stroe.sqlite")
    expect_store(config)  # at the first start nothing is there
    with Database(config.store) as database:
        id = join(database, one, NOW)
    expect_store(config)
    with pytest.raises(LoopError) as told:
        expect_store(mistyped)
    assert f"there is no such database (looked for {one}/stroe.sqlite). {one} is loop {id}" in str(told.value)
    assert f"name it rightly in {one}/flywheel.yaml; or remove {one}/loop.id to begin anew" in str(told.value)
    (one / ID).unlink()
    expect_store(mistyped)


def test_a_loop_that_has_promoted_does_not_begin_anew_in_a_store_that_knows_none(
    stored: Database, tmp_path: Path
) -> None:
    """Such as one that `corpuscle serve` has made under a mistyped name."""
    one = folder(tmp_path / "one")
    current = Config(folder=one).current
    with Database(f"sqlite:///{tmp_path}/right.sqlite") as right:
        join(right, one, NOW, current)
    current.parent.mkdir()
    current.write_text("{}")
    with pytest.raises(LoopError, match=r"knows no loop, though .*current.json was promoted. .* put the store back"):
        join(stored, one, NOW, current)
    assert owners(stored) == []
    (one / ID).unlink()
    id = join(stored, one, NOW, current)
    assert owners(stored) == [id]


def test_a_lost_folder_s_successor_takes_the_store_over_as_the_error_says(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:
        id = join(database, folder(tmp_path / "one"), NOW)
        two = folder(tmp_path / "two")
        with pytest.raises(LoopError, match=f"write {id} into {two / ID}"):
            join(database, two, NOW)
        (two / ID).write_text(id)
        assert join(database, two, NOW) == id


def test_of_two_folders_that_come_first_at_once_one_gets_the_store(url: str, tmp_path: Path) -> None:
    folders = [folder(tmp_path / str(number)) for number in range(6)]

    def attempt(one: Path) -> str | None:
        with Database(url) as opened:
            try:
                return join(opened, one, NOW)
            except LoopError:
                return None

    with Database(url) as database, ThreadPoolExecutor(6) as threads:
        got = [id for id in threads.map(attempt, folders) if id]
        assert owners(database) == got


def test_of_two_processes_that_begin_a_folder_at_once_both_get_the_same_id(url: str, tmp_path: Path) -> None:
    one = folder(tmp_path / "one")

    def attempt(_: int) -> str:
        with Database(url) as opened:
            return join(opened, one, NOW)

    with Database(url), ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(attempt, range(6)))) == 1


@pytest.mark.parametrize("text", ["", "me", "\xe4" * 8])
def test_a_damaged_id_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / ID).write_text(text)
    with (
        Database(f"sqlite:///{tmp_path}/store.sqlite") as database,
        pytest.raises(LoopError, match="holds no loop's id"),
    ):
        join(database, tmp_path, NOW)
