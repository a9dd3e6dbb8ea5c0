"""How much better than expected what a policy wrote was: from rewards to the advantages that `policy_loss` takes."""

import torch
from torch import Tensor

from trainer.align.losses import masked_mean


def group_advantages(rewards: Tensor, scale: bool = True) -> Tensor:
    """Each answer's reward against the mean of its prompt's answers: [prompts, samples] -> the same.

    Shao et al. 2024 (GRPO), section 4.1.2: `scale` divides by the standard deviation (of a sample, plus 1e-4, as in
    TRL; without scaling easy and hard prompts keep their weight: Liu et al. 2025, Dr. GRPO). Answers that all have the
    same reward say nothing, and have exactly 0: the rounding of their mean must not be blown up into a preference.
    """
    centred = rewards - rewards.mean(-1, keepdim=True)
    alike = rewards.amax(-1, keepdim=True) == rewards.amin(-1, keepdim=True)
    if scale and rewards.shape[-1] > 1:
        centred = centred / (rewards.std(-1, keepdim=True) + 1e-4)
    return centred.masked_fill(alike, 0)


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates and returns, each [B, T] and 0 outside the mask.

    A_t = sum over l of (gamma * lam)^l * (r_{t+l} + gamma * V_{t+l+1} - V_{t+l}), and the return is A_t + V_t: Schulman
    et al. 2016, equation 16. rewards, values [B, T]; mask bool [B, T] of the tokens that the policy wrote. An answer's
    last token has nothing behind it. Tokens outside the mask (a tool's result amid the answer) are no steps at all:
    neither their rewards nor their values count.
    """
    advantages = torch.zeros_like(values)
    behind = torch.zeros_like(values[:, 0])
    next_value = torch.zeros_like(behind)
    for t in reversed(range(values.shape[1])):
        mine = mask[:, t]
        surprise = rewards[:, t] + gamma * next_value - values[:, t]
        behind = torch.where(mine, surprise + gamma * lam * behind, behind)
        next_value = torch.where(mine, values[:, t], next_value)
        advantages[:, t] = torch.where(mine, behind, 0)
    return advantages, advantages + values.masked_fill(~mask, 0)


def whiten(x: Tensor, mask: Tensor) -> Tensor:
    """x shifted and scaled to mean 0 and variance 1 over the mask, 0 outside it; the variance is that of a sample.

    The batch's advantages in PPO (Huang et al. 2022, detail 7). One token, or none, or all alike give 0.
    """
    centred = (x - masked_mean(x, mask)).masked_fill(~mask, 0)
    variance = centred.square().sum() / (mask.sum() - 1).clamp(min=1)
    return centred * (variance + 1e-8).rsqrt()


def per_token_rewards(
    score: Tensor, logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor, kl_coef: float
) -> Tensor:
    """-kl_coef * (ln policy - ln reference) on each token of the mask, and the answer's score on the last one.

    score [B]; logprobs, reference_logprobs [B, T]; mask bool [B, T] -> [B, T], 0 outside the mask. Ouyang et al. 2022
    (InstructGPT), equation 2. An answer without tokens has nowhere to put its score.
    """
    rewards = (-kl_coef * (logprobs - reference_logprobs)).masked_fill(~mask, 0)
    left = mask.flip(-1).cumsum(-1).flip(-1)  # tokens of the mask from here on
    return torch.where(mask & (left == 1), rewards + score[:, None], rewards)
