"""A hint on its way from Label Studio to Airflow."""

import threading
from pathlib import Path

import httpx
import pytest

from flywheel.airflow.api import Api
from flywheel.airflow.home import Home
from flywheel.airflow.process import Airflow
from flywheel.airflow.watch import ASSET, hand_on, watch
from flywheel.airflow.webhooks import Webhooks
from labeling.folder import Folder
from labeling.processes import ServerError
from labeling.webhook import ACTIONS, HEADER, Receiver
from tests.flywheel.airflow.programs import until
from tests.labeling.conftest import free_port

SECRET = "a secret of a test"


def test_a_hint_while_airflow_is_away_is_told_and_lost() -> None:
    told: list[str] = []
    with Api(f"http://127.0.0.1:{free_port()}", "a password") as api:
        hand_on(api, told.append)
    assert len(told) == 1
    assert told[0].startswith("a hint of Label Studio was lost, so the new labels come at the next interval: http://")


@pytest.mark.slow
def test_hints_that_come_together_are_one_event_and_a_run(loop: Path) -> None:
    """(A few, on a machine so busy that they come slowly.) And when Airflow ends, so does the watch."""
    home, told = Home(loop, free_port()), list[str]()
    ended: list[str] = []
    labels = Folder(loop / "labels")
    with Airflow(home) as airflow, labels.database() as database, Receiver(SECRET) as receiver:
        webhooks = Webhooks(labels, database, (), receiver, SECRET, told.append)

        def watching() -> None:
            try:
                watch(airflow, webhooks, receiver, told.append)
            except ServerError as error:
                ended.append(str(error))

        thread = threading.Thread(target=watching, daemon=True)
        thread.start()

        def events() -> int:
            [asset] = [
                one
                for one in airflow.api.ask("GET", f"/api/v2/assets?name_pattern={ASSET}")["assets"]
                if one["name"] == ASSET
            ]
            return int(airflow.api.ask("GET", f"/api/v2/assets/events?asset_id={asset['id']}")["total_entries"])

        before = events()
        for _ in range(20):
            said = httpx.post(receiver.url, headers={HEADER: SECRET}, json={"action": ACTIONS[0]})
            assert said.status_code == 204
        until(lambda: events() > before, "an event of the asset")

        def triggered() -> bool:
            runs = airflow.api.ask("GET", "/api/v2/dags/label_sync/dagRuns")["dag_runs"]
            return any(run["run_type"] == "asset_triggered" for run in runs)

        until(triggered, "a run of label_sync")
        assert events() < before + 20
        assert told == []
        airflow.stop()
        thread.join(30)
    assert len(ended) == 1
