"""The Airflow that `corpuscle airflow up` runs: a real one, started, looked at and ended. Each start takes 30 s."""

import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from flywheel.airflow.api import Api, ApiError, WrongPasswordError
from flywheel.airflow.clean import due
from flywheel.airflow.home import Home
from flywheel.airflow.process import Airflow
from labeling.processes import ServerError, refuse_busy_port
from tests.flywheel.airflow.conftest import make_loop
from tests.flywheel.airflow.programs import Program, belonging, listens, until
from tests.labeling.conftest import free_port, plain

pytestmark = pytest.mark.slow

DAGS = ["corpus_refresh", "label_sync", "misbehaviour_watch", "nightly_evaluation", "retrain"]


@dataclass(frozen=True)
class Up:
    home: Home
    program: Program

    def part(self, name: str) -> int:
        """The process that is this part of Airflow, the others' parent or leader."""
        found = [process for process in belonging(self.home.loop) if os.getsid(process) == process]
        named = [one for one in found if name in Path(f"/proc/{one}/cmdline").read_text().replace("_", "-")]
        assert len(named) == 1, named
        return named[0]


def start(loop: Path) -> Up:
    home = Home(loop, free_port())
    program = Program("airflow", "up", "--folder", str(loop), "--port", str(home.port))
    program.read_until("Ctrl-C")
    return Up(home, program)


@pytest.fixture
def up(loop: Path) -> Iterator[Up]:
    """For tests that end it."""
    running = start(loop)
    yield running
    running.program.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def kept(made_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """For tests that only look at it."""
    running = start(make_loop(tmp_path_factory.mktemp("kept") / "loop", made_database))
    yield running
    running.program.end(signal.SIGTERM)


def test_all_dags_are_there_and_none_waits_for_a_switch(kept: Up) -> None:
    with Api(kept.home.url, kept.home.password()) as api:
        dags = api.dags()
        assert [dag.id for dag in dags] == DAGS
        assert not any(dag.paused for dag in dags)
        assert api.import_errors() == []
        pools = {pool["name"]: pool["slots"] for pool in api.ask("GET", "/api/v2/pools")["pools"]}
        assert (pools["training"], pools["loop"]) == (1, 1)
    assert re.search(r"retrain: (next at 20\d\d-|runs at once)", kept.program.output)  # its first run is due by now


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v2/assets/events"),
        ("POST", "/api/v2/dags/retrain/dagRuns"),
        ("PATCH", "/api/v2/dags/retrain"),
        ("GET", "/api/v2/dags"),
        ("GET", "/api/v2/config"),
    ],
)
def test_nobody_does_or_sees_anything_without_the_password(kept: Up, method: str, path: str) -> None:
    assert httpx.request(method, kept.home.url + path, json={}).status_code == 401


def test_a_wrong_password_is_refused(kept: Up) -> None:
    with Api(kept.home.url, "admin") as api, pytest.raises(WrongPasswordError):
        api.log_in()


def test_an_asset_that_no_dag_names_is_told(kept: Up) -> None:
    with Api(kept.home.url, kept.home.password()) as api, pytest.raises(ApiError, match="knows no asset label_event:"):
        api.asset_event("label_event", {})


def test_it_can_be_reached_from_this_machine_alone(kept: Up) -> None:
    """None of its processes listens anywhere else."""
    sockets = set()
    for process in belonging(kept.home.loop):
        with suppress(OSError):  # it may have ended by now
            for handle in Path(f"/proc/{process}/fd").iterdir():
                with suppress(OSError):  # it may be closed by now
                    sockets.add(str(handle.readlink()))
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.add(fields[1])
    assert listening == {f"0100007F:{kept.home.port:04X}"}


def test_its_folder_is_its_owners_and_what_tasks_make_as_we_say(kept: Up) -> None:
    assert stat.S_IMODE(kept.home.path.stat().st_mode) == 0o700
    for name in ("login.json", "secrets.json", "airflow.db", "api-server.log"):
        assert stat.S_IMODE((kept.home.path / name).stat().st_mode) == 0o600, name
    ours = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Umask:")]
    assert ours[0] in Path(f"/proc/{kept.part('scheduler')}/status").read_text().splitlines()


def test_what_is_old_is_removed_at_the_start(kept: Up) -> None:
    until(lambda: not due(kept.home), "a cleaning")


def test_a_backfill_has_a_run_for_each_month_between_its_dates(kept: Up) -> None:
    """What a run makes of its month is in tests/dags; this loop has no crawl."""
    with Api(kept.home.url, kept.home.password()) as api:

        def months() -> dict[str, str]:
            runs = api.ask("GET", "/api/v2/dags/corpus_refresh/dagRuns?limit=100")["dag_runs"]
            return {run["data_interval_start"][:7]: run["state"] for run in runs if run["run_type"] == "backfill"}

        dates = {"from_date": "2025-12-15T00:00:00Z", "to_date": "2026-02-15T00:00:00Z"}
        api.ask("POST", "/api/v2/backfills", {"dag_id": "corpus_refresh", **dates})
        until(lambda: months() == {"2026-01": "success", "2026-02": "success"}, "the runs of January and February")


def test_the_password_is_told_to_nobody(kept: Up) -> None:
    said = kept.program.output + "".join(path.read_text() for path in kept.home.path.glob("*.log"))
    assert str(kept.home.login_file) in kept.program.output
    assert kept.home.password() not in said
    assert not any(secret in " ".join(belonging(kept.home.loop).values()) for secret in secrets(kept.home))


def secrets(home: Home) -> list[str]:
    return [home.password(), home.secrets().jwt, home.secrets().fernet, home.secrets().session]


def test_a_second_start_on_the_loop_is_refused(kept: Up) -> None:
    words = ("airflow", "up", "--folder", str(kept.home.loop), "--port", str(free_port()))
    again = Program(*words)
    assert again.ended() == 1
    assert "error: " in again.output
    assert "a server runs on this folder already" in again.output
    assert kept.home.url in again.output
    assert "Traceback" not in again.output


def test_a_busy_port_is_refused_before_anything_starts(loop: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ServerError, match=r"port \d+ of 127.0.0.1 can't be had .*--port"):
            Airflow(Home(loop, other.getsockname()[1])).__enter__()
    assert not list((loop / "airflow").glob("*.log"))


def test_a_database_that_is_none_is_told(loop: Path) -> None:
    home = Home(loop, free_port())
    home.database_file.write_bytes(b"this is no database" * 1000)
    with pytest.raises(ServerError, match=r"database can't be made ready \(.*not a database.*airflow\.db"):
        Airflow(home).__enter__()
    assert not belonging(loop)


def test_ctrl_c_ends_all_of_it_and_frees_the_port(up: Up) -> None:
    assert {name: up.part(name) > 0 for name in ("api-server", "scheduler", "dag-processor")}
    assert up.program.end(signal.SIGINT) == 0
    assert up.program.output.endswith("stopped\n")
    assert belonging(up.home.loop) == {}
    assert not listens(up.home.port)
    refuse_busy_port(up.home.port)


def test_a_part_that_dies_is_told_and_ends_the_others(up: Up) -> None:
    os.kill(up.part("scheduler"), signal.SIGKILL)
    assert up.program.ended() == 1
    assert "error: Airflow's scheduler ended by itself" in up.program.output
    assert "scheduler.log" in up.program.output
    assert "Traceback" not in up.program.output
    assert belonging(up.home.loop) == {}


def test_a_loop_whose_airflow_outlived_its_parent_is_not_taken_until_that_is_gone(up: Up) -> None:
    up.program.process.kill()
    up.program.ended()
    leaders = [up.part(name) for name in ("api-server", "scheduler", "dag-processor")]
    try:
        with pytest.raises(ServerError, match=f"already .process {leaders[0]}"):
            Airflow(Home(up.home.loop, free_port())).__enter__()
    finally:
        for process in leaders:
            os.killpg(process, signal.SIGKILL)
    until(lambda: not belonging(up.home.loop), "the end of what was killed")
    with Airflow(Home(up.home.loop, free_port())) as again:
        assert [dag.id for dag in again.api.dags()] == DAGS


def test_a_team_keeps_its_data_in_postgresql(postgresql: str, tmp_path: Path) -> None:
    """From an empty database, so this makes all tables."""
    home = Home(tmp_path / "loop", free_port(), plain(postgresql))
    with Airflow(home) as airflow:
        assert [dag.id for dag in airflow.api.dags()] == DAGS
    assert not home.database_file.exists()
    with psycopg.connect(plain(postgresql)) as connection:
        row = connection.execute("SELECT count(*) FROM dag").fetchone()
    assert row == (len(DAGS),)
