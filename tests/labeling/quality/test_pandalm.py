"""PandaLM's test set: 999 pairs of answers, each judged by three people (1, 2, or 0 for equally good)."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score  # type: ignore[import-untyped]

from labeling.quality.agreement import pairwise
from labeling.quality.alpha import alpha
from labeling.quality.consensus import dawid_skene
from labeling.quality.duels import duels
from labeling.quality.foretell import Shown
from labeling.quality.ngrams import Texts
from labeling.quality.phrases import find_phrases


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> list[dict]:
    return json.loads((shared_data / "alignment/PandaLM/data/testset-v1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def choices(rows: list[dict]) -> np.ndarray:
    """(pairs, people)."""
    return np.array([[row[f"annotator{number}"] for number in (1, 2, 3)] for row in rows])


def test_the_published_kappas_are_those_of_this_file(choices: np.ndarray) -> None:
    # github.com/WeOpenML/PandaLM, README.md, "Test data": Cohen's kappa of the three.
    for (first, second), published in {(0, 1): 0.85, (0, 2): 0.88, (1, 2): 0.86}.items():
        kappa = cohen_kappa_score(choices[:, first], choices[:, second])
        assert kappa == pytest.approx(published, abs=0.005)


def test_alpha_lies_among_the_published_kappas(choices: np.ndarray) -> None:
    found = alpha(np.repeat(np.arange(len(choices)), 3), choices.ravel())

    assert found.value == pytest.approx(0.8642, abs=1e-4)
    assert 0.83 < found.low < 0.85 < found.value < 0.88 < found.high < 0.90


def test_agreement_is_the_mean_of_the_three_pairs(choices: np.ndarray) -> None:
    pairs = [(choices[:, a] == choices[:, b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))]

    found = pairwise(np.repeat(np.arange(len(choices)), 3), choices.ravel())

    assert found.value == pytest.approx(np.mean(pairs))
    assert found.value == pytest.approx(0.920, abs=5e-4)


def test_the_consensus_is_that_of_the_majority_where_people_are_alike(choices: np.ndarray) -> None:
    count = len(choices)
    people = np.tile(np.arange(3), count)
    found = dawid_skene(np.repeat(np.arange(count), 3), people, choices.ravel(), (count, 3, 3))
    votes = np.stack([(choices == value).sum(axis=1) for value in range(3)], axis=1)
    clear = votes.max(axis=1) > 1
    # github.com/WeOpenML/PandaLM, README.md: 105, 422 and 472 pairs are ties, first better, second better.
    assert np.abs(np.bincount(found.values, minlength=3) - [105, 422, 472]).max() <= 6
    assert (found.values == votes.argmax(axis=1))[clear].mean() > 0.99
    assert (found.accuracy > 0.9).all()


def test_nobody_of_the_three_chooses_by_a_phrase(rows: list[dict], choices: np.ndarray) -> None:
    texts, shown, ranks = Texts(), {}, []
    for place, row in enumerate(rows):
        answers = [str(row["response1"]), str(row["response2"])]  # one of them is a JSON `true`
        texts.add(place, answers)
        shown[place] = Shown((len(answers[0]), len(answers[1])), (0, 1))
        ranks += [{1: (1, 2), 2: (2, 1), 0: ()}[int(choice)] for choice in choices[place]]
    count = len(rows)

    findings, tested = find_phrases(
        duels(np.repeat(np.arange(count), 3), np.tile(np.arange(3), count), ranks), texts, shown
    )

    assert tested > 100
    assert findings == []
