"""What Airflow's processes are told, and what they are not."""

import os
from pathlib import Path

import pytest

import flywheel
from flywheel.airflow.home import Home
from flywheel.airflow.settings import SQLITE_TIMEOUT, dags_folder, program, variables


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "loop", port=8123)
    made.make()
    return made


def test_there_is_a_password_and_nothing_goes_out(home: Home) -> None:
    told = variables(home)
    assert told["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    assert told["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == str(home.login_file)
    assert told["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert told["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert told["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8123/execution/"


def test_the_password_itself_is_in_its_file_alone(home: Home) -> None:
    assert home.password() not in " ".join(variables(home).values())


def test_dags_know_the_program_and_the_loop(home: Home) -> None:
    told = variables(home)
    assert told["CORPUSCLE_LOOP"] == str(home.loop)
    assert Path(told["CORPUSCLE"]) == program()
    assert os.access(program(), os.X_OK)


def test_no_example_is_shown_and_no_dag_waits_for_a_switch(home: Home) -> None:
    told = variables(home)
    assert told["AIRFLOW__CORE__LOAD_EXAMPLES"] == told["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"


def test_a_killed_task_begins_again_within_minutes_and_a_slow_write_is_no_death(home: Home) -> None:
    told = variables(home)
    assert int(told["AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL"]) <= 60
    silence = int(told["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"])
    assert 3 * SQLITE_TIMEOUT < silence < 300


def test_the_dags_are_those_beside_the_package() -> None:
    assert dags_folder() == Path(flywheel.__path__[0]).with_name("dags")
    assert (dags_folder() / "retrain.py").exists()


def test_what_the_commands_need_is_handed_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSCLE_EVERY_MINUTES", "3")
    assert variables(home)["CORPUSCLE_EVERY_MINUTES"] == "3"


@pytest.mark.parametrize(
    "name", ["AIRFLOW__CORE__EXECUTOR", "AIRFLOW_CONFIG", "CORPUSCLE_AIRFLOW_POSTGRES", "PYTHONPATH"]
)
def test_what_would_change_airflow_or_is_a_secret_is_not(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "another's")
    assert "another's" not in variables(home).values()


def test_no_proxy_stands_between_its_parts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", ".example.org")
    told = variables(home)
    assert told["HTTP_PROXY"] == "http://proxy.example:3128"
    assert told["no_proxy"] == told["NO_PROXY"] == ".example.org,127.0.0.1,localhost"


def test_data_are_in_the_loops_folder(home: Home) -> None:
    assert (
        variables(home)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{home.loop}/airflow/airflow.db?timeout=30"
    )


def test_or_in_postgresql_for_both_kinds_of_connection(home: Home) -> None:
    home.postgres = "postgresql://me:p%40ss@host:5433/flow?sslmode=require"
    told = variables(home)
    url = "postgresql+psycopg://me:p%40ss@host:5433/flow?sslmode=require"
    assert told["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == told["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] == url


def test_another_databases_url_is_refused_without_its_password(home: Home) -> None:
    home.postgres = "mysql://me:secret@host/flow"
    with pytest.raises(ValueError, match="expected postgresql://") as told:
        variables(home)
    assert "secret" not in str(told.value)
