"""## What went wrong with the model, and who is asked about it

Every few minutes:

1. **collect** takes what people and the red team reported, failed evaluations and what the monitors suspect, and sorts
   it into clusters;
2. **label** sends what is new to people in Label Studio, and fetches what they have said;
3. **canary** looks at a canary, whatever became of the others: one that people report too often ends, and one whose
   hours are over takes over;
4. where something is new, `misbehaviours` or `corrections` wakes **retrain**.

A skipped *announce* means that there was nothing new, a skipped *canary* that people talk to the same as before. While
Label Studio is away, *label* fails and is tried again; *collect* goes on. Where none was ever connected, nobody is
asked. The settings are in `flywheel.yaml`, under `collect`, `label` and `promote`.
"""

import sys
from pathlib import Path
from typing import Any

from airflow.sdk import DeltaTriggerTimetable, dag, task

sys.path.append(str(Path(__file__).parent))  # as Airflow has it, but for a bare DagBag

from corpuscle_dags.assets import CHECKPOINT, CORRECTIONS, MISBEHAVIOURS, announce
from corpuscle_dags.commands import Step, take
from corpuscle_dags.schedule import LOOP, defaults, every


@dag(
    schedule=DeltaTriggerTimetable(every(minutes=5)),
    catchup=False,
    max_active_runs=1,
    default_args=defaults(),
    doc_md=__doc__,
    tags=["corpuscle", "flywheel"],
)
def misbehaviour_watch() -> None:
    @task(pool=LOOP)
    def collect() -> list[Step]:
        return take("collect")

    @task(pool=LOOP)
    def label() -> list[Step]:
        return take("label", "--if-connected")

    # Not in `retrain` alone, where nothing is looked at behind a step that failed. It finishes a stopped promotion too.
    @task(pool=LOOP, outlets=[CHECKPOINT])
    def canary(*, outlet_events: Any = None) -> None:
        announce(CHECKPOINT, take("promote"), outlet_events)

    @task(outlets=[MISBEHAVIOURS])
    def announce_misbehaviours(steps: list[Step], *, outlet_events: Any = None) -> None:
        announce(MISBEHAVIOURS, steps, outlet_events)

    @task(outlets=[CORRECTIONS])
    def announce_corrections(steps: list[Step], *, outlet_events: Any = None) -> None:
        announce(CORRECTIONS, [step for step in steps if step["name"] == "admit"], outlet_events)

    collected, labelled = collect(), label()
    collected >> labelled
    announce_misbehaviours(collected)
    announce_corrections(labelled)
    canary()


misbehaviour_watch()
