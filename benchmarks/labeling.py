"""How fast samples go into Label Studio and labels come back, on a real server of its own. A table and JSON.

python -m benchmarks.labeling [--tasks 100000] [--labels 2] [--postgres URL] [--json OUT]

Pushed are comparisons with some hundred characters an answer. The labels are imported with their tasks, since one by
one over the API they take 30 ms each; what is pulled is the same.
"""

import argparse
import json
import os
import resource
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from labeling.client import Client
from labeling.create import create
from labeling.folder import Folder
from labeling.kinds.comparisons import Comparisons
from labeling.kinds.kind import Json, Sample, sample_id
from labeling.pull import pull
from labeling.push import push
from labeling.server.process import Server
from labeling.store.database import Database
from labeling.store.labels import Project, StoredSample, get_project, read_samples, update_project
from labeling.store.sending import set_tasks
from labeling.tasks import TASKS, make_task

KIND = Comparisons()
NAME = "pairs"
CHANGED = 100
"""Tasks with a new label before the last pull."""


@dataclass(frozen=True)
class Row:
    """One step; `seconds` by the clock, `cpu` of this process, without the server's."""

    step: str
    tasks: int
    seconds: float
    cpu: float
    per_second: float
    peak_mb: float
    """Of this process so far."""


def samples(count: int) -> Iterator[Sample]:
    words = ["water", "runs", "down", "the", "hill", "and", "turns", "a", "mill", "that", "grinds", "our", "corn"]
    draws = np.random.default_rng(1)
    for number in range(count):
        answers = [" ".join(draws.choice(words, 80)) for _ in range(2)]
        content = KIND.content({"prompt": f"Tell story number {number}.", "answers": answers})
        yield Sample(sample_id(KIND.name, content), content)


def label(database: Database, client: Client, labels: int) -> None:
    """Imports all samples once more, with labels, into a second Label Studio project that takes the first's place."""
    update_project(database, NAME, remote_id=client.create_project("labelled", KIND.config(), overlap=3))
    project = get_project(database, NAME)
    with database.read() as session:
        stored = list(read_samples(session, NAME))
    for start in track(range(0, len(stored), TASKS), "importing labels"):
        chunk = stored[start : start + TASKS]
        ids = client.import_tasks(project.remote_id, [labelled(project, one, labels) for one in chunk])
        set_tasks(database, NAME, {one.id: id for one, id in zip(chunk, ids, strict=True)})


def labelled(project: Project, sample: StoredSample, labels: int) -> Json:
    verdict = {"choice": "ab"[sample.id < "8"], "margin": 1.0}
    result = KIND.result(verdict, sample.content, sample.order)
    return make_task(project, KIND, sample) | {"annotations": [{"result": result, "lead_time": 20.0}] * labels}


def timed(step: str, tasks: int, work: Callable[[], object]) -> Row:
    began, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Row(step, tasks, seconds, used, tasks / seconds, peak)


def measure(folder: Folder, tasks: int, labels: int) -> list[Row]:
    with folder.database() as database, folder.client() as client:
        create(database, client, KIND.name, NAME)
        rows = [timed("push", tasks, lambda: push(database, client, NAME, samples(tasks)))]
        rows.append(timed("push, all known", tasks, lambda: push(database, client, NAME, samples(tasks))))
        label(database, client, labels)
        rows.append(timed(f"pull, {labels} labels each", tasks, lambda: pull(database, client, NAME)))
        with database.read() as session:
            changed = [one.task_id for one in islice(read_samples(session, NAME), CHANGED) if one.task_id]
        for task in changed:
            client.annotate(task, [], was_cancelled=True)
        rows.append(timed(f"pull, {CHANGED} changed", len(changed), lambda: pull(database, client, NAME)))
        rows.append(timed("pull, full", tasks, lambda: pull(database, client, NAME, full=True)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=2, help="labels of each task that is pulled")
    parser.add_argument("--postgres", help="a database for Label Studio; by default it keeps its own in SQLite")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    given = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as path, Server(Folder(Path(path)), port, given.postgres) as server:
        rows = measure(server.folder, given.tasks, given.labels)
    table = Table("step", "tasks", "seconds", "our CPU seconds", "tasks a second", "our peak MB")
    for row in rows:
        table.add_row(
            row.step,
            f"{row.tasks:,}",
            f"{row.seconds:.1f}",
            f"{row.cpu:.1f}",
            f"{row.per_second:,.0f}",
            f"{row.peak_mb:,.0f}",
        )
    Console().print(table)
    told = json.dumps({"cores": os.cpu_count(), "rows": [asdict(row) for row in rows]})
    print(told)
    if given.json:
        given.json.write_text(told + "\n")


if __name__ == "__main__":
    main()
