"""A real Airflow: its own environment (installed where it is not yet), and one database for all tests."""

import json
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flywheel.airflow.command import migrate, run
from flywheel.airflow.home import Home
from flywheel.airflow.install import environment, install
from flywheel.airflow.settings import variables


@dataclass(frozen=True)
class Ran:
    """A run of a DAG: its tasks' states, and what it said."""

    states: dict[str, str]
    said: str


class Airflow:
    """Its command line, and what is in its database."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def test(self, dag: str, loop: Path, *words: str, **more: str) -> Ran:
        """`airflow dags test`: all tasks of one run, one after the other, without a scheduler."""
        before = {run for run, _ in self._runs(dag)}
        # A second try comes soon where there is one.
        settings = {"CORPUSCLE_LOOP": str(loop), "CORPUSCLE_EVERY_MINUTES": "0.02"} | more
        done = run(self.home, ["dags", "test", dag, *words], 1500, print, **settings)
        said = done.stdout + done.stderr
        new = [id for id, _ in self._runs(dag) if id not in before]
        assert len(new) == 1, said[-3000:]
        query = "SELECT task_id, state FROM task_instance WHERE dag_id = ? AND run_id = ?"
        return Ran(dict(self._read(query, dag, new[0])), said)

    def events(self, asset: str) -> list[dict[str, Any]]:
        """What the asset's events said, oldest first."""
        query = "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = ? ORDER BY e.id"
        return [json.loads(extra) for (extra,) in self._read(query, asset)]

    def python(self, code: str, *words: str, **more: str) -> str:
        """What a piece of Python says in Airflow's environment, with the DAG files' folder on the path."""
        settings = variables(self.home) | {"CORPUSCLE_LOOP": str(self.home.loop)} | more
        code = f"import os, sys; sys.path.append(os.environ['AIRFLOW__CORE__DAGS_FOLDER'])\n{code}"
        done = subprocess.run(
            [str(environment() / "bin" / "python"), "-c", code, *words],
            env=settings,
            cwd=self.home.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def state(self, dag: str) -> str:
        """How the DAG's newest run has ended."""
        query = "SELECT state FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 1"
        return str(self._read(query, dag)[0][0])

    def _runs(self, dag: str) -> list[tuple[str, str]]:
        return self._read("SELECT run_id, state FROM dag_run WHERE dag_id = ?", dag)

    def _read(self, query: str, *values: str) -> list[Any]:
        with sqlite3.connect(self.home.database_file) as connection:
            found = connection.execute(query, values).fetchall()
        connection.close()
        return found


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    install(print)
    with tempfile.TemporaryDirectory(prefix="airflow-") as folder:
        home = Home(Path(folder))
        home.make()
        migrate(home)
        yield Airflow(home)
