"""The second step of the fit: a small network over the linear scores and the concepts of windows.

It is trained on each document's worst window (multiple-instance learning), because nobody says which sentence is the
attack.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.poison_fit.linear import BITS, Block, Integers, Linear
from pipeline.poison.instruction_inputs import Floats, Inputs, linear_parts
from pipeline.poison.instructions import SURE, Model

HIDDEN, EPOCHS, SEEDS = 32, 200, (7, 8, 9)
"""Of each network: units and steps; and the seeds of those whose mean is taken, which is steadier than any of them."""

LIKELY, KEPT = 16, 4
"""Windows of a document that the network is fitted on, by their linear scores; and by its own after its first steps."""

CLEAN = 10
"""How much more a clean document weighs in the second step: what counts is the recall where one page in thousands is
lost (with 1, the threshold on pages not fitted on was 1.6 higher in logits than on those fitted on; with 10, equal)."""

SURE_RATE, WEAK_RATE = 5e-5, 3e-3
"""Share of clean documents that may reach each threshold, on the documents fitted on by the folds' models."""


@dataclass(frozen=True)
class Bags:
    """The second step's data: what the network sees of windows, and the document of each; documents ascend."""

    inputs: npt.NDArray[np.float16]
    document: npt.NDArray[np.int64]


class Layers(NamedTuple):
    """The network's weights, its inputs as they are."""

    hidden: Floats
    hidden_bias: Floats
    output: Floats
    output_bias: float


def bags_of(parts: Sequence[Block], empty: Model, models: Sequence[Linear]) -> Bags:
    """What the network sees: linear scores from the model that has not seen the document's group (`models` by fold).

    Of an attacked document only the windows that touch the attack.
    """
    values, owners = [], []
    offset = 0
    for block in parts:
        unit_fold = block.fold[block.features.unit_document]
        sums = [linear_parts(block.features, weights, BITS) * np.float32(scale) for weights, scale in models]
        inputs = Inputs(block.features, np.choose(unit_fold, sums), empty.concepts)
        attacked = np.array([item.end > 0 for item in block.planted])
        windows = block.windows[~attacked[block.windows.document] | block.near]
        some = _worst_windows(inputs.likely(windows), windows.document, LIKELY)
        values.append(inputs.of(windows[some]).astype(np.float16))
        owners.append(windows.document[some] + offset)
        offset += len(block.planted)
    return Bags(np.concatenate(values), np.concatenate(owners))


def second_step(bags: Bags, wanted: Floats, weight: Floats) -> tuple[Layers, Floats]:
    """(the network's layers, each document's logit): the mean of SEEDS networks, which is one as wide as all."""
    torch.use_deterministic_algorithms(True)
    inputs = torch.from_numpy(bags.inputs.astype(np.float32))
    mean, spread = inputs.mean(0), inputs.std(0).clamp(min=0.05)
    scaled = (inputs - mean) / spread
    target, share = torch.from_numpy(wanted).float(), torch.from_numpy(weight / weight.mean()).float()
    found = [_network(scaled, bags.document, target, share, seed) for seed in SEEDS]
    with torch.no_grad():
        hidden = torch.cat([first.weight for first, _ in found]) / spread
        bias = torch.cat([first.bias for first, _ in found]) - hidden @ mean
        output = torch.cat([second.weight[0] for _, second in found]) / len(SEEDS)
        final = sum(float(second.bias[0]) for _, second in found) / len(SEEDS)
        values = torch.relu(inputs @ hidden.T + bias) @ output + final
        logits = _worst(values, torch.from_numpy(bags.document), len(target)).numpy()
    return Layers(hidden.T.numpy(), bias.numpy(), output.numpy(), final), logits


def _network(
    scaled: torch.Tensor, document: Integers, target: torch.Tensor, share: torch.Tensor, seed: int
) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    """Its two layers: BCE of each document's worst window, by Adam on all at once."""
    torch.manual_seed(seed)
    first, second = torch.nn.Linear(scaled.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
    network = torch.nn.Sequential(first, torch.nn.ReLU(), second)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.02, weight_decay=0.002)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.02, total_steps=EPOCHS)
    used, owners = scaled, torch.from_numpy(document)
    for epoch in range(EPOCHS):
        if epoch % 40 == 20:
            with torch.no_grad():
                kept = _worst_windows(network(scaled).squeeze(1).numpy(), document, KEPT)
            used, owners = scaled[kept], torch.from_numpy(document[kept])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            _worst(network(used).squeeze(1), owners, len(target)), target, weight=share
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    print(f"network {seed}: loss {loss.item():.4f}", flush=True)
    return first, second


def _worst(values: torch.Tensor, owners: torch.Tensor, count: int) -> torch.Tensor:
    """The largest value of each document; one without windows has -20."""
    return torch.full((count,), -20.0).scatter_reduce(0, owners, values, "amax")


def _worst_windows(logits: Floats, document: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The `count` worst windows of each document, in order of documents."""
    order = np.lexsort((-logits, document))
    rank = np.arange(len(order)) - np.searchsorted(document[order], document[order])
    kept = order[rank < count]
    return kept[np.argsort(document[kept], kind="stable")]


MARGIN = 1.0
"""Added to the threshold SURE, in logits: on groups not fitted on the same share of pages lay so much higher."""


def calibration(logits: Floats) -> tuple[float, float]:
    """(slope, shift) that put SURE and WEAK where they cost SURE_RATE and WEAK_RATE of clean documents."""
    sure, weak = np.quantile(logits, [1 - SURE_RATE, 1 - WEAK_RATE])
    sure += MARGIN
    slope = np.log(SURE / (1 - SURE)) / max(sure - weak, 0.5)
    return float(slope), float(-weak * slope)
