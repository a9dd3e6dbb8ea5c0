"""## How good the current checkpoint is

Every night at 3:00 (UTC):

1. **evaluate** asks it all held-out cases, the general questions, and the red team's attacks, and notes the rates;
2. **collect** takes what failed as misbehaviours, which wakes **retrain**;
3. **trace** searches the corpus for the pages that taught it what is new, asks people about them, and notes what they
   have said; it is skipped where `flywheel.yaml` names no corpus under `trace`;
4. **status** writes `status.html` in the loop's folder: the loop as a picture, with rates over time, whatever became of
   the others.

*evaluate* needs the one slot of the pool `training`, so it waits for a training, and a training for it.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task
from airflow.sdk.exceptions import AirflowSkipException

sys.path.append(str(Path(__file__).parent))  # as Airflow has it, but for a bare DagBag

from corpuscle_dags.assets import MISBEHAVIOURS
from corpuscle_dags.assets import announce as told
from corpuscle_dags.commands import Step, ask, corpuscle, link, loop, take
from corpuscle_dags.schedule import LOOP, TRAINING, defaults


@dag(
    schedule=CronTriggerTimetable("0 3 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=defaults(),
    doc_md=__doc__,
    tags=["corpuscle", "flywheel"],
)
def nightly_evaluation() -> None:
    @task(pool=TRAINING, execution_timeout=timedelta(hours=6))
    def evaluate() -> list[Step]:
        return take("evaluate")

    @task(pool=LOOP)
    def collect() -> list[Step]:
        return take("collect")

    @task(execution_timeout=timedelta(hours=6))
    def trace() -> list[Step]:
        if not ask("settings")["trace"]["corpus"]:
            raise AirflowSkipException("flywheel.yaml names no corpus under trace: nothing to search")
        return take("trace", "--new")

    @task
    def status() -> str:
        page = loop() / "status.html"
        corpuscle("flywheel", "status", "--folder", str(loop()), "--output", str(page))
        link(page)
        return str(page)

    @task(outlets=[MISBEHAVIOURS])
    def announce(steps: list[Step], *, outlet_events: Any = None) -> None:
        told(MISBEHAVIOURS, steps, outlet_events)

    evaluated, collected = evaluate(), collect()
    # A teardown comes whatever failed, and the run is red all the same; "all_done" would make it green.
    evaluated >> collected >> trace() >> status().as_teardown()
    announce(collected)


nightly_evaluation()
