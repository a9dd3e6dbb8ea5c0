from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.data import Windows, permute


class Stream:
    """The tokens 0, 1, 2, ...: each says where it stands."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def window(self, start: int, length: int) -> NDArray[Any]:
        assert 0 <= start <= start + length <= self.tokens
        return np.arange(start, start + length, dtype=np.uint32)


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_permute_is_a_permutation(size: int, secret: int) -> None:
    assert sorted(permute(np.arange(size, dtype=np.uint64), size, secret).tolist()) == list(range(size))


def test_permute_works_on_any_part_of_a_domain_too_large_to_hold() -> None:
    size = 10**15 + 37
    places = np.array([0, 1, size // 2, size - 1], np.uint64)
    together = permute(places, size, 5)
    assert (together < size).all()
    assert [int(permute(places[[i]], size, 5)[0]) for i in range(4)] == together.tolist()


def test_permute_scatters_neighbours_and_keys_differ() -> None:
    size = 4096
    one, two = (permute(np.arange(size, dtype=np.uint64), size, secret).astype(int) for secret in (1, 2))
    for order in (one, two):
        steps = np.abs(np.diff(order))
        assert abs(steps.mean() - size / 3) < size / 30  # the mean distance of two random places
    assert (one == two).sum() < 10  # two random permutations agree at one place on average


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 120), st.integers(1, 40), st.integers(1, 9), st.integers(0, 5))
def test_every_window_is_read_once_an_epoch(tokens: int, seq_len: int, rows: int, seed: int) -> None:
    windows = Windows(Stream(tokens), seq_len, seed)
    if windows.count == 0:
        assert tokens < seq_len + 1
        return
    steps = -(-3 * windows.count // rows)
    read = np.concatenate([windows.batch(step, rows)[:, 0] for step in range(steps)]) // seq_len
    for epoch in range(3):
        mine = read[epoch * windows.count : (epoch + 1) * windows.count]
        assert sorted(mine.tolist()) == list(range(windows.count))


def test_epochs_have_different_orders_and_so_have_seeds() -> None:
    windows, other = Windows(Stream(1001), 10, seed=0), Windows(Stream(1001), 10, seed=1)
    first, second = windows.order(0, 100).tolist(), windows.order(100, 100).tolist()
    assert first != second
    assert first != other.order(0, 100).tolist()
    assert first == Windows(Stream(1001), 10, seed=0).order(0, 100).tolist()


def test_a_batch_does_not_depend_on_what_was_read_before() -> None:
    straight = Windows(Stream(1001), 10)
    batches = [straight.batch(step, 7) for step in range(40)]
    resumed = Windows(Stream(1001), 10)
    for step in (39, 20):
        np.testing.assert_array_equal(resumed.batch(step, 7), batches[step])


def test_targets_are_inputs_shifted_by_one_and_each_token_is_a_target_once() -> None:
    windows = Windows(Stream(1005), 10)
    batch = windows.batch(0, windows.count)
    inputs, targets = batch[:, :-1], batch[:, 1:]
    np.testing.assert_array_equal(targets, inputs + 1)
    assert sorted(targets.ravel().tolist()) == list(range(1, 1001))


def test_validation_reads_the_first_windows_in_order() -> None:
    windows = Windows(Stream(101), 10)
    batches = list(windows.in_order(rows=4, limit=6))
    assert [len(batch) for batch in batches] == [4, 2]
    assert np.concatenate(batches)[:, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert sum(len(batch) for batch in windows.in_order(rows=4)) == 10


@pytest.mark.parametrize(("tokens", "count"), [(10, 0), (11, 1), (20, 1), (21, 2)])
def test_a_window_needs_one_token_more_than_its_inputs(tokens: int, count: int) -> None:
    assert Windows(Stream(tokens), 10).count == count
