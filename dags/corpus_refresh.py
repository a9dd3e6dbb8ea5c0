"""## A corpus from each new crawl

On the first of each month, for the month that is over; `flywheel.yaml` says of what, under `schedule`:

```yaml
schedule: {recipe: ../recipes/fineweb.yaml, crawl: "/crawls/{month}/*.warc.gz", corpora: corpora}
```

1. **month** finds out which month the run is about, and what is to be made;
2. **run** makes `corpora/2026-11` of its archives: extracted, filtered, without copies, tokenised;
3. **report** writes `report.html` there; its log names the page;
4. **index** makes the search index, and lets `corpora/current` be the newest corpus that is whole;
5. **announce** says so to `corpus`.

A month has one folder, so a repetition finds it done, and a stopped run goes on. To make older ones,
*Trigger* it with a **month**, or as a *Backfill* between two dates. Without `schedule` all is skipped.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

sys.path.append(str(Path(__file__).parent))  # as Airflow has it, but for a bare DagBag

from corpuscle_dags.assets import CORPUS
from corpuscle_dags.assets import announce as told
from corpuscle_dags.commands import Step, ask, corpuscle, link, log, take
from corpuscle_dags.schedule import defaults, month_of

Plan = dict[str, str]
"""The month, the recipe, the archives (a glob), and the corpus's folder."""


@dag(
    schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=defaults(),
    params={
        "month": Param(
            None,
            type=["null", "string"],
            pattern=r"^([0-9]{4}-(0[1-9]|1[0-2]))?$",
            title="Month",
            description="Such as 2026-11. Empty: the month of a scheduled run, or the last that is over.",
        ),
        "replace": Param(
            False,
            type="boolean",
            title="Replace",
            description="Make the month's corpus although it had archives that are gone now.",
        ),
    },
    doc_md=__doc__,
    tags=["corpuscle", "corpus"],
)
def corpus_refresh() -> None:
    @task
    def month(*, params: Any = None, dag_run: Any = None) -> Plan:
        found = month_of(params["month"], dag_run.data_interval_start, dag_run.run_after)
        settings = ask("settings")["schedule"]
        if not settings["recipe"] or not settings["crawl"]:
            raise AirflowSkipException(
                "flywheel.yaml names no recipe and crawl under schedule; there is nothing to make"
            )
        plan = {
            "month": found,
            "recipe": settings["recipe"],
            "archives": settings["crawl"].replace("{month}", found),
            "corpus": str(Path(settings["corpora"]) / found),
        }
        log.info("%s: %s of %s, by %s", *(plan[name] for name in ("month", "corpus", "archives", "recipe")))
        return plan

    # One at a time: a back-fill's runs are not held to the DAG's one, but are ten at once.
    @task(max_active_tis_per_dag=1, execution_timeout=timedelta(hours=48))
    def run(plan: Plan, *, params: Any = None) -> None:
        options = ["--no-report", *(["--replace"] if params["replace"] else [])]
        corpuscle("run", plan["recipe"], "--input", plan["archives"], "--output", plan["corpus"], *options)

    @task
    def report(plan: Plan) -> str:
        corpuscle("report", plan["corpus"])
        page = Path(plan["corpus"]) / "report.html"
        link(page)
        return str(page)

    @task(max_active_tis_per_dag=1, execution_timeout=timedelta(hours=6))
    def index(plan: Plan) -> list[Step]:
        return take("index", plan["month"])

    @task(outlets=[CORPUS])
    def announce(plan: Plan, steps: list[Step], *, outlet_events: Any = None) -> None:
        told(CORPUS, steps, outlet_events)
        outlet_events[CORPUS].extra |= {"month": plan["month"], "corpus": plan["corpus"]}

    plan = month()
    indexed = index(plan)
    run(plan) >> report(plan) >> indexed
    announce(plan, indexed)


corpus_refresh()
