"""Five planted misbehaviours, three rounds of the loop that mend them, and what the loop refuses. Tables and JSON.

    python -m benchmarks.flywheel --output OUT [--quick] [--json FILE]

A model of 0.4 million parameters is taught to misbehave in five ways. In each round what misbehaves is found, three
people correct it in a real Label Studio, and the loop trains, judges and promotes. Then it is given flipped labels, a
fine-tuning that breaks another cluster, and poisoned corrections. What is in --output already is not done again; a part
that was stopped goes on. On the processor alone; --quick is the same with less of everything.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainer

import argparse
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.flywheel import measure, refusals, tables
from benchmarks.flywheel.model import Assistant, make_model
from benchmarks.flywheel.people import Crowd, crowd
from benchmarks.flywheel.rounds import (
    BEGINNING,
    FINDING,
    FULL,
    QUICK,
    ROUND,
    Loop,
    Size,
    Watch,
    honest,
    open_loop,
    to_find,
    truth,
)
from benchmarks.flywheel.texts import HEALTHY, PLANTED, Question
from labeling.kinds.kind import Json
from labeling.store.database import Database
from trainer.checkpoint import find, write_whole
from trainer.pointer import read_pointer

ROUNDS = 3


def prove(output: Path, size: Size, people: Crowd, console: Console) -> Json:
    """All parts, each kept in `output` when it has ended."""
    parts = output / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    _same(output / "size.json", size)

    def part(name: str, make: Callable[[], Json]) -> Json:
        file, begun = parts / f"{name}.json", parts / f"{name}.begun"
        if not file.exists():
            again = begun.exists()
            begun.touch()
            watch = Watch()
            told = make()
            write_whole(file, json.dumps(told | asdict(watch.took()) | {"gone on with": again}, indent=1) + "\n")
        found: Json = json.loads(file.read_text("utf-8"))
        return found

    console.print("[bold]the model[/bold] is taught")
    begun = part("model", partial(taught, output, size))
    first, rounds = find(output / "model" / "taught"), []
    folder = output / "loop"
    folder.mkdir(exist_ok=True)
    watched: Json = {"traffic": ["traffic.jsonl"], "reference": "reference.jsonl"}
    with Database(f"sqlite:///{folder}/store.sqlite") as database:
        loop = open_loop(folder, database, first, size, people, console, collect=watched)
        for number in range(1, ROUNDS + 1):
            console.print(f"[bold]round {number}[/bold]")
            rounds.append(part(f"round-{number}", partial(take_round, loop, size, number)))
        mended = read_pointer(loop.config.current).folder
    refuse = refusals.Refusals(output / "refusals", size, people, console).run
    forgetful: Json = {"train": {"replay": 0}, "collect": {"evaluations": ["failed.jsonl"]}}
    acts: dict[str, Callable[[str], Json]] = {
        "flipped by one of two": partial(refuse, model=first, act=refusals.one_of_two),
        "flipped by both, with gold": partial(refuse, model=first, act=refusals.both_flip),
        "breaks another cluster": partial(refuse, model=mended, act=refusals.breaking(first), **forgetful),
        "poisoned": partial(refuse, model=first, act=refusals.poisoned, decide=refusals.NEVER),
        "a lie that all agree on": partial(refuse, model=first, act=refusals.all_lie),
    }
    refused = {name: part(name.replace(" ", "-").replace(",", ""), partial(act, name)) for name, act in acts.items()}
    versions = {"torch": torch.__version__, "python": sys.version.split()[0]}
    return {"size": asdict(size), "model": begun, "rounds": rounds, "refusals": refused, "versions": versions}


def taught(output: Path, size: Size) -> Json:
    made = Assistant(make_model(output / "model", size.demonstrations, size.taught_steps))
    return {"checkpoint": made.id, "unseen": measure.examine(made, [*PLANTED, *HEALTHY], size.unseen)}


def take_round(loop: Loop, size: Size, number: int) -> Json:
    """What misbehaves is found; a tick asks people; they answer; a tick trains, judges and promotes."""
    now = BEGINNING + number * ROUND
    asked = to_find(size, number)
    for how, several in asked.items():
        misbehave = FINDING[how](loop, several, now)
        loop.console.print(f"  {how}: {misbehave:,} of {len(several):,} answers misbehave")
    loop.ticks(now)
    said = loop.label(honest(known(size)))
    loop.console.print(f"  people: {said:,} labels")
    steps = loop.ticks(now + ROUND / 4)
    current = loop.current()
    return {
        "steps": {name: step.said for name, step in steps.items()},
        "labels": said,
        "checkpoint": current.id,
        "clusters": measure.clusters(loop, known(size)),
        "corrections": measure.corrections(loop),
        "admission": measure.admission(loop),
        "gate": measure.newest_verdict(loop),
        "unseen": measure.examine(current, [*PLANTED, *HEALTHY], size.unseen),
    }


def known(size: Size) -> dict[str, Question]:
    return truth([one for n in range(1, ROUNDS + 1) for several in to_find(size, n).values() for one in several])


def _same(file: Path, size: Size) -> None:
    """Raises SystemExit where the folder holds a benchmark of another size."""
    wanted = json.dumps(asdict(size))
    if file.exists() and file.read_text("utf-8") != wanted:
        sys.exit(f"{file.parent} holds a benchmark of another size; name another --output.")
    write_whole(file, wanted)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.flywheel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="model, loops and figures, kept")
    parser.add_argument("--quick", action="store_true", help="less of everything: 2 minutes and the server's start")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (%(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # of the trainings that the loop starts
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command goes on"))  # and the server ends, too
    console = Console()
    with crowd(given.output / "labels") as people:
        found = prove(given.output.absolute(), QUICK if given.quick else FULL, people, console)
    tables.show(found, console)
    told = json.dumps(found)
    print(told)
    if given.json:
        write_whole(given.json, told + "\n")


if __name__ == "__main__":
    main()
