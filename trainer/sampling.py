"""How the next token is drawn: temperature, top-k, top-p, and a number that each token of each text has to itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer.data import key, mix


@dataclass(frozen=True)
class Sampling:
    """What a text of stream s has as its n-th token depends on (seed, s, n) and the text before it.

    And on rounding: the same row in another batch may get logits that differ in their last bits, and with them, seldom,
    another token (3 of 24 texts in float32 with a vocabulary of 8,192, 16 of 24 in bfloat16).
    """

    temperature: float = 0.8
    """Divides the logits; 0 takes the likeliest token."""
    top_k: int = 0
    """Only the k likeliest tokens; 0 for all."""
    top_p: float = 0.95
    """Only the likeliest tokens that together reach this probability (Holtzman et al. 2019); 1 for all."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}; it must be 0 or more.")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it must be at least 1, or 0 for all tokens.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be more than 0 and at most 1.")


COLDEST = 1e-4
"""Below this temperature the likeliest token is taken: logits divided by much less overflow, and say the same."""

DEFAULT = Sampling()
GREEDY = Sampling(temperature=0)


def draw(logits: Tensor, samplings: Sequence[Sampling], places: Sequence[tuple[int, int]]) -> Tensor:
    """The next token of each row, int64 [rows], from logits [rows, vocab]; `places` are (stream, n) of each row."""
    tokens = torch.empty(len(logits), dtype=torch.int64, device=logits.device)
    kinds: dict[tuple[float, int, float], list[int]] = {}
    for row, sampling in enumerate(samplings):
        kinds.setdefault((sampling.temperature, sampling.top_k, sampling.top_p), []).append(row)
    for (temperature, top_k, top_p), rows in kinds.items():
        some = logits if len(rows) == len(logits) else logits[rows]
        if temperature < COLDEST:
            tokens[rows] = some.argmax(-1)
            continue
        points = [uniform(samplings[row].seed, *places[row]) for row in rows]
        tokens[rows] = _draw(some, temperature, top_k, top_p, points)
    return tokens


def uniform(seed: int, stream: int, count: int) -> float:
    """The number in [0, 1) that belongs to a stream's token `count`."""
    bits = mix(np.array([key(seed, stream, count)], np.uint64)) >> np.uint64(11)
    return float(bits[0]) * 2.0**-53


def _draw(logits: Tensor, temperature: float, top_k: int, top_p: float, points: Sequence[float]) -> Tensor:
    """Inverts the running sum of the chances: the first token whose sum passes the point."""
    if not top_k and top_p == 1:  # no order is needed, and a sort is most of a small model's time
        tokens = None
        chances = (logits.float() / temperature).softmax(-1)
        last = chances.shape[-1] - 1 - (chances.flip(-1) > 0).int().argmax(-1, keepdim=True)
    else:
        chances, tokens = kept_chances(logits, temperature, top_k, top_p)
        last = (chances > 0).sum(-1, keepdim=True) - 1
    sums = chances.double().cumsum(-1)
    point = torch.tensor(points, device=logits.device, dtype=torch.float64)[:, None] * sums[:, -1:]
    # Rounding must not carry a point into the tokens that were left out.
    place = torch.searchsorted(sums, point, right=True).minimum(last)
    return (place if tokens is None else tokens.gather(-1, place)).squeeze(-1)


def kept_chances(logits: Tensor, temperature: float, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """(probabilities, tokens), each [rows, vocab], likeliest first; 0 for what top_k and top_p leave out."""
    scores, tokens = (logits.float() / temperature).sort(dim=-1, descending=True, stable=True)
    chances = scores.softmax(-1)
    if top_k:
        chances[:, top_k:] = 0
    if top_p < 1:
        chances = chances / chances.sum(-1, keepdim=True)
        likelier = chances.cumsum(-1) - chances
        chances[:, 1:] = chances[:, 1:].masked_fill(likelier[:, 1:] >= top_p, 0)  # the first stays, whatever top_p
    return chances, tokens
