import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainer.align.losses import (
    bradley_terry,
    center,
    dpo,
    entropy,
    k3,
    kto,
    masked_mean,
    policy_loss,
    ranked_pairs,
    ranking_loss,
    sequence_logprobs,
    sft_loss,
    token_logprobs,
    value_loss,
)

SEEDS = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some(seed: int, *shape: int, share: float = 0.6) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


def whole(seed: int, below: int, *shape: int) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def gradients_are_right(function: Callable[..., Tensor], *inputs: Tensor) -> bool:
    return torch.autograd.gradcheck(function, [each.clone().requires_grad_() for each in inputs])


# Log-probabilities


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 3), st.integers(1, 4), st.integers(1, 6))
def test_log_probabilities_and_entropy_are_those_of_the_softmax(seed: int, rows: int, time: int, size: int) -> None:
    logits, tokens = normal(seed, rows, time, size, scale=4), whole(seed, size, rows, time)
    found, uncertainty = token_logprobs(logits, tokens), entropy(logits)
    for row, t in itertools.product(range(rows), range(time)):
        weights = [math.exp(x) for x in logits[row, t].tolist()]
        chances = [weight / sum(weights) for weight in weights]
        assert found[row, t].item() == pytest.approx(math.log(chances[int(tokens[row, t])]), abs=1e-12)
        assert uncertainty[row, t].item() == pytest.approx(-sum(p * math.log(p) for p in chances), abs=1e-12)


def test_log_probabilities_of_bfloat16_are_computed_in_float32() -> None:
    logits = normal(0, 2, 3, 50).bfloat16()
    found = token_logprobs(logits, whole(0, 50, 2, 3))
    assert found.dtype == entropy(logits).dtype == torch.float32
    torch.testing.assert_close(found, token_logprobs(logits.double(), whole(0, 50, 2, 3)).float())


def test_logits_of_a_thousand_do_not_overflow() -> None:
    logits = torch.tensor([[[1000.0, 0.0, -1000.0]]])
    assert token_logprobs(logits, torch.tensor([[0]])).item() == 0
    assert token_logprobs(logits, torch.tensor([[2]])).item() == -2000
    assert entropy(logits).item() == 0


def test_tokens_shut_out_add_nothing_to_the_entropy() -> None:
    logits = torch.tensor([[[1.0, 1.0, -math.inf]]], requires_grad=True)
    uncertainty = entropy(logits)
    uncertainty.sum().backward()
    assert uncertainty.item() == pytest.approx(math.log(2))
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_gradients_of_log_probabilities_and_entropy() -> None:
    assert gradients_are_right(lambda x: token_logprobs(x, whole(1, 5, 2, 3)), normal(1, 2, 3, 5))
    assert gradients_are_right(entropy, normal(1, 2, 3, 5))


def test_an_answers_log_probability_is_the_sum_or_the_mean_over_its_tokens() -> None:
    logprobs = torch.tensor([[-1.0, -2.0, -4.0], [-1.0, math.nan, math.nan], [-5.0, -6.0, -7.0]])
    mask = torch.tensor([[True, False, True], [True, False, False], [False, False, False]])
    assert sequence_logprobs(logprobs, mask).tolist() == [-5.0, -1.0, 0.0]
    assert sequence_logprobs(logprobs, mask, length_normalised=True).tolist() == [-2.5, -1.0, 0.0]


# Supervised fine-tuning


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_sft_loss_is_the_weighted_mean_over_trained_tokens(seed: int, rows: int, time: int, graded: bool) -> None:
    logits, targets = normal(seed, rows, time, 7), whole(seed, 7, rows, time)
    weights = some(seed, rows, time) * (normal(seed, rows, time).abs() if graded else 1.0)
    logprobs = logits.log_softmax(-1)
    total = loss = 0.0
    for row, t in itertools.product(range(rows), range(time)):
        weight = weights[row, t].item()
        loss -= weight * logprobs[row, t, targets[row, t]].item()
        total += weight
    assert sft_loss(logits, targets, weights).item() == pytest.approx(loss / total if total else 0.0, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 6), st.integers(1, 6))
def test_micro_batches_add_up_to_the_batch(seed: int, rows: int, size: int) -> None:
    logits, targets, trained = normal(seed, rows, 4, 7).requires_grad_(), whole(seed, 7, rows, 4), some(seed, rows, 4)
    batch = sft_loss(logits, targets, trained)
    parts = zip(logits.split(size), targets.split(size), trained.split(size), strict=True)
    summed = sum((sft_loss(*part, trained.sum()) for part in parts), torch.zeros(()))
    torch.testing.assert_close(summed, batch)
    torch.testing.assert_close(torch.autograd.grad(summed, logits), torch.autograd.grad(batch, logits))


def test_untrained_tokens_have_no_gradient_even_where_their_target_is_padding() -> None:
    logits = normal(2, 1, 2, 5).requires_grad_()
    sft_loss(logits, torch.tensor([[3, -1]]), torch.tensor([[True, False]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0].abs().sum() > 0
    assert logits.grad[0, 1].tolist() == [0.0] * 5


def test_a_batch_without_trained_tokens_has_loss_0_and_gradient_0() -> None:
    logits = normal(3, 2, 2, 5).requires_grad_()
    loss = sft_loss(logits, whole(3, 5, 2, 2), torch.zeros(2, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


# Reward model


def test_equal_rewards_lose_ln_2_and_a_margin_asks_for_more() -> None:
    one = torch.ones(1)
    assert bradley_terry(one, one).item() == pytest.approx(math.log(2))
    assert bradley_terry(3 * one, one, margin=2 * one).item() == pytest.approx(math.log(2))
    assert bradley_terry(3 * one, one).item() < math.log(2) < bradley_terry(2 * one, one, margin=2 * one).item()


def test_rewards_a_thousand_apart_do_not_overflow() -> None:
    far = torch.tensor([1000.0], requires_grad=True)
    loss = bradley_terry(-far, far)
    loss.backward()
    assert loss.item() == 2000
    assert far.grad is not None
    assert far.grad.item() == 2


def test_a_pair_of_weight_0_does_not_count() -> None:
    chosen, rejected = torch.tensor([1.0, 9.0]), torch.tensor([0.0, 0.0])
    weighed = bradley_terry(chosen, rejected, weight=torch.tensor([1.0, 0.0]))
    assert weighed.item() == bradley_terry(chosen[:1], rejected[:1]).item()
    assert bradley_terry(chosen[:0], rejected[:0]).item() == 0


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_a_ranking_loss_is_the_mean_over_pairs_and_then_over_rankings(seed: int, lengths: list[int]) -> None:
    count = sum(lengths)
    scores, ranks = normal(seed, count, scale=2), whole(seed, 4, count)
    ranking = torch.repeat_interleave(torch.tensor(lengths))
    means = []
    for owner in range(len(lengths)):
        mine = [index for index in range(count) if ranking[index] == owner]
        gaps = [scores[i] - scores[j] for i in mine for j in mine if ranks[i] < ranks[j]]
        if gaps:
            means.append(sum(-log_sigmoid(gap.item()) for gap in gaps) / len(gaps))
    loss = ranking_loss(scores, ranked_pairs(ranks, ranking), ranking)
    assert loss.item() == pytest.approx(sum(means) / len(means) if means else 0.0, abs=1e-12)


def test_answers_that_tie_and_answers_of_other_rankings_make_no_pair() -> None:
    ranks, ranking = torch.tensor([2, 1, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 1])
    assert ranked_pairs(ranks, ranking).tolist() == [[1, 0], [2, 0], [3, 4]]


def test_rankings_split_over_micro_batches_add_up() -> None:
    scores, ranks, ranking = normal(4, 7), torch.tensor([1, 2, 3, 4, 1, 2, 3]), torch.tensor([0, 0, 0, 0, 1, 1, 1])
    pairs = ranked_pairs(ranks, ranking)
    first, second = pairs[ranking[pairs[:, 0]] == 0], pairs[ranking[pairs[:, 0]] == 1]
    summed = ranking_loss(scores, first, ranking, total=2) + ranking_loss(scores, second, ranking, total=2)
    torch.testing.assert_close(summed, ranking_loss(scores, pairs, ranking))


def test_centring_penalises_the_sum_and_not_the_difference() -> None:
    assert center(torch.tensor([2.0, 1.0]), torch.tensor([-2.0, 1.0]), 0.5).item() == pytest.approx(0.5 * (0 + 4) / 2)


def test_gradients_of_the_reward_losses() -> None:
    chosen, rejected, margin = normal(5, 4), normal(6, 4), normal(7, 4).abs()
    assert gradients_are_right(lambda c, r: bradley_terry(c, r, margin, margin) + center(c, r, 0.1), chosen, rejected)
    ranking = torch.zeros(4, dtype=torch.int64)
    assert gradients_are_right(lambda x: ranking_loss(x, ranked_pairs(torch.arange(4), ranking), ranking), chosen)


# Preferences without a reward model


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 5), st.floats(0.01, 5), st.floats(0, 0.5))
def test_dpo_is_its_formula(seed: int, pairs: int, beta: float, smoothing: float) -> None:
    sides = [normal(seed + index, pairs, scale=3) for index in range(4)]
    found = dpo(sides[0], sides[1], sides[2], sides[3], beta, smoothing)
    for pair in range(pairs):
        policy_chosen, policy_rejected, reference_chosen, reference_rejected = (side[pair].item() for side in sides)
        gap = beta * ((policy_chosen - reference_chosen) - (policy_rejected - reference_rejected))
        expected = -(1 - smoothing) * log_sigmoid(gap) - smoothing * log_sigmoid(-gap)
        assert found.losses[pair].item() == pytest.approx(expected, abs=1e-12)
        assert found.chosen_rewards[pair].item() == pytest.approx(beta * (policy_chosen - reference_chosen))
        assert found.rejected_rewards[pair].item() == pytest.approx(beta * (policy_rejected - reference_rejected))


def test_a_policy_that_is_its_reference_loses_ln_2_however_unlikely_the_answers() -> None:
    chosen, rejected = torch.tensor([-3.0, -900.0]), torch.tensor([-800.0, -4.0])
    found = dpo(chosen, rejected, chosen, rejected, beta=0.1)
    assert found.losses.tolist() == pytest.approx([math.log(2)] * 2)
    assert found.chosen_rewards.tolist() == found.rejected_rewards.tolist() == [0.0, 0.0]


def test_smoothing_pushes_back_a_pair_that_is_already_far_apart() -> None:
    gap = torch.tensor([50.0], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    plain = torch.autograd.grad(dpo(gap, zero, zero, zero, 1.0).losses.sum(), gap)[0]
    smooth = torch.autograd.grad(dpo(gap, zero, zero, zero, 1.0, label_smoothing=0.1).losses.sum(), gap)[0]
    assert plain.item() <= 0 < smooth.item()
    assert smooth.item() == pytest.approx(0.1)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 6), st.floats(0.01, 2))
def test_kto_is_its_formula(seed: int, rows: int, beta: float) -> None:
    policy, reference, desirable = normal(seed, rows), normal(seed + 1, rows), some(seed, rows)
    mismatched = normal(seed + 2, 3), normal(seed + 3, 3)
    found = kto(policy, reference, desirable, *mismatched, beta, desirable_weight=1.3, undesirable_weight=0.7)
    kl = max(0.0, sum((a - b).item() for a, b in zip(*mismatched, strict=True)) / 3)
    assert found.kl.item() == pytest.approx(kl, abs=1e-12)
    for row in range(rows):
        ratio = (policy[row] - reference[row]).item()
        sign, weight = (1, 1.3) if desirable[row] else (-1, 0.7)
        expected = weight * (1 - 1 / (1 + math.exp(-sign * beta * (ratio - kl))))
        assert found.losses[row].item() == pytest.approx(expected, abs=1e-12)
        assert found.rewards[row].item() == pytest.approx(beta * ratio, abs=1e-12)


def test_no_gradient_flows_through_ktos_kl() -> None:
    mismatched = normal(1, 3).requires_grad_()
    policy = normal(2, 2).requires_grad_()
    desirable = torch.tensor([True, False])
    loss = kto(policy, normal(3, 2), desirable, mismatched, normal(4, 3), 0.1).losses.sum()
    loss.backward()
    assert mismatched.grad is None
    assert policy.grad is not None
    assert policy.grad[0] < 0 < policy.grad[1]


def test_gradients_of_the_preference_losses() -> None:
    sides = [normal(seed, 3) for seed in range(4)]
    assert gradients_are_right(lambda c, r: dpo(c, r, sides[2], sides[3], 0.5, 0.1).losses, *sides[:2])
    desirable = torch.tensor([True, False, True])
    assert gradients_are_right(lambda p: kto(p, sides[1], desirable, sides[2], sides[3], 0.5).losses, sides[0])


# Reinforcement learning


def policy_by_hand(a: dict[str, Any], low: float, high: float, kl_coef: float, normalise: str) -> tuple[float, ...]:
    """(loss, clip fraction, old KL, reference KL, mean ratio), token by token."""
    rows, time = a["mask"].shape
    sums, logs = [], []
    for row in range(rows):
        losses = []
        for t in range(time):
            if not a["mask"][row, t]:
                continue
            new, old, reference, gain = (
                a[name][row, t].item() for name in ("logprobs", "old_logprobs", "reference_logprobs", "advantages")
            )
            ratio = math.exp(new - old)
            held = min(max(ratio, 1 - low), 1 + high)
            kl = math.exp(reference - new) - (reference - new) - 1
            losses.append(-min(ratio * gain, held * gain) + kl_coef * kl)
            clipped = (ratio > 1 + high and gain > 0) or (ratio < 1 - low and gain < 0)
            logs.append((float(clipped), ratio - 1 - math.log(ratio), kl, ratio))
        sums.append((sum(losses), len(losses)))
    if normalise == "token":
        loss = sum(x for x, _ in sums) / max(1, sum(count for _, count in sums))
    else:
        loss = sum(x / max(1, count) for x, count in sums) / rows
    means = (sum(column) / len(logs) for column in zip(*logs, strict=True)) if logs else (0.0,) * 4
    return loss, *means


def trajectories(seed: int, rows: int, time: int) -> dict[str, Any]:
    logprobs = normal(seed, rows, time) - 2
    return {
        "logprobs": logprobs,
        "old_logprobs": logprobs + normal(seed + 1, rows, time, scale=0.3),
        "advantages": normal(seed + 2, rows, time),
        "mask": some(seed, rows, time),
        "reference_logprobs": logprobs + normal(seed + 3, rows, time, scale=0.3),
    }


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(1, 5), st.sampled_from(["token", "sequence"]), st.floats(0, 1))
def test_the_policy_loss_and_its_metrics_are_those_by_hand(
    seed: int, rows: int, time: int, normalise: str, kl_coef: float
) -> None:
    a = trajectories(seed, rows, time)
    loss, metrics = policy_loss(**a, clip_low=0.2, clip_high=0.28, kl_coef=kl_coef, normalise=normalise)
    found = (loss, metrics.clip_fraction, metrics.old_kl, metrics.reference_kl, metrics.ratio)
    expected = policy_by_hand(a, 0.2, 0.28, kl_coef, normalise)
    assert [each.item() for each in found] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("normalise", ["token", "sequence"])
def test_policy_losses_of_micro_batches_add_up(normalise: str) -> None:
    a = trajectories(9, 6, 5)
    batch = policy_loss(**a, kl_coef=0.1, normalise=normalise)[0]
    total = a["mask"].sum() if normalise == "token" else 6
    parts = [{name: each[rows] for name, each in a.items()} for rows in (slice(2), slice(2, 3), slice(3, None))]
    losses = [policy_loss(**part, kl_coef=0.1, normalise=normalise, total=total)[0] for part in parts]
    torch.testing.assert_close(torch.stack(losses).sum(), batch)


def test_value_losses_of_micro_batches_add_up() -> None:
    values, old, returns, mask = normal(1, 6, 5), normal(2, 6, 5), normal(3, 6, 5), some(4, 6, 5)
    first, second = (
        value_loss(values[rows], old[rows], returns[rows], mask[rows], total=mask.sum())
        for rows in (slice(2), slice(2, None))
    )
    torch.testing.assert_close(first + second, value_loss(values, old, returns, mask))


def test_on_its_own_answers_the_policys_gradient_is_reinforce() -> None:
    a = trajectories(10, 3, 4)
    logprobs = a["logprobs"].requires_grad_()
    loss, metrics = policy_loss(logprobs, logprobs.detach(), a["advantages"], a["mask"])
    gradient = torch.autograd.grad(loss, logprobs)[0]
    torch.testing.assert_close(gradient, -(a["advantages"] * a["mask"]) / a["mask"].sum())
    assert metrics.ratio.item() == 1
    assert metrics.old_kl.item() == metrics.clip_fraction.item() == 0


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"),
    [
        (1.27, 1.0, True),
        (1.29, 1.0, False),
        (0.81, -1.0, True),
        (0.79, -1.0, False),
        (1.5, -1.0, True),
        (0.5, 1.0, True),
    ],
)
def test_only_a_ratio_outside_the_bounds_on_the_side_that_pays_stops_learning(
    ratio: float, advantage: float, moves: bool
) -> None:
    logprobs = torch.full((1, 1), math.log(ratio), requires_grad=True)
    everything = torch.ones(1, 1, dtype=torch.bool)
    loss, metrics = policy_loss(
        logprobs, torch.zeros(1, 1), torch.full((1, 1), advantage), everything, clip_low=0.2, clip_high=0.28
    )
    assert bool(torch.autograd.grad(loss, logprobs)[0].abs() > 0) is moves
    assert metrics.clip_fraction.item() == float(not moves)


def test_one_advantage_an_answer_is_that_of_each_of_its_tokens() -> None:
    a = trajectories(11, 3, 4)
    a["advantages"] = normal(1, 3, 1)
    torch.testing.assert_close(policy_loss(**a)[0], policy_loss(**{**a, "advantages": a["advantages"].expand(3, 4)})[0])


def test_rubbish_outside_the_mask_reaches_neither_loss_nor_gradient() -> None:
    a = trajectories(12, 2, 3)
    a["mask"] = torch.tensor([[True, True, False], [False, False, False]])
    clean, clean_metrics = policy_loss(**a, kl_coef=0.1)
    for name in ("old_logprobs", "reference_logprobs", "advantages"):
        a[name] = a[name].masked_fill(~a["mask"], -math.inf if name != "advantages" else math.nan)
    logprobs = a.pop("logprobs").masked_fill(~a["mask"], 1e4).requires_grad_()
    loss, metrics = policy_loss(logprobs, **a, kl_coef=0.1)
    gradient = torch.autograd.grad(loss, logprobs)[0]
    torch.testing.assert_close(loss, clean)
    assert metrics == clean_metrics
    assert torch.isfinite(gradient).all()
    assert gradient[1].abs().sum() == 0


@pytest.mark.parametrize("normalise", ["token", "sequence"])
def test_a_batch_without_tokens_has_policy_and_value_loss_0(normalise: str) -> None:
    a = trajectories(13, 2, 3)
    a["mask"] = torch.zeros(2, 3, dtype=torch.bool)
    assert policy_loss(**a, kl_coef=0.1, normalise=normalise)[0].item() == 0
    assert value_loss(a["logprobs"], a["old_logprobs"], a["advantages"], a["mask"]).item() == 0


def test_k3_is_never_negative_and_on_average_the_kl() -> None:
    """Over all tokens with their probabilities, not by drawing: the average is exact."""
    policy, reference = normal(14, 1, 50).log_softmax(-1), normal(15, 1, 50).log_softmax(-1)
    estimates = k3(policy, reference)
    assert (estimates >= 0).all()
    assert (policy.exp() * estimates).sum().item() == pytest.approx((policy.exp() * (policy - reference)).sum().item())


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 3), st.integers(1, 5), st.floats(0.01, 1))
def test_the_value_loss_is_the_larger_of_the_free_and_the_held_error(
    seed: int, rows: int, time: int, clip: float
) -> None:
    values, old, returns = (normal(seed + index, rows, time) for index in range(3))
    mask = some(seed, rows, time)
    losses = []
    for row, t in itertools.product(range(rows), range(time)):
        if mask[row, t]:
            v, o, r = values[row, t].item(), old[row, t].item(), returns[row, t].item()
            held = min(max(v, o - clip), o + clip)
            losses.append(0.5 * max((v - r) ** 2, (held - r) ** 2))
    found = value_loss(values, old, returns, mask, clip).item()
    assert found == pytest.approx(sum(losses) / len(losses) if losses else 0.0, abs=1e-12)


def test_gradients_of_the_policy_and_value_losses() -> None:
    a = trajectories(16, 3, 4)
    for normalise in ("token", "sequence"):
        assert gradients_are_right(
            lambda x, how=normalise: policy_loss(**{**a, "logprobs": x}, kl_coef=0.2, normalise=how)[0], a["logprobs"]
        )
    rest = a["old_logprobs"], a["advantages"], a["mask"]
    assert gradients_are_right(lambda x: value_loss(x, *rest), a["logprobs"])


def test_what_cannot_be_meant_is_refused() -> None:
    a = trajectories(17, 1, 2)
    with pytest.raises(ValueError, match='normalise is "mean"; expected "token" or "sequence"'):
        policy_loss(**a, normalise="mean")
    del a["reference_logprobs"]
    with pytest.raises(ValueError, match="kl_coef is 0.1 but there are no reference_logprobs"):
        policy_loss(**a, kl_coef=0.1)


def test_the_mean_over_no_tokens_is_0() -> None:
    x = torch.tensor([2.0, 4.0, math.nan])
    assert masked_mean(x, torch.tensor([True, True, False])).item() == 3
    assert masked_mean(x, torch.zeros(3, dtype=torch.bool)).item() == 0
