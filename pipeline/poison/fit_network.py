"""The second step of the fit: a small network over the linear scores and the concepts of windows.

It is trained on each document's worst window (multiple-instance learning), because nobody says which sentence is the
attack.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pipeline.poison.fit_data import Planted
from pipeline.poison.fit_linear import BITS, blocks
from pipeline.poison.instructions import SURE, Floats, Model, linear_parts, window_inputs

HIDDEN, EPOCHS = 32, 200
"""Of the network: units and steps."""

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


def bags_of(planted: list[Planted], empty: Model, models: list[tuple[npt.NDArray[np.int8], float]]) -> Bags:
    """What the network sees: linear scores from the model that has not seen the document's group (`models` by fold).

    Of an attacked document only the windows that touch the attack.
    """
    values, owners = [], []
    offset = 0
    for block in blocks(planted, empty):
        unit_fold = block.fold[block.features.unit_document]
        sums = [linear_parts(block.features, weights, BITS) * np.float32(scale) for weights, scale in models]
        parts = np.choose(unit_fold, sums)
        attacked = np.array([item.end > 0 for item in block.planted])
        windows = block.windows[~attacked[block.windows.document] | block.near]
        values.append(window_inputs(block.features, windows, parts, empty.concepts).astype(np.float16))
        owners.append(windows.document + offset)
        offset += len(block.planted)
    inputs, document = np.concatenate(values), np.concatenate(owners)
    scores = 2 * len(empty.concepts) + np.arange(4)
    likely = inputs[:, scores].astype(np.float32) @ np.array([1, 1, 0.3, 0.3], np.float32)
    kept = _worst_windows(likely, document, LIKELY)
    return Bags(inputs[kept], document[kept])


def second_step(bags: Bags, wanted: Floats, weight: Floats) -> tuple[Layers, Floats]:
    """(the network's layers, each document's logit): BCE of each document's worst window, by Adam on all at once."""
    torch.manual_seed(7)
    torch.use_deterministic_algorithms(True)
    inputs = torch.from_numpy(bags.inputs.astype(np.float32))
    owner = torch.from_numpy(bags.document)
    mean, spread = inputs.mean(0), inputs.std(0).clamp(min=0.05)
    first, second = torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
    network = torch.nn.Sequential(first, torch.nn.ReLU(), second)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.02, weight_decay=0.002)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.02, total_steps=EPOCHS)
    target, share = torch.from_numpy(wanted).float(), torch.from_numpy(weight / weight.mean()).float()
    scaled = (inputs - mean) / spread

    def worst(values: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
        start = torch.full((len(target),), -20.0)
        return start.scatter_reduce(0, owners, values, "amax")

    used, owners = scaled, owner
    for epoch in range(EPOCHS):
        if epoch % 40 == 20:
            with torch.no_grad():
                kept = _worst_windows(network(scaled).squeeze(1).numpy(), bags.document, KEPT)
            used, owners = scaled[kept], owner[kept]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            worst(network(used).squeeze(1), owners), target, weight=share
        )
        if epoch % 50 == 49:
            print(f"step {epoch + 1}: loss {loss.item():.4f}", flush=True)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        logits = worst(network(scaled).squeeze(1), owner).numpy()
        hidden = first.weight / spread
        bias = first.bias - hidden @ mean
        layers = Layers(hidden.T.numpy(), bias.numpy(), second.weight[0].numpy(), float(second.bias[0]))
    return layers, logits


def _worst_windows(logits: Floats, document: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The `count` worst windows of each document, in order of documents."""
    order = np.lexsort((-logits, document))
    rank = np.arange(len(order)) - np.searchsorted(document[order], document[order])
    kept = order[rank < count]
    return kept[np.argsort(document[kept], kind="stable")]


MARGIN = 0.7
"""Added to the threshold SURE, in logits: on groups not fitted on the same share of pages lay so much higher."""


def calibration(logits: Floats) -> tuple[float, float]:
    """(slope, shift) that put SURE and WEAK where they cost SURE_RATE and WEAK_RATE of clean documents."""
    sure, weak = np.quantile(logits, [1 - SURE_RATE, 1 - WEAK_RATE])
    sure += MARGIN
    slope = np.log(SURE / (1 - SURE)) / max(sure - weak, 0.5)
    return float(slope), float(-weak * slope)
