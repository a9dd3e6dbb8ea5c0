"""A loop's Airflow as three child processes: started, known to be ours, ended with the tasks that they run.

The API server shows the pages and hears the tasks, the scheduler runs them, the DAG processor reads the DAG files.
There is no triggerer, since no DAG waits in one. Airflow 3.3 on an idle core answers after some 20 seconds.
"""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from flywheel.airflow.api import Api, ApiError, Dag, WrongPasswordError
from flywheel.airflow.command import migrate
from flywheel.airflow.home import Home
from flywheel.airflow.install import install
from flywheel.airflow.settings import POOLS, variables
from labeling.processes import HOST, ServerError, claim, end, last_words, refuse_busy_port, say_who, start

Say = Callable[[str], None]

START_TIMEOUT = 600.0
"""Seconds until a start is given up."""
NEWS = 15.0
"""Seconds between two words on a start that takes long."""
SETTLED = 3.0
"""Seconds without a new DAG after which all files have been read."""
READ_TIMEOUT = 120.0
FREE_TIMEOUT = 30.0
"""Seconds for which a port is waited for after its server has ended."""

API_SERVER, DAG_PROCESSOR, SCHEDULER = "api-server", "dag-processor", "scheduler"


class Airflow:
    """Airflow on 127.0.0.1 for a loop; a context manager.

    When the block begins it answers and has read its DAGs; when it ends, everything is stopped and the port is free.
    `say` hears what takes long. Raises ServerError, InstallError, OSError, ValueError.
    """

    def __init__(self, home: Home, say: Say = print) -> None:
        self.home = home
        self.say = say
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Airflow":
        program = install(self.say)
        self.home.make()
        self._lock = claim(self.home.path / "airflow.lock")
        try:
            refuse_busy_port(self.home.port)
            told = variables(self.home)
            self.say("making Airflow's database ready")
            migrate(self.home, self.say)
            self._run(program, API_SERVER, "--host", HOST, "--port", str(self.home.port), "--workers", "1", told=told)
            say_who(self._lock, self._processes[API_SERVER].pid, self.home.url)
            self._run(program, DAG_PROCESSOR, told=told)
            self.api = Api(self.home.url, self.home.password())
            self._await(self._answers)
            self._await_dags()
            for pool, slots in POOLS.items():
                self.api.make_pool(pool, slots)
            # Last: a task that it begins while nobody answers has failed (seen: "Connection refused").
            self._run(program, SCHEDULER, "--skip-serve-logs", told=told)
            self._await(lambda: self.api.healthy("scheduler"))
        except ApiError as error:
            self.stop()
            raise ServerError(f"Airflow did not start: {error}; see {self.log('api-server')}.") from None
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def log(self, part: str) -> Path:
        """What a part says."""
        return self.home.path / f"{part}.log"

    def check(self, what: str = "ended by itself") -> None:
        """Raises ServerError where a part has ended."""
        for part, process in self._processes.items():
            if process.poll() is not None:
                raise ServerError(f"Airflow's {part} {what} ({last_words(self.log(part))}); see {self.log(part)}.")

    def stop(self) -> None:
        """Ends all parts with the tasks at work, which the next start begins again; then folder and port are free."""
        for part in (SCHEDULER, DAG_PROCESSOR, API_SERVER):  # last the one that hears how tasks ended
            if part in self._processes:
                end(self._processes[part])
        if self._processes:
            until = time.monotonic() + FREE_TIMEOUT
            while time.monotonic() < until:
                with suppress(ServerError):
                    refuse_busy_port(self.home.port)
                    break
                time.sleep(0.1)
        with suppress(OSError):
            os.close(self._lock)
        self._lock = -1  # the number may soon be another file's

    def _run(self, program: Path, part: str, *options: str, told: Mapping[str, str]) -> None:
        command = [str(program), part, *options]
        # The corpora and checkpoints that tasks make are for whom the caller's umask says; our folder is private.
        self._processes[part] = start(command, self.log(part), told, self.home.path, self._lock, umask=-1)

    def _await(self, true: Callable[[], bool]) -> None:
        began = told = time.monotonic()
        while not true():
            self.check("did not start")
            now = time.monotonic()
            if now - began > START_TIMEOUT:
                raise ServerError(f"Airflow did not answer within {START_TIMEOUT:.0f} s; see {self.home.path}/*.log.")
            if now - told > NEWS:
                self.say(f"  Airflow is starting ({now - began:.0f} s)")
                told = now
            time.sleep(0.5)

    def _answers(self) -> bool:
        if not self.api.healthy("metadatabase", "dag_processor"):
            return False
        try:
            self.api.log_in()
        except WrongPasswordError:
            raise ServerError(
                f"{self.home.url}: a server answers that does not know the login of {self.home.login_file}: another "
                "program took the port; name another --port."
            ) from None
        return True

    def _await_dags(self) -> None:
        """New files are read one after the other; what can't be read is told."""
        began = changed = time.monotonic()
        known: list[Dag] = []
        while not known or time.monotonic() < changed + SETTLED:
            self.check("did not start")
            if time.monotonic() > began + READ_TIMEOUT:
                break
            found = self.api.dags()
            if len(found) != len(known):
                known, changed = found, time.monotonic()
            time.sleep(0.5)
        for fault in self.api.import_errors():
            self.say(f"warning: a DAG file can't be used: {fault}")
