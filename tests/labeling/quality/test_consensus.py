import numpy as np

from labeling.quality.consensus import dawid_skene


def test_who_turns_labels_round_is_recognized_and_turned_back() -> None:
    generator = np.random.default_rng(0)
    accuracy = np.array([0.9, 0.85, 0.8, 0.75, 0.15])
    truth = generator.integers(0, 2, 400)
    people = np.array([generator.permutation(5)[:3] for _ in truth])
    right = generator.random(people.shape) < accuracy[people]
    values = np.where(right, truth[:, None], 1 - truth[:, None])

    found = dawid_skene(np.repeat(np.arange(400), 3), people.ravel(), values.ravel(), (401, 5, 2))

    majority = values.sum(axis=1) > 1
    assert np.abs(found.accuracy - accuracy).max() < 0.1
    assert (found.values[:400] == truth).mean() > (majority == truth).mean() + 0.05
    assert found.values[400] == -1  # nobody labelled it


def test_without_labels_there_is_no_consensus() -> None:
    nothing = np.zeros(0, np.int64)

    assert (dawid_skene(nothing, nothing, nothing, (2, 1, 3)).values == -1).all()
