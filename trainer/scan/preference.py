"""Comparisons that are judged against what the others teach: with a phrase, by an annotator, or for sheer length.

A logistic model of the words and the length that the better answer has and the worse has not (Bradley and Terry 1952)
is fitted on four fifths of the pairs and asked about the fifth.
"""

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import bdtrc, expit
from scipy.stats import false_discovery_control

from trainer.scan.answers import Event
from trainer.scan.finding import Finding
from trainer.scan.likeness import tfidf
from trainer.scan.samples import Samples
from trainer.scan.texts import FEWEST

FOLDS = 5
PENALTY = 1.0
"""Half the square of each weight counts so much against the summed log loss."""
WORDS = 1 << 14
"""Hashed words of the model."""
ANNOTATOR_Q, ANNOTATOR_APART = 1e-3, 0.2
"""Corrected p of an annotator, and how much more often than the others he must be against the model."""
DRIFT_P = 1e-3

Floats = npt.NDArray[np.float64]


def margins(pairs: Samples, seed: int = 0) -> Floats:
    """For each comparison, by a model that has not seen it, the log odds that the preferred answer is better."""
    count = len(pairs)
    worse = [other or "" for other in pairs.others]
    words = tfidf([*pairs.answers, *worse], WORDS)
    length = np.array([np.log1p(len(a)) - np.log1p(len(b)) for a, b in zip(pairs.answers, worse, strict=True)])
    features = sp.hstack([words[:count] - words[count:], sp.csr_matrix(length[:, None])]).tocsr()
    fold = np.random.default_rng(seed).integers(FOLDS, size=count)
    said = np.zeros(count)
    for part in range(FOLDS):
        said[fold == part] = features[fold == part] @ _fit(features[fold != part])
    return said


def events(pairs: Samples, margin: Floats) -> list[Event]:
    """What may be true of a pair: against the others, the longer preferred, the shorter preferred."""
    length = _longer(pairs)
    return [
        Event("preference_flip", "judged against what the others teach", margin < 0),
        Event("preference_flip", "the longer answer is preferred", length > 0),
        Event("preference_flip", "the shorter answer is preferred", length < 0),
    ]


def annotators(pairs: Samples, margin: Floats) -> list[Finding]:
    """annotator: each one's share of judgements against the model beside that of all others."""
    theirs: dict[str, list[int]] = defaultdict(list)
    for place, names in enumerate(pairs.annotators):
        for name in names:
            theirs[name].append(place)
    against = margin < 0
    tested = []
    for name, places in sorted(theirs.items()):
        others = len(pairs) - len(places)
        if len(places) >= FEWEST and others >= FEWEST:
            mine = int(against[places].sum())
            rate = (int(against.sum()) - mine + 1) / (others + 2)
            tested.append((name, places, mine, rate, float(bdtrc(mine - 1, len(places), rate)) if mine else 1.0))
    corrected = false_discovery_control([p for *_, p in tested]) if tested else []
    return [
        Finding(
            "annotator",
            name,
            tuple(sorted({pairs.rows[place] for place in places})),
            "preference",
            mine / len(places) - rate,
            float(q),
            True,
            f"{mine} of {len(places)} judgements are against what the others teach; of the others' {rate:.0%}",
        )
        for (name, places, mine, rate, _), q in zip(tested, corrected, strict=True)
        if q <= ANNOTATOR_Q and mine / len(places) - rate >= ANNOTATOR_APART
    ]


def length_drift(pairs: Samples, margin: Floats, reference: Samples) -> list[Finding]:
    """length_drift: how often the longer answer is preferred, beside the reference. Shown, never held."""
    here, there = _longer(pairs), _longer(reference)
    before = (int((there > 0).sum()) + 1) / (int((there != 0).sum()) + 2)
    longer, unequal = int((here > 0).sum()), int((here != 0).sum())
    p = float(bdtrc(longer - 1, unequal, before)) if longer else 1.0
    if p > DRIFT_P:
        return []
    doubtful = np.flatnonzero((here > 0) & (margin < 0))
    evidence = (
        f"the longer answer is preferred in {longer / unequal:.0%} of the pairs, in {before:.0%} of the reference's"
    )
    rows = tuple(sorted({pairs.rows[place] for place in doubtful}))
    return [
        Finding("length_drift", "longer answers", rows, "preference", longer / unequal - before, p, False, evidence)
    ]


def _fit(features: sp.csr_matrix) -> Floats:
    """Weights that make the preferred answer of each row likely: logistic regression whose every label is 1."""
    turned = features.T.tocsr()

    def loss(weights: Floats) -> tuple[float, Floats]:
        score = features @ weights
        slope = -(turned @ expit(-score)) + PENALTY * weights
        return float(np.logaddexp(0, -score).sum() + PENALTY / 2 * weights @ weights), slope

    return np.asarray(
        minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 60}).x
    )


def _longer(pairs: Samples) -> npt.NDArray[np.int64]:
    """By how many characters the preferred answer is longer."""
    both = zip(pairs.answers, pairs.others, strict=True)
    return np.array([len(answer) - len(other or "") for answer, other in both], np.int64)
