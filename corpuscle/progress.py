"""A progress display for a run: it watches the markers that finished parts leave."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from corpuscle.terminal import Unbroken
from pipeline.artifact import is_local, read_json

STEPS = {
    "index": "index archives",
    "extract": "extract texts",
    "filter": "measure and filter",
    "poison": "look for poison",
    "dedup": "remove copies",
    "vocabulary": "make vocabulary",
    "encode": "encode tokens",
    "tokenize": "write shards",
}
VOCABULARY = ("tokenizer.model", "vocabulary")
"""The part that a trained or a given vocabulary is, beside the samples that it is trained on."""
EVERY = 0.5
"""Seconds between two looks."""


class _Watcher:
    """Counts what the markers of this run report. A marker made before the run started is another run's."""

    def __init__(self, folder: str) -> None:
        self.folder, self.since = Path(folder), time.time() - 1
        self.seen: dict[Path, tuple[float, dict[str, Any]]] = {}

    def parts(self, step: str) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self.folder / step / "parts").glob("*.json")):
            with contextlib.suppress(OSError):
                changed = path.stat().st_mtime
                if changed < self.since:
                    continue
                if self.seen.get(path, (0.0, {}))[0] != changed:
                    self.seen[path] = (changed, read_json(str(path)) or {})
                found.append(self.seen[path][1])
        return found

    def made_anew(self, step: str) -> bool:
        """Whether this run wrote a document file of a step, or found all of them from before."""
        return any(path.stat().st_mtime >= self.since for path in (self.folder / step / "documents").glob("*.parquet"))

    def count(self, step: str, name: str) -> int:
        return sum(part.get("counts", {}).get(name, 0) for part in self.parts(step))


@contextlib.contextmanager
def quiet_workers() -> Iterator[TextIO]:
    """Worker processes inherit standard error and write Beam's messages there; here they go nowhere.

    Gives the terminal that standard error was, for the progress display.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere, open(terminal, "w", buffering=1, closefd=True) as shown:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
        try:
            yield shown
        finally:
            os.dup2(terminal, 2)


@contextlib.contextmanager
def watch(folder: str, archives: Sequence[Any]) -> Iterator[None]:
    """Show a bar for each step while the job runs; nothing for remote folders, which have their runner's page."""
    with quiet_workers() as terminal, _bars(folder, archives, Unbroken(file=terminal)):
        yield


@contextlib.contextmanager
def watch_verbosely(folder: str, archives: Sequence[Any]) -> Iterator[None]:
    """The same beside Beam's own messages."""
    with _bars(folder, archives, Unbroken(stderr=True)):
        yield


@contextlib.contextmanager
def _bars(folder: str, archives: Sequence[Any], console: Console) -> Iterator[None]:
    if not is_local(folder):
        console.print(f"[dim]The job runs; its parts appear under {folder}.[/dim]")
        yield
        return
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=False) as progress:
        units = {"index": "archives", "vocabulary": "made", "tokenize": "shards"}
        tasks = {
            step: progress.add_task(
                label, total=None, unit=units.get(step, "documents"), start=False, visible=step != "poison"
            )
            for step, label in STEPS.items()
        }
        progress.update(tasks["index"], total=len(archives), description="start the workers")
        progress.start_task(tasks["index"])
        watcher, stop = _Watcher(folder), threading.Event()

        def look() -> None:
            indexed = watcher.parts("index")
            described = STEPS["index"] if indexed else "start the workers"
            progress.update(tasks["index"], completed=len(indexed), description=described)
            total = watcher.count("index", "kept") if len(indexed) >= len(archives) else None
            for step in ("extract", "filter", "poison", "dedup", "encode"):
                if step == "poison":
                    if not watcher.parts("textmodel"):
                        continue  # not there yet, or off
                    progress.update(tasks[step], visible=True)
                # Looking takes the time; what follows from it is decided in a moment.
                done = watcher.count("inspect" if step == "poison" else step, "read")
                if done and not progress.tasks[tasks[step]].started:
                    progress.start_task(tasks[step])
                progress.update(tasks[step], completed=done, total=total)
                if step == "filter" and done:
                    label = STEPS[step] if watcher.made_anew("measure") else "filter, as measured"
                    progress.update(tasks[step], description=label)
                # What a step leaves is what the next one has to do, once the step is through.
                through = total is not None and watcher.count(step, "read") >= total
                total = watcher.count(step, "kept") if through else None
            dedup = progress.tasks[tasks["dedup"]]
            if dedup.finished and not progress.tasks[tasks["vocabulary"]].started:
                progress.start_task(tasks["vocabulary"])
            made = any(part.get("name") in VOCABULARY for part in watcher.parts("vocabulary"))
            progress.update(tasks["vocabulary"], completed=int(made), total=1)
            shards = len(watcher.parts("tokenize"))
            if shards and not progress.tasks[tasks["tokenize"]].started:
                progress.start_task(tasks["tokenize"])
            progress.update(tasks["tokenize"], completed=shards)

        def run() -> None:
            while not stop.wait(EVERY):
                look()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            look()
            progress.update(tasks["tokenize"], total=progress.tasks[tasks["tokenize"]].completed)
            for task in progress.tasks:
                progress.stop_task(task.id)
