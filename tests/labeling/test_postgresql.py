"""A team's store, on PostgreSQL: from a push to an export with a real Label Studio, the same as from SQLite's file."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpuscle.main import app
from labeling.client import Client
from labeling.folder import Connection, Folder
from labeling.kinds import KINDS
from labeling.kinds.kind import Json
from labeling.store.labels import Annotation, StoredSample, read_annotations, read_samples
from tests.labeling.conftest import LabelStudio
from tests.labeling.crowd import annotate, other

pytestmark = pytest.mark.slow

KIND = KINDS["comparisons"]
ASKED, PAGE, MISTAKES = 13, 5, 3
"""Comparisons, of which one is deleted; how many are sent and fetched at once; what the second person gets wrong."""

KILLED = f"""
import os, signal, sys
import labeling.pull, labeling.push
from corpuscle.main import main

labeling.push.TASKS = labeling.pull.PAGE = {PAGE}
module, name, *arguments = sys.argv[1:]
real, calls = getattr(sys.modules[module], name), 0

def dies(*given):
    global calls
    calls += 1
    if calls == 2:
        if name == "put_annotations":
            real(*given)
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given)

setattr(sys.modules[module], name, dies)
main(arguments)
"""
"""A command that is killed at its second page: when the tasks are sent and not noted; when the labels are written and
not committed."""


def label(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["label", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def killed(module: str, function: str, *arguments: str) -> None:
    command = [sys.executable, "-c", KILLED, module, function, "label", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def right(number: int) -> str:
    return "ab"[number % 2]


def row(number: int) -> Json:
    good, bad = f"{number + 1}. 👩\u200d🚀", "Nobody \0 knows \ud83d."
    prompt = [{"role": "user", "content": f"What is {number} and 1?"}]
    return {"prompt": prompt, "answers": [good, bad] if right(number) == "a" else [bad, good]}


def stored(here: Folder) -> tuple[list[StoredSample], list[Annotation]]:
    """Samples in the file's order, and what was said of them."""
    with here.database() as database, database.read() as session:
        samples = sorted(read_samples(session, KIND.name), key=lambda one: one.provenance["line"])
        return samples, list(read_annotations(session, KIND.name))


def effort(store: str, folder: Path, server: LabelStudio, people: list[Client]) -> Json:
    """Two people choose; the push and the pull are killed in the middle and repeated; then a task is deleted.

    What came of it, but for names and numbers that are drawn by lot.
    """
    here, at = Folder(folder, store), ("--folder", str(folder))
    here.save_connection(Connection(server.url, server.admin.token))
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row(number)) + "\n" for number in range(ASKED)))
    label("create", KIND.name, *at, "--store", store)  # from here on the folder knows its store

    killed("labeling.push", "set_tasks", "push", KIND.name, str(rows), *at)
    told = [label("push", KIND.name, str(rows), *at)]
    samples, _ = stored(here)
    for number, sample in enumerate(samples):
        best = right(number)
        for person, choice in zip(people, (best, other(best) if number < MISTAKES else best), strict=True):
            annotate(person, KIND, sample, {"choice": choice, "margin": 1 / 3})

    killed("labeling.pull", "put_annotations", "pull", *at)
    _, labels = stored(here)
    assert len(labels) == 2 * PAGE, "the first page is kept, and nothing of the second"
    told.append(label("pull", *at))
    with server.client() as admin:
        admin.delete_task(samples[-1].task_id or 0)
    told.append(label("pull", "--full", *at))

    label("quality", KIND.name, *at)
    label("export", KIND.name, str(folder / "data"), *at)
    number_of = {sample.id: number for number, sample in enumerate(samples)}
    samples, labels = stored(here)
    quality = json.loads((folder / f"{KIND.name}-quality.json").read_text())
    exported = [json.loads(line) for line in (folder / "data" / "comparisons.jsonl").read_text().splitlines()]
    learnt = ("sample_id", "prompt", "chosen", "rejected", "margin", "weight", "admission_reason")
    return {
        "told": told,
        "gone": [number for number, sample in enumerate(samples) if sample.deleted],
        "labels": sorted(
            (number_of[one.sample or ""], json.dumps(one.verdict), one.reason or "", one.seconds) for one in labels
        ),
        "quality": {name: quality[name] for name in ("labelled", "twice", "labels", "agreement", "grades", "funnel")},
        "exported": [{name: each[name] for name in learnt} for each in exported],
    }


def test_postgresql_keeps_what_sqlite_keeps_when_a_push_and_a_pull_are_killed(
    postgresql: str, label_studio: LabelStudio, people: list[Client], tmp_path: Path
) -> None:
    found = effort(postgresql, tmp_path / "team", label_studio, people[:2])
    assert not (tmp_path / "team" / "store.sqlite").exists()
    assert found == effort(f"sqlite:///{tmp_path}/alone.sqlite", tmp_path / "alone", label_studio, people[:2])

    pushed, pulled, compared = found["told"]
    assert pushed.splitlines()[::2] == [f"{ASKED - 2 * PAGE} sent", f"{PAGE} had arrived with an earlier push"]
    assert pulled == f"{KIND.name}: {2 * (ASKED - PAGE)} new, 0 changed, 0 deleted\n"
    assert compared.startswith(f"{KIND.name}: 0 new, 0 changed, 2 deleted\n")
    assert found["gone"] == [ASKED - 1]
    assert Counter(number for number, *_ in found["labels"]) == dict.fromkeys(range(ASKED), 2)
    assert len(found["exported"]) == ASKED - 1 - MISTAKES
    choice = found["quality"]["agreement"][0]
    assert choice["pairs"]["value"] == pytest.approx(1 - MISTAKES / (ASKED - 1))
    assert choice["alpha"]["value"] == pytest.approx(74 / 143)
