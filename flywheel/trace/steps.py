"""Which steps of a pre-training read a page: the order of its windows follows from the seed, so it can be told."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flywheel.tables import TracedPage
from pipeline.tokenize.reader import ShardSet
from trainer.data import Windows

BLOCK = 1 << 20
"""Windows whose order is computed together."""


@dataclass(frozen=True)
class Reading:
    """When a page was read: `steps` count from 1, as in a training's log, of `of` that the training takes."""

    run: Path
    steps: tuple[int, ...]
    of: int

    @property
    def says(self) -> str:
        if not self.steps:
            return f"not read in the {self.of:,} steps of {self.run}"
        some = ", ".join(f"{step:,}" for step in self.steps[:8]) + (", ..." if len(self.steps) > 8 else "")
        return f"read in {len(self.steps):,} of the {self.of:,} steps of {self.run}: {some}"


def page_reading(page: TracedPage, run: Path) -> Reading:
    """When a training read a traced page. Raises as `steps_that_read`."""
    return steps_that_read(run, Path(page.corpus), page.place["shard"], page.place["start"], page.place["stop"])


def steps_that_read(run: Path, corpus: Path, shard: str, start: int, stop: int) -> Reading:
    """The steps of the pre-training in `run` that read any of the shard's tokens start .. stop - 1.

    Raises FileNotFoundError where there is no such training or corpus, ValueError where the training read another one.
    """
    shards = ShardSet(corpus)
    try:
        made = json.loads((run / "run.json").read_text("utf-8"))
        settings, plan = made["settings"], made["plan"]
        length, seed, digest = int(settings["seq_len"]), int(settings["seed"]), settings["corpus_sha256"]
        rows, steps = int(plan["rows"]), int(plan["steps"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{run} is no pre-training: its run.json lacks rows, steps, seq_len or the corpus.") from None
    if digest != hashlib.sha256(shards.manifest.read_bytes()).hexdigest():
        raise ValueError(f"{run} was trained on another corpus than {corpus}, or on an earlier state of it.")
    names = [one.name for one in shards.shards]
    if shard not in names:
        raise ValueError(f"{corpus} has no shard {shard}.")
    before = int(shards.starts[names.index(shard)])
    windows = Windows(shards, length, seed)
    first, last = (before + start) // length, (before + stop - 1) // length
    found: list[int] = []
    for position in range(0, steps * rows, BLOCK):
        order = windows.order(position, min(BLOCK, steps * rows - position))
        at = np.flatnonzero((order >= first) & (order <= last))
        found += ((at + position) // rows + 1).tolist()
    return Reading(run, tuple(sorted(set(found))), steps)
