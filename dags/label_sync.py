"""## What people said in Label Studio, soon after they said it

Runs when the receiver of Label Studio's webhooks posts an event to `label_events`, and every quarter of an hour, since
such events get lost:

1. **label** fetches what people have said, and admits what they agree on;
2. **pages** fetches what they have said of pages behind a misbehaviour, and notes what they agree on;
3. where there are new corrections, `corrections` wakes **retrain**.
"""

import sys
from pathlib import Path
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable, dag, task

sys.path.append(str(Path(__file__).parent))  # as Airflow has it, but for a bare DagBag

from corpuscle_dags.assets import CORRECTIONS, LABEL_EVENTS
from corpuscle_dags.assets import announce as told
from corpuscle_dags.commands import Step, take
from corpuscle_dags.schedule import LOOP, defaults, every


@dag(
    schedule=AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(every(minutes=15)), assets=[LABEL_EVENTS]),
    catchup=False,
    max_active_runs=1,
    default_args=defaults(),
    doc_md=__doc__,
    tags=["corpuscle", "flywheel"],
)
def label_sync() -> None:
    @task(pool=LOOP)
    def label() -> list[Step]:
        return take("label", "--if-connected")

    @task(pool=LOOP)
    def pages() -> list[Step]:
        return take("pages")

    @task(outlets=[CORRECTIONS])
    def announce(steps: list[Step], *, outlet_events: Any = None) -> None:
        told(CORRECTIONS, [step for step in steps if step["name"] == "admit"], outlet_events)

    announce(label())
    pages()


label_sync()
