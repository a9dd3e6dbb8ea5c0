"""What is older than a month goes, from a real Airflow's database and from its logs; what is younger stays."""

import os
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flywheel.airflow.clean import KEPT, STAMP, clean, due, remove_old
from flywheel.airflow.home import Home

NOW = datetime.now(UTC)
OLD, YOUNG = NOW - KEPT - timedelta(hours=1), NOW - KEPT + timedelta(hours=1)


def written(path: Path, at: datetime) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("said")
    for one in (path, path.parent):
        os.utime(one, (at.timestamp(), at.timestamp()))
    return path


def test_logs_go_by_their_age_and_a_run_that_is_empty_then_with_them(tmp_path: Path) -> None:
    old = written(tmp_path / "dag_id=retrain/run_id=1/attempt=1.log", OLD)
    young = written(tmp_path / "dag_id=retrain/run_id=2/attempt=1.log", YOUNG)
    repeated = written(tmp_path / "dag_id=retrain/run_id=3/attempt=2.log", YOUNG)
    first = written(tmp_path / "dag_id=retrain/run_id=3/attempt=1.log", OLD)
    remove_old(tmp_path, NOW - KEPT)
    assert not old.parent.exists()
    assert not first.exists()
    assert young.exists()
    assert repeated.exists()


def test_a_folder_that_was_just_made_stays_though_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "run_id=4").mkdir()
    remove_old(tmp_path, NOW - KEPT)
    assert (tmp_path / "run_id=4").exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    there = written(tmp_path / "elsewhere/kept.log", OLD)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/latest").symlink_to(there.parent)
    remove_old(tmp_path / "logs", NOW - KEPT)
    assert there.exists()


def test_it_is_due_once_a_day_and_at_the_first_start(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    assert due(home)
    (home.path / STAMP).touch()
    assert not due(home)
    for hours in (25, -25):  # the clock may have been set back
        at = time.time() - hours * 3600
        os.utime(home.path / STAMP, (at, at))
        assert due(home)


RUN = """INSERT INTO dag_run (dag_id, run_id, run_type, run_after, start_date, state, log_template_id, clear_number,
created_dag_version_id, span_status) VALUES (?, ?, 'scheduled', ?, ?, 'success', 1, 0, NULL, 'ended')"""


@pytest.mark.slow
def test_rows_go_by_their_age_and_the_last_run_of_each_dag_and_the_dags_stay(loop: Path) -> None:
    """A DAG's last run says when the next is due; and a DAG that was not read for a month would take all its runs."""
    home = Home(loop)
    home.make()
    before, after = OLD.isoformat(" "), YOUNG.isoformat(" ")
    with sqlite3.connect(home.database_file) as connection:
        connection.execute("INSERT INTO dag_bundle (name) VALUES ('dags-folder')")
        for dag in ("retrain", "corpus_refresh"):
            columns = [row for row in connection.execute("PRAGMA table_info(dag)") if row[3] and row[4] is None]
            values = {name: 1 if "BOOL" in kind or "INT" in kind else "[]" for _, name, kind, *_ in columns}
            values |= {"dag_id": dag, "bundle_name": "dags-folder", "last_parsed_time": before}
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO dag ({', '.join(values)}) VALUES ({marks})", list(values.values()))
        for dag, run, at in (
            ("retrain", "old", before),
            ("retrain", "young", after),
            ("corpus_refresh", "last", before),
        ):
            connection.execute(RUN, (dag, run, at, at))
        connection.execute("INSERT INTO log (dttm, event) VALUES (?, 'old'), (?, 'young')", (before, after))
    connection.close()
    assert clean(home) == ""
    with sqlite3.connect(home.database_file) as connection:
        runs = connection.execute("SELECT run_id FROM dag_run ORDER BY run_id").fetchall()
        events = connection.execute("SELECT event FROM log WHERE event IN ('old', 'young')").fetchall()
        dags = connection.execute("SELECT count(*) FROM dag").fetchone()
        archives = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '_airflow_deleted%'").fetchall()
    connection.close()
    assert runs == [("last",), ("young",)]
    assert events == [("young",)]
    assert dags == (2,)
    assert archives == []


@pytest.mark.slow
def test_a_database_that_can_not_be_cleaned_is_told(loop: Path) -> None:
    home = Home(loop)
    home.make()
    home.database_file.write_bytes(b"this is no database" * 1000)
    assert clean(home).startswith("Airflow's old rows could not be deleted: ")
