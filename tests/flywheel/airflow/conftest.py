"""Airflow's environment, installed once for all, and a database with its tables, which takes 10 s to make."""

import shutil
from pathlib import Path

import pytest

from flywheel.airflow.command import migrate
from flywheel.airflow.home import Home
from flywheel.airflow.install import install
from tests.labeling.conftest import postgresql, server  # noqa: F401  fixtures


@pytest.fixture(scope="session")
def airflow_program() -> Path:
    return install(print)


@pytest.fixture(scope="session")
def made_database(airflow_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("made") / "loop")
    home.make()
    migrate(home)
    return home.database_file


@pytest.fixture
def loop(made_database: Path, tmp_path: Path) -> Path:
    """A loop's folder, with settings and tables and nothing in them."""
    return make_loop(tmp_path / "loop", made_database)


def make_loop(folder: Path, database: Path) -> Path:
    home = Home(folder)
    home.path.mkdir(mode=0o700, parents=True)
    (folder / "flywheel.yaml").write_text("")
    shutil.copy(database, home.database_file)  # with its mode
    return folder
