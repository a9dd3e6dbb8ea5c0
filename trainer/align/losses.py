"""The losses of the alignment stages as functions of tensors: no model, no data, no loop.

A loss that is normalised by a count takes that count of the whole batch as `total`, so that the sum over micro-batches
is the loss of the batch, whichever way it is split. Without `total` the tensors given are the batch.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.model import IGNORE

Total = float | Tensor | None


def token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """ln p of each token: logits [B, T, V], tokens int64 [B, T] (logits[b, t] foresees tokens[b, t]) -> [B, T].

    In float32 at least: bfloat16 has two digits, and a ratio of probabilities needs more. Row by row and without
    log_softmax's table of all V: beyond the logits, 8 rows of 512 tokens by 8,192 pieces took 22 MiB, not 129.
    """
    return torch.stack([_token_logprobs(row, chosen) for row, chosen in zip(logits, tokens, strict=True)])


def _token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    logits = _at_least_float32(logits)
    return logits.gather(-1, tokens[:, None]).squeeze(-1) - logits.logsumexp(-1)


def entropy(logits: Tensor) -> Tensor:
    """Shannon entropy of each prediction in nats: [B, T, V] -> [B, T]. A logit of -inf (a token shut out) adds 0."""
    return torch.stack([_entropy(row) for row in logits])


def _entropy(logits: Tensor) -> Tensor:
    logprobs = _at_least_float32(logits).log_softmax(-1)
    return -(logprobs.exp() * logprobs.clamp(min=torch.finfo(logprobs.dtype).min)).sum(-1)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def sequence_logprobs(logprobs: Tensor, mask: Tensor, length_normalised: bool = False) -> Tensor:
    """ln p of each answer: logprobs [B, T], mask bool [B, T] of the answer's tokens -> [B].

    `length_normalised` gives the mean over the tokens instead of the sum; `dpo` of such means is the length-normalised
    DPO of Lambert et al. 2024 (Tülu 3, section 5.1.2). A row without tokens has 0.
    """
    sums = logprobs.masked_fill(~mask, 0).sum(-1)
    return sums / mask.sum(-1).clamp(min=1) if length_normalised else sums


def sft_loss(logits: Tensor, targets: Tensor, weights: Tensor, total: Total = None) -> Tensor:
    """Cross-entropy in nats over trained tokens: sum of weight * loss / total; 0 where nothing is trained.

    logits [..., V], targets int64 [...], weights [...] (bool, or float where some tokens count more). `total` is the
    sum of weights of the whole batch. A mean for each micro-batch would weigh its tokens by how few they are.
    """
    weights = weights.flatten()
    targets = targets.flatten().masked_fill(weights == 0, IGNORE)
    losses = F.cross_entropy(_at_least_float32(logits.flatten(0, -2)), targets, ignore_index=IGNORE, reduction="none")
    return _share(losses * weights, weights.sum() if total is None else total)


def _share(terms: Tensor, total: float | Tensor) -> Tensor:
    """The sum of terms / total; where the total is 0 there are no terms either, and the sum is 0 and not NaN."""
    return terms.sum() / (total if total > 0 else 1.0)


def bradley_terry(
    chosen: Tensor, rejected: Tensor, margin: Tensor | None = None, weight: Tensor | None = None, total: Total = None
) -> Tensor:
    """-ln sigmoid(chosen - rejected - margin), the mean over pairs weighted by `weight`; all [P].

    Bradley and Terry 1952 as the loss of a reward model: Ouyang et al. 2022 (InstructGPT), equation 1; the margin,
    larger where people were surer, is Touvron et al. 2023 (Llama 2), equation 2. `total` is the whole batch's weight.
    """
    gap = chosen - rejected if margin is None else chosen - rejected - margin
    weight = torch.ones_like(gap) if weight is None else weight
    return _share(-F.logsigmoid(gap) * weight, weight.sum() if total is None else total)


def ranked_pairs(ranks: Tensor, ranking: Tensor) -> Tensor:
    """All pairs of each ranking: ranks [N] (lower is better), ranking int64 [N] (whose it is) -> int64 [P, 2].

    A row is (the better one's index, the worse one's). Answers that tie make no pair, as they say nothing of order.
    """
    return ((ranking[:, None] == ranking) & (ranks[:, None] < ranks)).nonzero()


def ranking_loss(
    scores: Tensor, pairs: Tensor, ranking: Tensor, margin: Tensor | None = None, total: Total = None
) -> Tensor:
    """`bradley_terry` over all pairs of a ranking, the mean over its pairs, then over rankings with a pair.

    scores [N]; pairs int64 [P, 2] as of `ranked_pairs`; ranking int64 [N], numbers from 0; margin [P]. `total` is the
    number of rankings of the whole batch; a ranking must lie in one micro-batch. Ouyang et al. 2022 (InstructGPT),
    section 3.5: the K(K-1)/2 pairs of a ranking share their answers, so spread over batches they overfit, and each
    ranking counts the same however long it is.
    """
    better, worse = pairs.unbind(-1)
    owner = ranking[better]
    sizes = owner.bincount()
    weight = sizes[owner].to(scores.dtype).reciprocal()
    return bradley_terry(scores[better], scores[worse], margin, weight, (sizes > 0).sum() if total is None else total)


def center(chosen: Tensor, rejected: Tensor, coefficient: float) -> Tensor:
    """coefficient * mean (chosen + rejected)^2, which keeps rewards about 0: only their differences are trained.

    Eisenstein et al. 2023, section 2 ("Helping or herding?"); TRL's center_rewards_coefficient, which advises 0.01.
    """
    return coefficient * _share((chosen + rejected) ** 2, len(chosen))


@dataclass(frozen=True)
class Preference:
    """What DPO says of each pair: its loss, and the rewards that the policy gives implicitly (without gradient)."""

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor


def dpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float,
    label_smoothing: float = 0.0,
) -> Preference:
    """-ln sigmoid(beta * (ln ratio of chosen - ln ratio of rejected)); all [P], as of `sequence_logprobs`.

    Rafailov et al. 2023, equation 7. `label_smoothing` is the chance that a label is the wrong way round: their
    conservative DPO, which weighs the loss of both orders by it.
    """
    chosen, rejected = beta * (policy_chosen - reference_chosen), beta * (policy_rejected - reference_rejected)
    gap = chosen - rejected
    losses = -(1 - label_smoothing) * F.logsigmoid(gap) - label_smoothing * F.logsigmoid(-gap)
    return Preference(losses, chosen.detach(), rejected.detach())


@dataclass(frozen=True)
class Judgement:
    """What KTO says of each answer: its loss and implicit reward (without gradient), and z0, which they are held to."""

    losses: Tensor
    rewards: Tensor
    kl: Tensor


def kto(
    policy: Tensor,
    reference: Tensor,
    desirable: Tensor,
    policy_mismatched: Tensor,
    reference_mismatched: Tensor,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Judgement:
    """weight * (1 - sigmoid(+-beta * (ln ratio - z0))), + where desirable; policy, reference, desirable (bool): [N].

    Ethayarajh et al. 2024, equations 7 and 8. z0 estimates KL(policy || reference) from answers to other prompts of
    the batch, [M]: their mean ln ratio, at least 0 and without gradient. Equation 9 wants the weights such that
    desirable_weight * desirables : undesirable_weight * undesirables is between 1 and 4/3.
    """
    kl = (policy_mismatched - reference_mismatched).mean().clamp(min=0).detach()
    ratio = policy - reference
    value = beta * torch.where(desirable, ratio - kl, kl - ratio)
    weight = torch.where(desirable, torch.full_like(ratio, desirable_weight), undesirable_weight)
    return Judgement(weight * (1 - value.sigmoid()), beta * ratio.detach(), kl)


def k3(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """KL(policy || reference) for each token drawn from the policy: r - 1 - ln r with r = reference / policy.

    Schulman 2020, "Approximating KL divergence"; Shao et al. 2024 (GRPO), equation 4. Never negative, unbiased, and
    with less variance than -ln r.
    """
    log_ratio = reference_logprobs - logprobs
    return log_ratio.expm1() - log_ratio


@dataclass(frozen=True)
class PolicyMetrics:
    """Means over the tokens of the mask, without gradient: scalars."""

    clip_fraction: Tensor
    """Share of tokens that give no gradient because their ratio has left the bounds on the side that pays."""
    old_kl: Tensor
    """KL(the policy that wrote the tokens || this one); where it is large, they have been learnt from for too long."""
    reference_kl: Tensor
    """KL from the reference by `k3`; 0 without one."""
    ratio: Tensor


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    kl_coef: float = 0.0,
    reference_logprobs: Tensor | None = None,
    normalise: str = "token",
    total: Total = None,
) -> tuple[Tensor, PolicyMetrics]:
    """-min(ratio * A, clip(ratio, 1 - clip_low, 1 + clip_high) * A) + kl_coef * k3, over the tokens of the mask.

    logprobs, old_logprobs, reference_logprobs [B, T]; mask bool [B, T] of what the policy wrote; advantages [B, T],
    or [B, 1] where an answer has one. Schulman et al. 2017 (PPO), equation 7; with k3 in the loss it is Shao et al.
    2024 (GRPO), equation 3. A higher clip_high lets unlikely tokens grow (Yu et al. 2025, DAPO, section 3.1).

    normalise="token" divides by the batch's tokens, so long answers weigh more (DAPO, section 3.3); "sequence" takes
    each answer's mean and then the mean over answers (GRPO); `total` is the batch's number of tokens, or of answers.
    """
    if normalise not in ("token", "sequence"):
        raise ValueError(f'normalise is "{normalise}"; expected "token" or "sequence".')
    if kl_coef and reference_logprobs is None:
        raise ValueError(f"kl_coef is {kl_coef} but there are no reference_logprobs; give them, or set kl_coef to 0.")
    # Outside the mask may stand anything; it must not reach exp, whose inf * 0 would be NaN in loss and gradient.
    log_ratio = (logprobs - old_logprobs).masked_fill(~mask, 0)
    ratio = log_ratio.exp()
    free = ratio * advantages
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    losses = -torch.minimum(free, clipped)
    kl = torch.zeros_like(losses)
    if reference_logprobs is not None:
        kl = k3(logprobs.masked_fill(~mask, 0), reference_logprobs.masked_fill(~mask, 0))
        losses = losses + kl_coef * kl
    losses = losses.masked_fill(~mask, 0)
    if normalise == "token":
        loss = _share(losses, mask.sum() if total is None else total)
    else:
        loss = _share(losses.sum(-1) / mask.sum(-1).clamp(min=1), len(mask) if total is None else total)
    with torch.no_grad():
        metrics = PolicyMetrics(
            clip_fraction=masked_mean((clipped < free).to(ratio.dtype), mask),
            old_kl=masked_mean(log_ratio.expm1() - log_ratio, mask),
            reference_kl=masked_mean(kl, mask),
            ratio=masked_mean(ratio, mask),
        )
    return loss, metrics


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float = 0.2, total: Total = None
) -> Tensor:
    """Half the squared error of the values, clipped like the policy: all [B, T], the mean over the mask's tokens.

    The larger of (v - R)^2 and (v' - R)^2, where v' is v held within `clip` of the old value: a value gains nothing
    by moving further than that. Not in the paper but in the code of PPO (Huang et al. 2022, detail 9).
    """
    held = old_values + (values - old_values).clamp(-clip, clip)
    losses = 0.5 * torch.maximum((values - returns) ** 2, (held - returns) ** 2)
    return _share(losses.masked_fill(~mask, 0), mask.sum() if total is None else total)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean of x where the mask (bool, same shape) is true; 0 where it never is."""
    return _share(x.masked_fill(~mask, 0), mask.sum())
