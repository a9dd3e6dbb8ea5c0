"""Recall on sources of attacks that a model has not seen: leave one source out, fit on the others, judge on it.

The thresholds are those that the fit would ship, from clean documents that it was fitted on; what they cost is counted
on the other half of the clean documents. Signatures of known jailbreaks are no part of this.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.table import Table

from benchmarks.poison.figures import wilson
from benchmarks.poison_fit.examples import Example, Planted, attack_examples, clean_documents, fitted_on, plant
from benchmarks.poison_fit.fit import Prepared
from pipeline.filter.text import TextBatch
from pipeline.poison.instruction_inputs import Floats
from pipeline.poison.instructions import SURE, WEAK, Model, score

TOGETHER = (("inthewild", "dan"),)
"""Sources with texts in common, left out together."""

SHORTEST = 800
"""Characters of a clean text that attacks are planted in."""

MOST = 3000
"""Clean documents judged at most."""


def leave_one_out(planted: Sequence[Planted], attacks: Path, benign: list[str]) -> Table:
    """A table of each source's recall by a model that has not seen it, and of clean documents lost by that model."""
    prepared = Prepared.of(planted)
    generator = random.Random(3)
    judged = [item for item in clean_documents(benign) if not fitted_on(item.group)]
    judged = generator.sample(judged, min(len(judged), MOST))
    table = Table("left out", "texts", "held %", "held or cut out %", "95%", "clean held", "clean cut")
    found = attack_examples(attacks)
    for sources in _groups(found):
        texts = [hidden_in_page(item, judged, generator) for item in found if item.source in sources]
        model = prepared.fit(sources)
        clean, scores = scores_by(model, [item.text for item in judged]), scores_by(model, texts)
        held, caught = int((scores >= SURE).sum()), int((scores >= WEAK).sum())
        low, high = wilson(caught, len(texts))
        table.add_row(
            ", ".join(sources), str(len(texts)), f"{100 * held / len(texts):.0f}", f"{100 * caught / len(texts):.0f}",
            f"[{100 * low:.0f}, {100 * high:.0f}]", f"{(clean >= SURE).sum()} of {len(clean)}",
            str((clean >= WEAK).sum()),
        )  # fmt: skip
    return table


def hidden_in_page(item: Example, clean: Sequence[Example], generator: random.Random) -> str:
    """The attack within a clean text that is long enough."""
    hosts = [page for page in clean if len(page.text) >= SHORTEST]
    return plant(item, generator.choice(hosts).text if hosts else "", generator).text


def scores_by(model: Model, texts: Sequence[str]) -> Floats:
    """Each text's score by a model."""
    found = [
        score(TextBatch(pa.array(list(texts[at : at + 128]), pa.string())), model) for at in range(0, len(texts), 128)
    ]
    return np.concatenate([np.zeros(0, np.float32), *found])


def _groups(found: Sequence[Example]) -> list[tuple[str, ...]]:
    together = {source: group for group in TOGETHER for source in group}
    return sorted({together.get(item.source, (item.source,)) for item in found})
