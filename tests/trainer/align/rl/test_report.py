import pytest

from trainer.align.rl.report import duel, mean


def test_a_duel_counts_ties_apart() -> None:
    found = duel([1, 1, 0, 1, 0], [0, 1, 0, 0, 1])
    assert (found.wins, found.ties, found.losses) == (2, 2, 1)
    assert found.share.value == pytest.approx(2 / 3)
    assert found.p == 1.0
    assert str(found) == "2 won, 2 tied, 1 lost: 66.7% [20.8%, 93.9%] of 3, no more than chance (p = 1)"
    assert str(duel([1, 1], [1, 1])) == "all 2 tied"
    assert duel([1] * 10, [0] * 10).p == pytest.approx(2 / 2**10)


def test_a_mean_s_interval() -> None:
    found = mean([0.0, 1.0] * 50)
    assert found.value == 0.5
    assert found.high - found.value == pytest.approx(1.96 * 0.5025 / 10, rel=1e-3)
    assert mean([3.0]).low == 3.0
