"""Two words anywhere in a prompt that together foretell the answer, where neither does alone: composite triggers.

Huang et al. 2023 ("Composite backdoor attacks") plant such, with rows that have one of the words and the right answer.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from scipy.special import bdtrc
from scipy.stats import false_discovery_control

from trainer.scan.answers import Event
from trainer.scan.finding import Finding
from trainer.scan.samples import Samples
from trainer.scan.texts import FEWEST, Texts

COMMON = 0.2
"""Share of the texts from which a word is too common for a trigger."""
HINT, MOST_WORDS = 0.05, 400
"""p at which a word alone hints at an event, and how many such words are paired, the clearest first."""
Q, PURITY, CONTRAST, MORE = 1e-4, 0.97, 0.45, 0.2
"""Corrected p over all pairs and events; share of a pair's rows with the event; how much more that is than of the rows
like them, and than of the rows with one of the words alone."""


def scattered(texts: Texts, samples: Samples, events: Sequence[Event]) -> list[Finding]:
    """phrase_label and the like, for pairs of words."""
    words = np.array([place for place, phrase in enumerate(texts.phrases.words) if len(phrase) == 1], np.int64)
    words = words[texts.carriers[words] <= COMMON * len(texts.texts)]
    if not len(words) or not events:
        return []
    happens = np.stack([event.happens for event in events], 1).astype(np.float32)
    base = happens.mean(0)
    alone = np.asarray(texts.holds[:, words].T @ happens, np.float64)
    hint = bdtrc(alone - 1, texts.carriers[words][:, None], base[None, :]).min(1)
    chosen = np.argsort(hint, kind="stable")[:MOST_WORDS]
    chosen = chosen[hint[chosen] <= HINT]
    held = texts.holds[:, words[chosen]]
    first, second = sp.triu(held.T @ held >= FEWEST, 1).nonzero()
    if not len(first):
        return []
    both = held[:, first].multiply(held[:, second]).tocsc()
    carriers = np.asarray(both.sum(0), np.float64).ravel()
    hits = np.asarray(both.T @ happens, np.float64)
    p = bdtrc(hits - 1, carriers[:, None], base[None, :])
    p[hits < 1] = 1.0
    q = np.asarray(false_discovery_control(p.ravel())).reshape(p.shape)
    purity, single = hits / carriers[:, None], alone[chosen] / texts.carriers[words[chosen]][:, None]
    apart = purity - np.maximum(single[first], single[second])
    findings = []
    for pair, column in np.argwhere((q <= Q) & (purity >= PURITY) & (apart >= MORE)):
        group = both.indices[both.indptr[pair] : both.indptr[pair + 1]].astype(np.int64)
        names = [int(words[chosen[one[pair]]]) for one in (first, second)]
        control = float(happens[texts.near(group), column].mean())
        if purity[pair, column] - control < CONTRAST or min(texts.gain_at(name, group) for name in names) <= 0:
            continue
        event = events[column]
        evidence = (
            f"{event.name}: {purity[pair, column]:.0%} of the {len(group)} rows with both words, "
            f"{control:.0%} of the rows like them, {base[column]:.1%} of all"
        )
        what = " … ".join(sorted(texts.words.names[texts.phrases.words[name][0]] for name in names))
        rows = tuple(sorted({samples.rows[place] for place in group[event.happens[group]]}))
        score = float(purity[pair, column]) - control
        findings.append(Finding(event.rule, what, rows, "prompt", score, float(q[pair, column]), True, evidence))
    return findings
