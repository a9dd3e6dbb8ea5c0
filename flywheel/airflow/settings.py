"""The environment variables with which Airflow is started: on this machine alone, with a password, quiet.

Airflow takes each of its settings from AIRFLOW__SECTION__KEY. Secrets go this way too, since every user of a machine
can read command lines. The rest of our own environment is handed on, as it is what the loop's commands need.
"""

import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path

from flywheel.airflow.home import USER, Home
from labeling.processes import HOST, ServerError
from labeling.server.settings import parse_postgres

POOLS = {"training": 1, "loop": 1}
"""The DAGs' pools, and how many tasks each lets run at a time: two trainings never meet, nor two short steps."""

NOT_OURS = ("AIRFLOW", "_AIRFLOW", "CORPUSCLE_AIRFLOW", "PYTHON", "VIRTUAL_ENV")
"""Beginnings of the names of variables that are not handed on: they would change which code runs, or where.

CORPUSCLE_AIRFLOW_POSTGRES has a password, which Airflow gets in a variable of its own and the DAGs' commands need not.
"""

SQLITE_TIMEOUT = 30
"""Seconds for which a write waits for another's. With SQLite's own 5 a busy machine answered events with status 500."""

ORPHANS, SILENCE = 60, 120
"""Seconds after which tasks of a killed Airflow begin again under the next one, and after which a task that is silent
was killed. Airflow has 300 for both; a living task is heard every 5 seconds, and one write may wait SQLITE_TIMEOUT."""


def variables(home: Home) -> dict[str, str]:
    """All variables of Airflow's processes. Raises ServerError, OSError, ValueError for a database URL that is none."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    kept = home.secrets()
    settings = {
        "CORE__DAGS_FOLDER": str(dags_folder()),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",  # the steps exclude each other; each worker waits in 100 MB
        "CORE__EXECUTION_API_SERVER_URL": f"{home.url}/execution/",
        "CORE__FERNET_KEY": kept.fernet,
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.login_file),
        "API__BASE_URL": home.url,
        "API__HOST": HOST,
        "API__PORT": str(home.port),
        "API__SECRET_KEY": kept.session,
        "API__EXPOSE_CONFIG": "False",
        "API_AUTH__JWT_SECRET": kept.jwt,
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # the files are the package's, and do not change
        "LOGGING__BASE_LOG_FOLDER": str(home.path / "logs"),
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": str(ORPHANS),
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(SILENCE),
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    settings |= _database(home)
    # Tasks speak to the API server as the proxies' variables say.
    direct = ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST, "localhost")))
    ours = {"AIRFLOW_HOME": str(home.path), "CORPUSCLE": str(program()), "CORPUSCLE_LOOP": str(home.loop)}
    ours |= {"no_proxy": direct, "NO_PROXY": direct}
    return inherited | {f"AIRFLOW__{name}": value for name, value in settings.items()} | ours


def dags_folder() -> Path:
    """Where the DAG files are: the package `dags`, which lies beside the package `flywheel`. Raises ServerError."""
    found = Path(str(files("flywheel"))).absolute().with_name("dags")
    if not any(found.glob("*.py")):
        raise ServerError(f"{found}: the DAG files are missing; install corpuscle again, whole.")
    return found


def program() -> Path:
    """The `corpuscle` program, which the DAGs call. Raises ServerError."""
    beside = Path(sys.executable).with_name("corpuscle")
    found = beside if beside.exists() else shutil.which("corpuscle")
    if found is None:
        raise ServerError(f"{beside}: no such program, and none on the PATH; install corpuscle with pip.")
    return Path(found).absolute()


def _database(home: Home) -> dict[str, str]:
    if home.postgres is None:
        return {"DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.database_file}?timeout={SQLITE_TIMEOUT}"}
    url = parse_postgres(home.postgres).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    # Airflow would take asyncpg, which is not there; psycopg does both.
    return {"DATABASE__SQL_ALCHEMY_CONN": url, "DATABASE__SQL_ALCHEMY_CONN_ASYNC": url}
