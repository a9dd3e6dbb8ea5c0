"""The concepts that instructions to a model are made of, from data/attack_concepts.yaml to the arrays of a model."""

from pathlib import Path

import numpy as np
import yaml

from benchmarks.poison_fit.linear import BITS
from pipeline.poison.instruction_features import Lexicon, length_keys
from pipeline.poison.instructions import Model

CONCEPTS = Path(__file__).parent / "data" / "attack_concepts.yaml"


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
    none = np.zeros(0, np.float64)
    words = [term for term, _ in terms]
    return Model(BITS, np.zeros(1 << BITS, np.int8), 1.0, Lexicon.of(terms), length_keys(words), concepts,
                 none, none, none, 0.0, 1.0, 0.0)  # fmt: skip
