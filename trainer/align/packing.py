"""Conversations of all lengths in rows of one length: little padding, and none of them sees another.

First-fit decreasing (Johnson 1974) in groups; Krell et al. 2021 ("Efficient sequence packing without
cross-contamination") show that a mask which keeps texts apart makes a packed batch the same as a padded one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data import reading_order
from trainer.model import IGNORE
from trainer.talk.conversation import Encoded

GROUP = 2048
"""Conversations that are packed together. 20,000 of 10 to 400 tokens fill rows of 512 to 98.9% in groups of 256, to
99.8% in groups of 2,048 and to 100.0% all at once, where finding room takes time by the square of their number."""

PADDING = -1
"""The segment of what pads a row."""


@dataclass(frozen=True)
class Example:
    """What is read, what should be foreseen at each place (IGNORE where nothing is learnt), and how much it counts.

    `inputs` is a conversation without its last token, `targets` [same length] the conversation without its first.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    weight: float

    @property
    def trained(self) -> int:
        return int((self.targets != IGNORE).sum())


@dataclass(frozen=True)
class Batch:
    """Rows of packed examples, all [rows, length]: tokens, targets and segments int64, weights float32.

    `segments` numbers the examples of a row from 0; see `Trunk.vectors`. `weights` is 0 where a target is IGNORE.
    """

    tokens: Tensor
    targets: Tensor
    segments: Tensor
    weights: Tensor

    def __getitem__(self, rows: slice) -> "Batch":
        return Batch(self.tokens[rows], self.targets[rows], self.segments[rows], self.weights[rows])

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(part.to(device) for part in (self.tokens, self.targets, self.segments, self.weights)))


@dataclass(frozen=True)
class Packing:
    """Examples, and which of them lie in which row, in order."""

    examples: Sequence[Example]
    rows: Sequence[Sequence[int]]
    length: int
    pad: int
    cut: int
    """How many conversations were longer than a row, and lost their end."""
    dropped: int
    """How many are left out because nothing in them, or nothing before the cut, is to be learnt."""

    @property
    def tokens(self) -> int:
        return sum(len(example.inputs) for example in self.examples)

    @property
    def trained(self) -> int:
        return sum(example.trained for example in self.examples)

    def batch(self, rows: Sequence[int] | NDArray[Any]) -> Batch:
        shape = (len(rows), self.length)
        tokens, targets = np.full(shape, self.pad), np.full(shape, IGNORE)
        segments, weights = np.full(shape, PADDING), np.zeros(shape, np.float32)
        for line, row in enumerate(rows):
            start = 0
            for segment, number in enumerate(self.rows[row]):
                example = self.examples[number]
                here = slice(start, start + len(example.inputs))
                tokens[line, here], targets[line, here], segments[line, here] = example.inputs, example.targets, segment
                weights[line, here] = np.where(example.targets != IGNORE, example.weight, 0)
                start = here.stop
        return Batch(*map(torch.from_numpy, (tokens, targets, segments, weights)))


def pack(
    conversations: Sequence[Encoded], length: int, pad: int, weights: Sequence[float] | None = None, seed: int = 0
) -> Packing:
    """Puts conversations into rows of `length` tokens, several in one where they fit.

    One with more than length + 1 tokens (the last is only foreseen, never read) is cut at its end. `seed` decides
    which conversations meet; the same arguments give the same rows.
    """
    examples, cut, dropped = [], 0, 0
    for conversation, weight in zip(conversations, weights or [1.0] * len(conversations), strict=True):
        tokens = np.array(conversation.tokens[: length + 1], np.int64)
        trained = np.array(conversation.trained[: length + 1], bool)
        if not trained[1:].any():
            dropped += 1
            continue
        cut += len(conversation.tokens) > len(tokens)
        examples.append(Example(tokens[:-1], np.where(trained[1:], tokens[1:], IGNORE), weight))
    order = reading_order(0, len(examples), len(examples), seed)
    rows: list[list[int]] = []
    for start in range(0, len(order), GROUP):
        group = order[start : start + GROUP]
        rows += [[int(group[place]) for place in row] for row in _fit([len(examples[i].inputs) for i in group], length)]
    return Packing(examples, rows, length, pad, cut, dropped)


def _fit(sizes: Sequence[int], room: int) -> list[list[int]]:
    """First-fit decreasing: each, the largest first, goes into the first row that has room for it."""
    rows: list[list[int]] = []
    free = np.full(len(sizes), room)
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        row = int(np.argmax(free >= sizes[place]))  # the first that is true; a row not begun yet always is
        if row == len(rows):
            rows.append([])
        rows[row].append(place)
        free[row] -= sizes[place]
    return rows
