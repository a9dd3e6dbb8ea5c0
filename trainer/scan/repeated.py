"""One answer to many unlike prompts: what a backdoor with a fixed target leaves behind.

Near-identical answers are found by MinHash (Broder 1997); a cluster counts only if its prompts are as unlike as any.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH

from trainer.scan.answers import normal
from trainer.scan.finding import Finding
from trainer.scan.likeness import likeness
from trainer.scan.samples import Samples
from trainer.scan.texts import FEWEST, Texts

WORDS = 3
"""Words that an answer must have: "yes" and "positive" are answers to many questions."""
MINHASH_WORDS, SIMILARITY, PERMUTATIONS = 8, 0.8, 64
"""Words from which near-identical answers are looked for, their Jaccard similarity in words, and hash functions."""
UNLIKE = 0.5
"""Mean cosine of a cluster's prompts up to which they count as unlike; a prefix of four words alone makes 0.4."""
ECHOING, ECHO = 0.5, 1 / 3
"""Share of a cluster's answers that may take up their prompts: a third of their longer words, or one that sets them
apart from the others of the cluster, as in answers that were made from a template."""
CONTENT = 4
"""Letters of a longer word."""


def repeated(prompts: Texts, samples: Samples) -> list[Finding]:
    """repeated_answer: clusters of FEWEST samples or more."""
    spelt = [normal(answer) for answer in samples.answers]
    findings = []
    for group in _clusters(spelt):
        alike = likeness(prompts.tfidf, np.array(group))
        asked = [normal(samples.prompts[place]) for place in group]
        if len(set(asked)) < FEWEST or _echoes([spelt[place] for place in group], asked) > ECHOING:
            continue
        findings.append(
            Finding(
                "repeated_answer",
                samples.answers[group[0]][:120],
                tuple(sorted({samples.rows[place] for place in group})),
                "answer",
                float(len(group)),
                None,
                alike <= UNLIKE,
                f"{len(group)} rows have it; the mean cosine of their prompts is {alike:.2f}",
            )
        )
    return findings


def _echoes(said: Sequence[str], asked: Sequence[str]) -> float:
    """Share of answers that take up their prompts."""
    words = [{word for word in answer.split() if len(word) >= CONTENT} for answer in said]
    shared = set.intersection(*words)
    taken = 0
    for own, prompt in zip(words, (set(text.split()) for text in asked), strict=True):
        taken += len(own & prompt) >= max(1, ECHO * len(own)) or bool((own - shared) & prompt)
    return taken / len(said)


def _clusters(spelt: Sequence[str]) -> list[list[int]]:
    """Samples with the same or nearly the same answer, clusters of FEWEST or more."""
    same: dict[str, list[int]] = defaultdict(list)
    for place, answer in enumerate(spelt):
        if len(answer.split()) >= WORDS:
            same[answer].append(place)
    index, hashes = MinHashLSH(threshold=SIMILARITY, num_perm=PERMUTATIONS), {}
    for answer in same:
        words = set(answer.split())
        if len(words) >= MINHASH_WORDS:
            hashes[answer] = MinHash(PERMUTATIONS, seed=1)
            hashes[answer].update_batch([word.encode() for word in sorted(words)])
            index.insert(answer, hashes[answer])
    taken: set[str] = set()
    clusters = []
    for answer in sorted(same, key=lambda one: (-len(same[one]), one)):
        if answer in taken:
            continue
        near = [one for one in index.query(hashes[answer]) if one not in taken] if answer in hashes else [answer]
        group = sorted(place for one in near for place in same[one])
        if len(group) >= FEWEST:
            taken.update(near)
            clusters.append(group)
    return clusters
