"""## A better checkpoint, where there is reason for one

Runs when `misbehaviours` or `corrections` says that something is new, and every hour, since such events get lost:

1. **decide** says whether to train, and why, from what the store has; the rule is in `flywheel.yaml`, under `decide`;
   *Trigger* it with a **reason** to train whatever is new at once;
2. **anything_to_do** ends the run here where nothing was decided and no training is to be gone on with: what follows is
   skipped;
3. **train** fine-tunes the current checkpoint; one that was killed goes on where it was;
4. **gate** judges it by cases that no training has seen; its log names the page with the verdict;
5. **promote** lets people talk to it if it passed, and finishes a promotion that was stopped;
6. **announce** says so to `checkpoint`.

*train* and *gate* need the one slot of the pool `training`. A training that failed is not repeated at once: the next
decision does, after the time to cool down.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

sys.path.append(str(Path(__file__).parent))  # as Airflow has it, but for a bare DagBag

from corpuscle_dags.assets import CHECKPOINT, CORRECTIONS, MISBEHAVIOURS
from corpuscle_dags.assets import announce as told
from corpuscle_dags.commands import Step, ask, take
from corpuscle_dags.schedule import LOOP, TRAINING, defaults, every


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=DeltaTriggerTimetable(every(minutes=60)), assets=MISBEHAVIOURS | CORRECTIONS
    ),
    catchup=False,
    max_active_runs=1,
    default_args=defaults(),
    params={
        "reason": Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Reason",
            description="Why to train now, whatever the rules say; it is kept. Empty: they decide.",
        ),
    },
    doc_md=__doc__,
    tags=["corpuscle", "flywheel"],
)
def retrain() -> None:
    @task(pool=LOOP)
    def decide(*, params: Any = None) -> list[Step]:
        reason = (params["reason"] or "").strip()
        return take("decide", *([f"--now={reason}"] if reason else []))

    # What is directly behind it is skipped, and so on down to `promote`, which looks for itself.
    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def anything_to_do() -> bool:
        return bool(ask("work")["ready"])

    @task(pool=TRAINING, max_active_tis_per_dag=1, execution_timeout=timedelta(hours=24))
    def train() -> list[Step]:
        steps = take("train")
        if any(step["name"] == "train" for step in steps):
            run = ask("work")
            if run["state"] == "training":
                raise AirflowException(f"another process trains run {run['run']}; the next try looks again")
            if run["state"] == "failed":
                raise AirflowFailException(f"run {run['run']} failed: {run['note']}")
        return steps

    @task(pool=TRAINING, max_active_tis_per_dag=1, execution_timeout=timedelta(hours=6))
    def gate() -> list[Step]:
        return take("gate")

    @task(pool=LOOP, trigger_rule="none_failed")
    def promote() -> list[Step]:
        return take("promote")

    @task(outlets=[CHECKPOINT])
    def announce(steps: list[Step], *, outlet_events: Any = None) -> None:
        told(CHECKPOINT, steps, outlet_events)

    promoted = promote()
    # The training itself stands behind the short circuit: `anything_to_do() >> gate(train())` would not stop it.
    decide() >> anything_to_do() >> train() >> gate() >> promoted
    announce(promoted)


retrain()
