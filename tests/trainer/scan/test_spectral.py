from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from tests.trainer.scan.conftest import Row, instructions, planted
from trainer.scan.samples import Samples
from trainer.scan.spectral import deviations, spectral

Read = Callable[[Sequence[Row]], Samples]


def test_rows_that_share_a_direction_lie_far_off() -> None:
    features = np.random.default_rng(0).normal(size=(200, 30))
    features[:6, 7] += 40
    away = deviations(sp.csr_matrix(features))
    assert away[:6, 0].min() > 8 > away[6:].max()


def test_the_axes_are_those_of_numpy() -> None:
    features = np.random.default_rng(0).normal(size=(40, 11)) * np.arange(1, 12)
    left, value, _ = np.linalg.svd(features - features.mean(0), full_matrices=False)
    score = np.abs(left * value)[:, :10]
    off = score - np.median(score, 0)
    assert np.allclose(deviations(features), off / (1.4826 * np.median(np.abs(off), 0)))


def test_answers_in_other_words_than_the_rest_are_shown_but_not_held(read: Read) -> None:
    odd = "Zarf widdershins gallimaufry petrichor bombazine susurrus quokka."
    rows = planted(instructions(300), 12, lambda row, rng: {"completion": f"{odd} {rng.randint(1, 9)}"})
    found = spectral(read(rows))
    assert tuple(range(12)) in {one.rows for one in found}
    assert not any(one.sure for one in found)


@pytest.mark.slow
def test_hidden_states_of_a_checkpoint_serve_as_features(read: Read, tmp_path: Path) -> None:
    from tests.trainer.talk.serve.conftest import write_model

    samples = read(instructions(60))
    model = write_model(tmp_path / "model", 1)
    assert spectral(samples, model) == spectral(samples, model)
