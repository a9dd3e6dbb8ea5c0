"""The DAGs as Airflow reads them: how they hang together, and what holds for each task. Nothing is run."""

import json
from typing import Any

import pytest

from tests.dags.conftest import Airflow

pytestmark = pytest.mark.slow

DESCRIBE = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
def assets(condition):
    if condition is None:
        return []
    inside = getattr(condition, "objects", None)
    return [condition.name] if inside is None else sorted(name for one in inside for name in assets(one))
found = {
    "errors": bag.import_errors,
    "dags": {
        dag.dag_id: {
            "catchup": dag.catchup,
            "runs": dag.max_active_runs,
            "doc": dag.doc_md or "",
            "wakes": assets(getattr(dag.timetable, "asset_condition", None)),
            "every": str(getattr(getattr(dag.timetable, "timetable", dag.timetable), "delta", "")),
            "tasks": {
                task.task_id: {
                    "pool": task.pool,
                    "retries": task.retries,
                    "timeout": task.execution_timeout and task.execution_timeout.total_seconds(),
                    "alerts": bool(task.on_failure_callback),
                    "behind": sorted(task.get_flat_relative_ids(upstream=False)),
                    "outlets": [asset.name for asset in task.outlets],
                    "rule": str(task.trigger_rule),
                    "teardown": task.is_teardown,
                    "at_once": task.max_active_tis_per_dag,
                }
                for task in dag.tasks
            },
        }
        for dag in bag.dags.values()
    },
}
print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def described(airflow: Airflow) -> dict[str, Any]:
    return read(airflow)


def read(airflow: Airflow, **more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(airflow.python(DESCRIBE, **more).rpartition("FOUND")[2])
    return found


@pytest.fixture(scope="module")
def dags(described: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = described["dags"]
    return found


def tasks(dags: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{dag}.{name}", task) for dag, about in dags.items() for name, task in about["tasks"].items()]


def test_all_are_imported_without_an_error(described: dict[str, Any]) -> None:
    assert described["errors"] == {}
    assert sorted(described["dags"]) == [
        "corpus_refresh",
        "label_sync",
        "misbehaviour_watch",
        "nightly_evaluation",
        "retrain",
    ]


def test_no_dag_catches_up_or_meets_itself(dags: dict[str, Any]) -> None:
    assert {(about["catchup"], about["runs"]) for about in dags.values()} == {(False, 1)}


def test_each_task_is_tried_again_ends_some_time_and_tells_of_its_failure(dags: dict[str, Any]) -> None:
    assert {
        name: task for name, task in tasks(dags) if not (task["retries"] and task["timeout"] and task["alerts"])
    } == {}


def test_two_trainings_never_meet(dags: dict[str, Any]) -> None:
    pools = {name: task["pool"] for name, task in tasks(dags) if task["pool"] == "training"}
    assert set(pools) == {"retrain.train", "retrain.gate", "nightly_evaluation.evaluate"}


def test_steps_that_several_dags_take_go_one_after_the_other(dags: dict[str, Any]) -> None:
    together = {name for name, task in tasks(dags) if name.endswith((".collect", ".label", ".canary", ".promote"))}
    assert {task["pool"] for name, task in tasks(dags) if name in together} == {"loop"}
    assert len(together) == 6


def test_training_itself_is_behind_the_short_circuit(dags: dict[str, Any]) -> None:
    found = dags["retrain"]["tasks"]
    assert found["anything_to_do"]["behind"] == ["announce", "gate", "promote", "train"]
    assert found["train"]["rule"] == found["gate"]["rule"] == "TriggerRule.ALL_SUCCESS"
    assert "anything_to_do" in found["decide"]["behind"]


def test_the_status_comes_whatever_failed_and_does_not_make_a_run_green(dags: dict[str, Any]) -> None:
    """A teardown runs when all before it have ended, and does not count for the state of the run."""
    found = dags["nightly_evaluation"]["tasks"]
    assert found["trace"]["behind"] == ["status"]
    assert found["status"]["rule"] == "TriggerRule.ALL_DONE_SETUP_SUCCESS"
    assert [name for name, task in tasks(dags) if task["teardown"]] == ["nightly_evaluation.status"]


def test_a_backfill_makes_one_corpus_at_a_time(dags: dict[str, Any]) -> None:
    """A back-fill has ten runs at once, whatever the DAG says; two indexes would both set `corpora/current`."""
    assert {name for name, task in dags["corpus_refresh"]["tasks"].items() if task["at_once"] == 1} == {"run", "index"}


def test_what_people_say_of_pages_is_fetched_with_their_labels(dags: dict[str, Any]) -> None:
    assert dags["label_sync"]["tasks"]["pages"]["pool"] == "loop"


def test_retrain_is_woken_and_looks_from_time_to_time(dags: dict[str, Any]) -> None:
    assert dags["retrain"]["wakes"] == ["corrections", "misbehaviours"]
    assert dags["label_sync"]["wakes"] == ["label_events"]
    assert (dags["retrain"]["every"], dags["label_sync"]["every"]) == ("1:00:00", "0:15:00")
    assert dags["misbehaviour_watch"]["every"] == "0:05:00"


def test_who_wakes_whom(dags: dict[str, Any]) -> None:
    assert {name: task["outlets"] for name, task in tasks(dags) if task["outlets"]} == {
        "misbehaviour_watch.announce_misbehaviours": ["misbehaviours"],
        "misbehaviour_watch.announce_corrections": ["corrections"],
        "misbehaviour_watch.canary": ["checkpoint"],
        "label_sync.announce": ["corrections"],
        "retrain.announce": ["checkpoint"],
        "nightly_evaluation.announce": ["misbehaviours"],
        "corpus_refresh.announce": ["corpus"],
    }


def test_each_dag_says_what_it_does_task_by_task(dags: dict[str, Any]) -> None:
    for about in dags.values():
        assert about["doc"].startswith("## ")
        told = [name for name in about["tasks"] if f"**{name}**" in about["doc"]]
        assert set(about["tasks"]) - set(told) <= {"announce", "announce_misbehaviours", "announce_corrections"}


def test_intervals_follow_the_variable_and_a_bad_one_is_an_import_error(airflow: Airflow) -> None:
    assert read(airflow, CORPUSCLE_EVERY_MINUTES="0.25")["dags"]["retrain"]["every"] == "0:00:15"
    found = read(airflow, CORPUSCLE_EVERY_MINUTES="0")
    assert found["dags"] == {}
    assert all("CORPUSCLE_EVERY_MINUTES is 0; expected" in error for error in found["errors"].values())
