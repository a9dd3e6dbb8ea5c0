"""Adversarial suffixes in prompts, where they are meant to be: recall, and honest prompts that look like them.

The scale is measured on one half of the honest prompts with a share of attacks among them, the figures on the other.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from benchmarks.poison.attack import Materials
from benchmarks.poison.suffixes import KNOWN, drawn, known, mutated, request
from pipeline.filter.text import TextBatch
from pipeline.poison.noise_prompts import PromptScale, prompt_noise
from pipeline.poison.text_model import TextModel

NUMBER = 200
"""Prompts of each kind of suffix that is drawn."""

SAMPLE = 3_000_000
"""Characters of clean text that the model is trained on."""

AT_ONCE = 256


@dataclass(frozen=True)
class Prompts:
    """A set of prompts and how many of them the rule points at."""

    name: str
    is_attack: bool
    prompts: int
    found: int


def measure_prompts(
    corpus: Sequence[str], benign: dict[str, list[str]], materials: Materials, seed: int
) -> list[Prompts]:
    """Each set's figures; nothing where there are no honest prompts to compare with."""
    if not benign:
        return []
    rng = random.Random(f"prompts {seed}")
    attacks = suffixed(materials, rng)
    halves = {name: rng.sample(texts, len(texts)) for name, texts in benign.items()}
    scale_on = [text for texts in halves.values() for text in texts[::2]]
    model = TextModel.train(_some(corpus, rng))
    scale = PromptScale.measure(_batch(scale_on + [text for texts in attacks.values() for text in texts[::10]]), model)
    found = [Prompts(name, True, len(texts), _count(texts, model, scale)) for name, texts in attacks.items()]
    for name, texts in halves.items():
        found.append(Prompts(name, False, len(texts[1::2]), _count(texts[1::2], model, scale)))
    return found


def suffixed(materials: Materials, rng: random.Random) -> dict[str, list[str]]:
    """Requests with suffixes: those of collections as they are, mutations of them, and random pieces."""
    made = {
        source: [request(rng, text) for text in materials.texts[source]]
        for source in KNOWN
        if source in materials.texts
    }
    if suffixes := known(materials.texts):
        made["mutated"] = [request(rng, mutated(rng, suffixes)) for _ in range(NUMBER)]
    if materials.pieces:
        made["random_pieces"] = [request(rng, drawn(rng, materials.pieces)) for _ in range(NUMBER)]
    return made


def _some(corpus: Sequence[str], rng: random.Random) -> list[str]:
    chosen, length = [], 0
    for text in rng.sample(list(corpus), len(corpus)):
        if length >= SAMPLE:
            break
        chosen.append(text)
        length += len(text)
    return chosen


def _batch(texts: Sequence[str]) -> TextBatch:
    return TextBatch(pa.array(texts, pa.string()))


def _count(texts: Sequence[str], model: TextModel, scale: PromptScale) -> int:
    found = 0
    for at in range(0, len(texts), AT_ONCE):
        found += len({row[0] for row in prompt_noise(_batch(texts[at : at + AT_ONCE]), model, scale).rows})
    return found
