"""The first step of the fit: a logistic regression over hashed words and concepts of windows.

It is fitted once for each fold of the examples' groups, so that the second step sees scores of documents from a model
that has not seen their group (stacking, Wolpert 1992).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.optimize
import scipy.sparse

from benchmarks.poison_fit.examples import Planted, hashed
from pipeline.filter.text import TextBatch
from pipeline.poison.instruction_features import Features
from pipeline.poison.instruction_inputs import SMOOTH, Floats, Windows
from pipeline.poison.instructions import Model

BITS = 18
FOLDS = 4

BATCH = 256
"""Documents looked at together."""

NEGATIVE_WINDOWS = 12
"""Windows of a clean document that the first step sees."""

HARD = 4
"""How many times more a passage weighs that must pass though it shares the attacks' words."""

REGULAR = 3e-7
"""Weight of the squared weights in the first step, a unit of loss."""

Weights = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Linear = tuple[npt.NDArray[np.int8], float]
"""Weights and the scale that brings them back."""


@dataclass(frozen=True)
class Block:
    """A batch of examples: its windows, and which lie inside their attack (`inside`) or touch it (`near`)."""

    planted: Sequence[Planted]
    features: Features
    windows: Windows
    inside: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The first step's data: n-grams of windows, whether they are attacks, how much they count, their fold and
    document."""

    ngrams: scipy.sparse.csr_matrix
    wanted: Floats
    weight: Floats
    fold: Integers
    document: Integers


def blocks(planted: Sequence[Planted], empty: Model) -> Iterator[Block]:
    """The examples in batches."""
    for at in range(0, len(planted), BATCH):
        part = planted[at : at + BATCH]
        texts = TextBatch(pa.array([item.text for item in part], pa.string()))
        features = empty.features(texts)
        windows = Windows.of(features)
        start = features.start[features.unit_start[windows.first]] - texts.begin[windows.document]
        end = features.end[features.unit_end[windows.behind - 1] - 1] - texts.begin[windows.document]
        low = np.array([item.start for item in part])[windows.document]
        high = np.array([item.end for item in part])[windows.document]
        covered = np.minimum(end, high) - np.maximum(start, low)
        enough = (covered * 2 >= high - low) | (windows.behind - windows.first == 3)
        inside = (start >= low - 1) & (end <= high + 1) & enough & (high > 0)
        fold = np.array([hashed(item.example.group) % FOLDS for item in part])
        yield Block(part, features, windows, inside, (covered > 0) & (high > 0), fold)


def matrix(block: Block, chosen: npt.NDArray[np.int64]) -> scipy.sparse.csr_matrix:
    """(chosen windows, buckets): how often each n-gram occurs, over the root of the length."""
    features = block.features
    grids = [*features.ngrams(BITS)]
    at, kinds = features.concept_ngrams(BITS)
    for buckets in kinds:
        grid = np.full(len(features.start), -1)
        grid[at] = buckets
        grids.append(grid)
    table = np.stack(grids, axis=1)
    first = features.unit_start[block.windows.first[chosen]]
    behind = features.unit_end[block.windows.behind[chosen] - 1]
    lengths = behind - first
    word = np.repeat(first, lengths) + np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = np.repeat(np.repeat(np.arange(len(chosen)), lengths), len(grids))
    columns = table[word].ravel()
    known = columns >= 0
    values = (1 / np.sqrt(lengths + SMOOTH)).astype(np.float32)[rows[known]]
    shape = (len(chosen), 1 << BITS)
    return scipy.sparse.csr_matrix((values, (rows[known], columns[known])), shape=shape, dtype=np.float32)


def logistic(rows: scipy.sparse.csr_matrix, wanted: Floats, weight: Floats) -> Weights:
    """Weights of a logistic regression with a bias that is dropped (the network has its own), by L-BFGS."""
    sign = np.where(wanted > 0, 1.0, -1.0)
    share = weight / weight.sum()
    columns = rows.T.tocsr()

    def loss(values: Weights) -> tuple[float, Weights]:
        margin = sign * (rows @ values[:-1] + values[-1])
        slope = -sign * share / (1 + np.exp(np.clip(margin, -50, 50)))
        gradient = np.append(columns @ slope, slope.sum())
        gradient[:-1] += 2 * REGULAR * values[:-1]
        return float((share * np.logaddexp(0, -margin)).sum() + REGULAR * (values[:-1] ** 2).sum()), gradient

    found = scipy.optimize.minimize(
        loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 120}
    )
    return found.x[:-1]


def quantised(weights: Weights) -> tuple[npt.NDArray[np.int8], float]:
    """Weights as int8 and the scale that brings them back; the largest thousandth is clipped."""
    scale = float(np.quantile(np.abs(weights[weights != 0]), 0.999)) / 127
    return np.clip(np.rint(weights / scale), -127, 127).astype(np.int8), scale


def rows_of(parts: Sequence[Block], weights: Floats) -> Rows:
    """Windows inside attacks, and NEGATIVE_WINDOWS of each clean document, drawn at random; `weights` by document."""
    generator = np.random.default_rng(7)
    found: list[tuple[scipy.sparse.csr_matrix, Floats, Floats, Integers, Integers]] = []
    offset = 0
    for block in parts:
        owner = block.windows.document
        attacked = np.array([item.end > 0 for item in block.planted])
        attack = np.flatnonzero(block.inside)
        clean = np.flatnonzero(~attacked[owner])
        clean = clean[np.lexsort((generator.random(len(clean)), owner[clean]))]
        rank = np.arange(len(clean)) - np.searchsorted(owner[clean], owner[clean])
        chosen = np.concatenate([attack, clean[rank < NEGATIVE_WINDOWS]])
        whose = owner[chosen]
        share = np.bincount(whose, minlength=len(block.planted))
        weight = weights[offset + whose] * np.where(attacked[whose], 1 / share[whose], 3 / NEGATIVE_WINDOWS)
        found.append((matrix(block, chosen), attacked[whose], weight, block.fold[whose], whose + offset))
        offset += len(block.planted)
    ngrams, *columns = zip(*found, strict=True)
    stacked = scipy.sparse.vstack(ngrams).tocsr()
    return Rows(stacked, *(np.concatenate(column) for column in columns))


def first_step(rows: Rows, kept: npt.NDArray[np.bool_]) -> Linear:
    """The linear model of the rows that are `kept`, as int8 weights and their scale."""
    return quantised(logistic(rows.ngrams[kept], rows.wanted[kept], rows.weight[kept]))


def key_of(item: Planted) -> str:
    """What is balanced: a family of a language of a source."""
    example = item.example
    if item.end:
        return f"{example.source}/{example.family}/{example.language}"
    return f"{example.source}/{example.family}" if example.source == "hard" else example.source


def weights_by_kind(planted: Iterable[Planted]) -> dict[str, float]:
    """Attacks: each family weighs as the root of its size. Clean: one each, HARD for those that look like attacks."""
    count: Counter[str] = Counter()
    attack: set[str] = set()
    for item in planted:
        count[key_of(item)] += 1
        if item.end:
            attack.add(key_of(item))
    hard = {"hard/howto", "hard/policy", "hard/prompting", "hard/chat", "notinject", "xstest"}
    total = sum(np.sqrt(count[key]) for key in attack) or 1
    number = sum(count[key] for key in attack)
    return {
        key: number / total / np.sqrt(size) if key in attack else float(HARD if key in hard else 1)
        for key, size in count.items()
    }
