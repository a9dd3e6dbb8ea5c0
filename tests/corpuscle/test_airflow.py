"""What `corpuscle airflow up` says of each DAG."""

from datetime import UTC, datetime, timedelta

from corpuscle.airflow import told
from flywheel.airflow.api import Dag

LATER = datetime.now(UTC) + timedelta(days=3)


def test_a_dag_is_told_with_its_next_run() -> None:
    assert told(Dag("retrain", False, "hourly", LATER)) == f"retrain: next at {LATER:%Y-%m-%d %H:%M} UTC (hourly)"
    assert told(Dag("retrain", True, "hourly", LATER)) == "retrain: paused; its page has the switch"
    assert told(Dag("retrain", False, "", None)) == "retrain: when it is asked to"


def test_a_run_that_is_due_since_three_weeks_begins_at_once() -> None:
    due = datetime.now(UTC) - timedelta(weeks=3)
    assert told(Dag("corpus_refresh", False, "0 0 1 * *", due)) == "corpus_refresh: runs at once (0 0 1 * *)"
