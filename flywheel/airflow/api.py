"""The few questions that we put to Airflow's REST API (version 2, as Airflow 3.3 has it)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from flywheel.airflow.home import USER

TIMEOUT = 60.0
"""Seconds for an answer: longer than a write may wait."""
HEALTH = "/api/v2/monitor/health"


class ApiError(Exception):
    """Airflow did not answer as it should: what was asked, and what it said."""


class WrongPasswordError(ApiError):
    """The server that answers does not know our password."""


@dataclass(frozen=True)
class Dag:
    id: str
    paused: bool
    schedule: str
    """In Airflow's words; empty where it only runs when it is asked to."""
    next_run: datetime | None


class Api:
    """An Airflow server, as its administrator sees it. All calls but `healthy` raise ApiError."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self._password = password
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def healthy(self, *parts: str) -> bool:
        """Whether the server answers and says that these parts (such as "scheduler") are alive."""
        try:
            said = self._http.get(HEALTH).json()
            return all(said[part]["status"] == "healthy" for part in parts)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def log_in(self) -> None:
        """Raises WrongPasswordError, ApiError."""
        said = self._send("POST", "/auth/token", {"username": USER, "password": self._password})
        if said.status_code in (401, 403):
            raise WrongPasswordError(f"{self.url} refuses our password")
        self._http.headers["Authorization"] = f"Bearer {self._read(said)['access_token']}"

    def dags(self) -> list[Dag]:
        found = self.ask("GET", "/api/v2/dags?limit=100")["dags"]
        return [
            Dag(
                one["dag_id"],
                one["is_paused"],
                one["timetable_summary"] or "",
                datetime.fromisoformat(one["next_dagrun_run_after"]) if one["next_dagrun_run_after"] else None,
            )
            for one in sorted(found, key=lambda one: str(one["dag_id"]))
        ]

    def import_errors(self) -> list[str]:
        """What is wrong with DAG files, a line each."""
        found = self.ask("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{one['filename']}: {one['stack_trace'].strip().splitlines()[-1]}" for one in found]

    def make_pool(self, name: str, slots: int) -> None:
        """Leaves one that is there as it is: somebody may have changed it."""
        body = {"name": name, "slots": slots, "include_deferred": False}
        said = self._authorised("POST", "/api/v2/pools", body)
        if said.status_code != 409:
            self._read(said)

    def asset_event(self, name: str, extra: dict[str, Any]) -> None:
        """Tells the DAGs that wait for an asset of this name. Raises ApiError where no DAG knows one."""
        found = self.ask("GET", f"/api/v2/assets?name_pattern={name}")["assets"]
        ids = [one["id"] for one in found if one["name"] == name]
        if not ids:
            raise ApiError(f"{self.url} knows no asset {name}: no DAG that names it has been read yet")
        self.ask("POST", "/api/v2/assets/events", {"asset_id": ids[0], "extra": extra})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON."""
        return self._read(self._authorised(method, path, body))

    def _authorised(self, method: str, path: str, body: Any) -> httpx.Response:
        """Logs in first where that is needed; a token lasts a day."""
        if "Authorization" not in self._http.headers:
            self.log_in()
        said = self._send(method, path, body)
        if said.status_code == 401:
            self.log_in()
            said = self._send(method, path, body)
        return said

    def _send(self, method: str, path: str, body: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ApiError(f"{self.url} does not answer ({error})") from None

    def _read(self, said: httpx.Response) -> Any:
        if said.is_error:
            raise ApiError(f"{self.url}{said.request.url.path}: {said.status_code}, {said.text[:200]}")
        try:
            return said.json()
        except ValueError:
            raise ApiError(f"{self.url}{said.request.url.path}: no JSON in its answer") from None
