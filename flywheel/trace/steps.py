"""Which steps of a pre-training read a page: the order of its windows follows from the seed, so it can be told.

The order is a permutation that is made window by window (`trainer.data.permute`); here it is gone backwards.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flywheel.tables import TracedPage
from pipeline.tokenize.reader import ShardSet
from trainer.data import ROUNDS, Windows, key, mix


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


@dataclass(frozen=True)
class Training:
    """A pre-training, with the shards that it reads."""

    run: Path
    shards: ShardSet
    windows: Windows
    rows: int
    steps: int

    def reading(self, shard: str, start: int, stop: int) -> Reading:
        """The steps that read any of the shard's tokens start .. stop - 1. ValueError where there is no such shard."""
        names = [one.name for one in self.shards.shards]
        if shard not in names:
            raise ValueError(f"{self.shards.manifest.parent} has no shard {shard}.")
        before, length, count = int(self.shards.starts[names.index(shard)]), self.windows.seq_len, self.windows.count
        first, last = (before + start) // length, (before + stop - 1) // length
        windows = np.arange(first, min(last + 1, count), dtype=np.uint64)
        read: set[int] = set()
        for epoch in range(-(-self.steps * self.rows // max(1, count))):
            positions = epoch * count + places(windows, count, key(self.windows.seed, epoch)).astype(np.int64)
            read.update((positions[positions < self.steps * self.rows] // self.rows + 1).tolist())
        return Reading(self.run, tuple(sorted(read)), self.steps)


def page_reading(page: TracedPage, run: Path) -> Reading:
    """When a training read a traced page. Raises as `steps_that_read`."""
    return steps_that_read(run, Path(page.corpus), page.place["shard"], page.place["start"], page.place["stop"])


def steps_that_read(run: Path, corpus: Path, shard: str, start: int, stop: int) -> Reading:
    """The steps of the pre-training in `run` that read any of the shard's tokens start .. stop - 1.

    Raises as `training` and `Training.reading`.
    """
    return training(run, corpus).reading(shard, start, stop)


def training(run: Path, corpus: Path) -> Training:
    """The pre-training in a folder.

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
    return Training(run, shards, Windows(shards, length, seed), rows, steps)


def places(windows: NDArray[np.uint64], size: int, secret: int) -> NDArray[np.uint64]:
    """Where in an epoch's order each window < size stands: the inverse of `trainer.data.permute`."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    shift, mask = np.uint64(half), np.uint64(2**half - 1)
    keys = [np.uint64(key(secret, number)) for number in reversed(range(ROUNDS))]
    result = np.asarray(windows, np.uint64).copy()
    outside = np.ones(result.shape, bool)
    while outside.any():
        left, right = result[outside] >> shift, result[outside] & mask
        for round_key in keys:
            left, right = right ^ (mix(left ^ round_key) & mask), left
        result[outside] = left << shift | right
        outside = result >= size
    return result
