"""The whole fit of the detector of instructions: both steps, the calibration, and the file of the model."""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.poison_fit.examples import Planted
from benchmarks.poison_fit.lexicon import empty_model
from benchmarks.poison_fit.linear import FOLDS, Rows, blocks, first_step, key_of, rows_of, weights_by_kind
from benchmarks.poison_fit.network import CLEAN, Bags, bags_of, calibration, second_step
from pipeline.poison.instruction_inputs import Floats
from pipeline.poison.instructions import VERSION, Model


@dataclass(frozen=True)
class Prepared:
    """What both steps are fitted on: the examples, the first step's rows, and the second's bags."""

    planted: Sequence[Planted]
    empty: Model
    weight: Floats
    rows: Rows
    bags: Bags

    @staticmethod
    def of(planted: Sequence[Planted]) -> "Prepared":
        """Reads all examples, and fits the first step once for each fold, for the bags."""
        empty = empty_model()
        weight_of = weights_by_kind(planted)
        weight = np.array([weight_of[key_of(item)] for item in planted], np.float32)
        parts = list(blocks(planted, empty))
        rows = rows_of(parts, weight)
        print(f"{len(planted)} documents, {rows.ngrams.shape[0]} windows, {rows.ngrams.nnz} n-grams", flush=True)
        bags = bags_of(parts, empty, [first_step(rows, rows.fold != fold) for fold in range(FOLDS)])
        return Prepared(planted, empty, weight, rows, bags)

    def fit(self, without: Collection[str] = ()) -> Model:
        """A model that has seen no attack of the sources named; those of the bags' linear scores were fitted with them,
        the linear scores of the model itself and its network were not."""
        kept = np.array([not (item.end and item.example.source in without) for item in self.planted])
        weights, scale = first_step(self.rows, kept[self.rows.document])
        wanted = np.array([item.end > 0 for item in self.planted], np.float32)
        clean = np.array([item.example.family == "clean" for item in self.planted])
        weight = self.weight * kept * np.where(clean, np.float32(CLEAN), np.float32(1))
        layers, logits = second_step(self.bags, wanted, weight)
        slope, shift = calibration(logits[clean])
        return replace(self.empty, weights=weights, scale=scale, slope=slope, shift=shift, **layers._asdict())


def save(path: Path, model: Model, sources: str) -> None:
    """Writes what Model.load reads, with the version and what it was fitted on."""
    used = np.flatnonzero(model.weights)
    slots = np.flatnonzero(model.keys)
    data = io.BytesIO()
    np.savez_compressed(
        data,
        version=VERSION,
        provenance=sources,
        bits=model.bits,
        weight_gaps=np.diff(used, prepend=0).astype(np.uint16),
        weight_values=model.weights[used],
        key_slots=slots.astype(np.uint16),
        key_lengths=model.keys[slots],
        codes=model.lexicon.codes,
        lengths=model.lexicon.length,
        prefixes=model.lexicon.prefix,
        term_concepts=model.lexicon.concepts,
        concepts=np.array(model.concepts),
        hidden=model.hidden.astype(np.float16),
        hidden_bias=model.hidden_bias,
        output=model.output,
        output_bias=model.output_bias,
        scale=model.scale,
        slope=model.slope,
        shift=model.shift,
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data.getvalue())
    partial.replace(path)
