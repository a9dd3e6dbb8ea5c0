import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainer.align.rl.advantage import gae, group_advantages, per_token_rewards, whiten

SEEDS = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some(seed: int, *shape: int, share: float = 0.7) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


# Groups of answers to one prompt


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 3), st.integers(2, 6), st.booleans())
def test_an_advantage_is_the_distance_from_the_groups_mean(seed: int, prompts: int, samples: int, scale: bool) -> None:
    rewards = normal(seed, prompts, samples)
    found = group_advantages(rewards, scale)
    for row, group in enumerate(rewards.tolist()):
        mean = sum(group) / samples
        spread = math.sqrt(sum((reward - mean) ** 2 for reward in group) / (samples - 1)) + 1e-4 if scale else 1.0
        assert found[row].tolist() == pytest.approx([(reward - mean) / spread for reward in group])


@pytest.mark.parametrize("reward", [0.0, 0.1, 1e6, -1 / 3])
@pytest.mark.parametrize("samples", [1, 2, 7])
@pytest.mark.parametrize("scale", [True, False])
def test_a_group_that_is_all_alike_has_exactly_0(reward: float, samples: int, scale: bool) -> None:
    rewards = torch.full((2, samples), reward)
    assert group_advantages(rewards, scale).abs().sum().item() == 0


def test_one_right_answer_of_eight_stands_out_more_than_one_of_two() -> None:
    one_of_eight = group_advantages(torch.tensor([[1.0] + [0.0] * 7]))[0, 0]
    one_of_two = group_advantages(torch.tensor([[1.0, 0.0]]))[0, 0]
    assert one_of_eight.item() == pytest.approx(7 / math.sqrt(8), rel=1e-3)
    assert one_of_two.item() == pytest.approx(math.sqrt(2) / 2, rel=1e-3)


# Generalised advantage estimation


def gae_by_definition(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """One answer without gaps: the sum over l of (gamma lam)^l delta_{t+l}, with the value 0 behind the end."""
    behind = [*values, 0.0][1:]
    deltas = [r + gamma * after - v for r, v, after in zip(rewards, values, behind, strict=True)]
    return [
        sum((gamma * lam) ** distance * delta for distance, delta in enumerate(deltas[t:])) for t in range(len(rewards))
    ]


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(1, 8), st.floats(0, 1), st.floats(0, 1))
def test_gae_is_its_double_sum_over_the_tokens_of_the_mask(
    seed: int, rows: int, time: int, gamma: float, lam: float
) -> None:
    """Masks with gaps too: a row must be as if only its own tokens were there."""
    rewards, values, mask = normal(seed, rows, time), normal(seed + 1, rows, time), some(seed, rows, time)
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    for row, mine in enumerate(mask):
        expected = gae_by_definition(rewards[row][mine].tolist(), values[row][mine].tolist(), gamma, lam)
        assert advantages[row][mine].tolist() == pytest.approx(expected, abs=1e-12)
        torch.testing.assert_close(returns[row][mine], advantages[row][mine] + values[row][mine])
        assert advantages[row][~mine].abs().sum().item() == returns[row][~mine].abs().sum().item() == 0


def test_with_gamma_and_lambda_1_the_return_is_the_sum_of_the_rewards_to_come() -> None:
    rewards, mask = torch.tensor([[1.0, 2.0, 4.0, 8.0]]), torch.tensor([[True, True, True, False]])
    assert gae(rewards, normal(1, 1, 4).float(), mask, 1.0, 1.0)[1].tolist()[0] == pytest.approx([7, 6, 4, 0])


def test_with_lambda_0_it_is_the_surprise_of_one_step() -> None:
    rewards, values = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.25]])
    advantages, _ = gae(rewards, values, torch.ones(1, 2, dtype=torch.bool), 0.9, 0.0)
    assert advantages.tolist()[0] == pytest.approx([0.9 * 0.25 - 0.5, 1 - 0.25])


def test_what_a_tool_said_amid_an_answer_is_no_step() -> None:
    rewards, values = torch.tensor([[0.0, math.nan, 1.0]]), torch.tensor([[0.5, math.nan, 0.25]])
    advantages, returns = gae(rewards, values, torch.tensor([[True, False, True]]), 1.0, 1.0)
    assert advantages.tolist() == [[0.5, 0.0, 0.75]]
    assert returns.tolist() == [[1.0, 0.0, 1.0]]


def test_an_answer_of_no_tokens_has_no_advantages() -> None:
    advantages, returns = gae(normal(1, 1, 3), normal(2, 1, 3), torch.zeros(1, 3, dtype=torch.bool), 1.0, 0.95)
    assert advantages.tolist() == returns.tolist() == [[0.0] * 3]


# Whitening


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 4), st.integers(2, 6))
def test_whitened_numbers_have_mean_0_and_variance_1_over_the_mask(seed: int, rows: int, time: int) -> None:
    mask = some(seed, rows, time)
    mask[0, :2] = True
    white = whiten(5 + 3 * normal(seed, rows, time), mask)
    assert white[mask].mean().item() == pytest.approx(0, abs=1e-9)
    assert white[mask].var().item() == pytest.approx(1, rel=1e-3)
    assert white[~mask].abs().sum().item() == 0


def test_one_token_none_and_all_alike_whiten_to_0() -> None:
    x = torch.tensor([[3.0, math.nan, 7.0]])
    for mask in ([True, False, False], [False, False, False]):
        assert whiten(x, torch.tensor([mask])).tolist() == [[0.0] * 3]
    assert whiten(torch.full((2, 3), 0.1), torch.ones(2, 3, dtype=torch.bool)).abs().max().item() < 1e-3


# Rewards of tokens


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(1, 6), st.floats(0, 1))
def test_the_score_is_on_the_last_token_and_the_kl_penalty_on_each(
    seed: int, rows: int, time: int, kl_coef: float
) -> None:
    score, logprobs, reference = normal(seed, rows), normal(seed + 1, rows, time), normal(seed + 2, rows, time)
    mask = some(seed, rows, time)
    found = per_token_rewards(score, logprobs, reference, mask, kl_coef)
    for row in range(rows):
        mine = mask[row].nonzero().flatten().tolist()
        for t in range(time):
            expected = -kl_coef * (logprobs[row, t] - reference[row, t]).item() if t in mine else 0.0
            if mine and t == mine[-1]:
                expected += score[row].item()
            assert found[row, t].item() == pytest.approx(expected, abs=1e-12)


def test_rubbish_outside_the_mask_is_no_reward() -> None:
    rubbish = torch.tensor([[-1.0, math.nan, math.inf]])
    mask = torch.tensor([[True, False, False]])
    assert per_token_rewards(torch.tensor([2.0]), rubbish, torch.zeros(1, 3), mask, 0.5).tolist() == [[2.5, 0.0, 0.0]]
