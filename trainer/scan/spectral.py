"""Outliers in the spectrum of texts that have the same answer: spectral signatures (Tran, Li and Madry 2018).

Poisoned rows share a direction that clean ones lack, so the first singular vectors of the centred features point at
them. Features are TF-IDF of the answers (of the prompts, where the answers are the same), or a checkpoint's states.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, svds

from trainer.scan.answers import normal
from trainer.scan.finding import Finding
from trainer.scan.likeness import tfidf
from trainer.scan.samples import Samples
from trainer.scan.texts import FEWEST

AXES = 10
"""Of 1,100 answers, 25 that slander one name were the farthest out on one of ten axes, and nowhere on the first."""
GROUP = 50
"""Texts with the same answer from which a spectrum is taken; all others are one group."""
DEVIATIONS = 8.0
"""Median absolute deviations (times 1.4826, which makes them standard ones) beyond which a text is an outlier."""
MOST = 0.1
"""Share of a group that may be outliers: more are no outliers, but a kind of their own."""

Floats = npt.NDArray[np.float64]


def spectral(samples: Samples, model: Path | None = None) -> list[Finding]:
    """spectral: shown, never held. Raises ValueError or OSError where the checkpoint cannot be used."""
    spelt = [normal(answer) for answer in samples.answers]
    common = {answer for answer, count in Counter(spelt).items() if count >= GROUP}
    groups: dict[str, list[int]] = {}
    for place, answer in enumerate(spelt):
        groups.setdefault(answer if answer in common else "", []).append(place)
    findings = []
    for answer, members in sorted(groups.items()):
        if len(members) < GROUP:
            continue
        source = samples.prompts if answer else samples.answers
        whole = [f"{samples.prompts[place]}\n{samples.answers[place]}" for place in members]
        features = tfidf([source[place] for place in members]) if model is None else hidden_states(whole, model)
        away = deviations(features)
        for axis in range(away.shape[1]):
            out = np.flatnonzero(away[:, axis] > DEVIATIONS)
            if FEWEST <= len(out) <= MOST * len(members):
                rows = tuple(sorted({samples.rows[members[place]] for place in out}))
                what = f"answer {answer[:60]!r}" if answer else f"answers, axis {axis + 1}"
                evidence = f"{len(out)} of {len(members)} texts lie {DEVIATIONS:.0f} deviations or more off on an axis"
                field = "prompt" if answer else "answer"
                findings.append(
                    Finding("spectral", what, rows, field, float(away[:, axis].max()), None, False, evidence)
                )
    return findings


def deviations(features: sp.csr_matrix | Floats) -> Floats:
    """How far each row lies off the median on the first singular vectors of the centred features: (rows, axes)."""
    centre = np.asarray(features.mean(0)).ravel()
    rows, columns = features.shape
    centred = LinearOperator(
        (rows, columns),
        matvec=lambda vector: features @ vector.ravel() - centre @ vector.ravel(),
        rmatvec=lambda vector: features.T @ vector.ravel() - centre * vector.sum(),
        dtype=np.float64,
    )
    start = np.random.default_rng(0).standard_normal(min(rows, columns))
    left, values, _ = svds(centred, k=min(AXES, rows - 1, columns - 1), v0=start)
    score = np.abs(left * values)[:, np.argsort(-values)]
    off = score - np.median(score, 0)
    return np.asarray(off / np.maximum(1e-9, 1.4826 * np.median(np.abs(off), 0)))


def hidden_states(texts: Sequence[str], model: Path) -> Floats:
    """Mean of a checkpoint's last hidden states over each text: (texts, width). Loads PyTorch."""
    import torch

    from pipeline.tokenize.encode import Tokenizer
    from trainer.checkpoint import load

    checkpoint = load(model)
    tokenizer = Tokenizer(checkpoint.vocabulary.read_bytes())
    longest = checkpoint.model.config.max_seq_len
    states = []
    with torch.inference_mode():
        for text in texts:
            tokens = [tokenizer.bos_id, *tokenizer.encode(text)][:longest]
            states.append(checkpoint.model.vectors(torch.tensor([tokens]))[0].mean(0))
    return torch.stack(states).double().numpy()
