"""A command as a task, in Airflow's own environment; the program is a small one that says what it was asked."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import Airflow

pytestmark = pytest.mark.slow

PROGRAM = """#!{python}
import json, os, sys
words = sys.argv[1:]
if "fail" in words:
    sys.exit("error: flywheel.yaml:3: no")
if "usage" in words:
    print("Usage: corpuscle", file=sys.stderr)
    sys.exit(2)
print("a line of progress")
print(json.dumps({{"name": "gate", "said": "run 1 passed: see /loop/verdicts/1/verdict.html", "did": True}}))
print(json.dumps({{"name": "asked", "said": " ".join(words), "did": False}}))
print(json.dumps({{"name": "secrets", "said": str([n for n in os.environ if "AIRFLOW" in n]), "did": False}}))
"""

CODE = """
import json, logging
logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout, force=True)
from corpuscle_dags import commands
for words in json.loads(sys.argv[1]):
    try:
        found = commands.take(*words)
    except Exception as error:
        found = [type(error).__name__, str(error)]
    print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "corpuscle"
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(0o755)
    return path


def taken(said: str) -> list[Any]:
    return [json.loads(line.removeprefix("FOUND")) for line in said.splitlines() if line.startswith("FOUND")]


def test_steps_are_read_and_told_and_failures_say_whether_to_try_again(airflow: Airflow, program: Path) -> None:
    asked = json.dumps([["gate"], ["fail"], ["usage"]])
    database = {"CORPUSCLE_AIRFLOW_POSTGRES": "postgresql://me:secret@host/flow", "_AIRFLOW_X": "another"}
    said = airflow.python(CODE, asked, CORPUSCLE=str(program), CORPUSCLE_LOOP="/a loop", **database)
    steps, failed, misused = taken(said)
    assert [step["name"] for step in steps] == ["gate", "asked", "secrets"]
    assert steps[1]["said"] == "flywheel gate --folder /a loop --json"
    assert steps[2]["said"] == "[]", "the command got Airflow's settings"
    assert "a line of progress" in said
    assert "gate: run 1 passed: see /loop/verdicts/1/verdict.html" in said
    assert "page: file:///loop/verdicts/1/verdict.html" in said
    assert failed == ["AirflowException", "error: flywheel.yaml:3: no\n(exit status 1)"]
    assert misused == ["AirflowFailException", "settings or options are wrong: Usage: corpuscle\n(exit status 2)"]


def test_a_missing_program_or_loop_is_not_tried_again(airflow: Airflow) -> None:
    missing = taken(airflow.python(CODE, '[["gate"]]', CORPUSCLE="/no/such/program"))[0]
    assert missing[0] == "AirflowFailException"
    assert "/no/such/program can't be started" in missing[1]
    nowhere = taken(airflow.python(CODE, '[["gate"]]', CORPUSCLE_LOOP=""))[0]
    assert nowhere == [
        "AirflowFailException",
        "CORPUSCLE_LOOP is not set; it names the folder that has flywheel.yaml.",
    ]
