"""What `retrain` makes of a training that did not end well: the task's own function, and a program that tells of one.

That a real training is begun, gone on with and promoted is in test_dag_runs.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import Airflow

pytestmark = pytest.mark.slow

PROGRAM = """#!{python}
import json, os, sys
if sys.argv[2] == "train":
    print(os.environ["TRAIN"])
else:
    run = {{"run": "7d6f", "state": os.environ["STATE"], "note": "status 1: out of memory"}}
    print(json.dumps({{"ready": False}} | run))
"""

CODE = """
import json, retrain
train = retrain.retrain().task_dict["train"].python_callable
for state, said in json.loads(sys.argv[1]):
    os.environ |= {"STATE": state, "TRAIN": json.dumps(said)}
    try:
        found = ["done", train()]
    except Exception as error:
        found = [type(error).__name__, str(error)]
    print("FOUND" + json.dumps(found))
"""

TRAINED = {"name": "train", "said": "run 7d6f", "did": True}
NOTHING = {"name": "", "said": "nothing is to be trained", "did": False}


@pytest.fixture(scope="module")
def found(airflow: Airflow, tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What the task made of a run that is trained, that another process trains, that failed; and of none."""
    program = tmp_path_factory.mktemp("program") / "corpuscle"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    cases = json.dumps([["trained", TRAINED], ["training", TRAINED], ["failed", TRAINED], ["failed", NOTHING]])
    said = airflow.python(CODE, cases, CORPUSCLE=str(program))
    return [json.loads(line.removeprefix("FOUND")) for line in said.splitlines() if line.startswith("FOUND")]


def test_a_trained_run_is_passed_on(found: list[list[Any]]) -> None:
    assert found[0] == ["done", [TRAINED]]


def test_a_run_that_another_process_trains_is_looked_at_again(found: list[list[Any]]) -> None:
    assert found[1] == ["AirflowException", "another process trains run 7d6f; the next try looks again"]


def test_a_failed_run_fails_the_task_and_is_not_tried_again_at_once(found: list[list[Any]]) -> None:
    assert found[2] == ["AirflowFailException", "run 7d6f failed: status 1: out of memory"]


def test_a_run_that_failed_long_ago_fails_nothing(found: list[list[Any]]) -> None:
    assert found[3] == ["done", [NOTHING]]


def test_a_reason_that_a_person_gives_is_handed_on_as_it_is(
    airflow: Airflow, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = tmp_path_factory.mktemp("program") / "corpuscle"
    program.write_text(f"#!{sys.executable}\nimport json, sys\nprint('ASKED' + json.dumps(sys.argv[1:4]))\n")
    program.chmod(0o755)
    code = """
import logging, retrain
logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout, force=True)
decide = retrain.retrain().task_dict["decide"].python_callable
for reason in (None, "  ", "--json; a release is due"):
    decide(params={"reason": reason})
"""
    said = airflow.python(code, CORPUSCLE=str(program))
    asked = [json.loads(line.removeprefix("ASKED")) for line in said.splitlines() if line.startswith("ASKED")]
    assert asked[:2] == [["flywheel", "decide", "--folder"]] * 2
    assert asked[2] == ["flywheel", "decide", "--now=--json; a release is due"]


def test_the_dag_file_is_beside_its_helpers() -> None:
    folder = Path(__file__).parents[2] / "dags"
    assert (folder / ".airflowignore").read_text() == "corpuscle_dags/\n", "or helpers are DAG files"
