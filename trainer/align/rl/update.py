"""The updates of a policy by answers that have been rewarded: GRPO's (Shao et al. 2024), PPO's (Schulman et al. 2017).

Nothing here samples or scores; what a step has written and what it was worth comes in, and weights have moved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.align.losses import policy_loss, value_loss
from trainer.align.rl.advantage import gae, group_advantages, per_token_rewards, whiten
from trainer.align.rl.config import RlConfig
from trainer.align.rl.rollout import Reading, Rollouts, logits_of, logprobs_of
from trainer.data import key, reading_order
from trainer.device import autocast
from trainer.model import Llama, RewardModel
from trainer.optimizer import descend

VALUE_CLIP = 0.2
"""How far a value moves in a step's updates; of PPO's code (Huang et al. 2022, detail 9)."""


@dataclass(frozen=True)
class Goal:
    """What a step's updates learn from, beside its answers: all [N, T - 1] but GRPO's advantages, [N, 1]."""

    old: Tensor
    reference: Tensor
    advantages: Tensor
    values: Tensor | None = None
    """PPO: what the value model expected."""
    returns: Tensor | None = None

    def rows(self, rows: Tensor, width: int) -> "Goal":
        parts = (self.old, self.reference, self.advantages, self.values, self.returns)
        return Goal(*(None if part is None else part[rows, :width] for part in parts))  # type: ignore[arg-type]


class Updates:
    """How a policy, and PPO's value model, learn from a step's answers; `weights` are those of both."""

    def __init__(
        self,
        config: RlConfig,
        model: Llama,
        value: RewardModel | None,
        weights: Sequence[Tensor],
        optimizer: Optimizer,
    ) -> None:
        self.config, self.model, self.value = config, model, value
        self.weights, self.optimizer, self.device = weights, optimizer, weights[0].device
        self.rows = max(1, config.micro_batch_tokens // model.config.max_seq_len)

    def goal(self, batch: Rollouts, rewards: Tensor, now: Reading, start: Reading) -> Goal:
        """Advantages of a step's answers, whose rewards are [N]; `now` and `start` are what the models say of them."""
        config = self.config
        if config.algorithm == "grpo":
            advantages = group_advantages(rewards.view(-1, config.samples), not config.unscaled).view(-1, 1)
            return Goal(now.logprobs, start.logprobs, advantages)
        where = batch.mask[:, 1:]
        values = torch.zeros_like(now.logprobs)
        with torch.no_grad():
            for rows in torch.arange(len(values), device=self.device).split(self.rows):
                part = batch.rows(rows)
                values[rows, : part.tokens.shape[1] - 1] = self._values(part)
        spread = per_token_rewards(rewards, now.logprobs, start.logprobs, where, config.kl_coef)
        advantages, returns = gae(spread, values, where, config.gamma, config.lam)
        return Goal(now.logprobs, start.logprobs, whiten(advantages, where), values, returns)

    def _values(self, batch: Rollouts) -> Tensor:
        """[N, T - 1]: what is expected before each token is written."""
        assert self.value is not None
        with autocast(self.device, self.config.precision):
            out: Tensor = self.value(batch.tokens[:, :-1])
        return out

    def learn(self, batch: Rollouts, goal: Goal, step: int, lr: float) -> tuple[float, float, dict[str, float]]:
        """The step's updates: their mean loss and norm of the gradient before clipping, and metrics."""
        config, count = self.config, len(batch.tokens)
        losses, norms, sums = [], [], dict[str, float]()
        for epoch in range(config.inner_epochs):
            order = reading_order(0, count, count, key(config.seed, step, epoch))
            for rows in np.array_split(order, min(config.minibatches, count)):
                loss = self.backward(batch, goal, torch.from_numpy(rows).to(self.device), sums)
                norms.append(descend(self.weights, self.optimizer, lr, config.clip, loss))
                losses.append(loss)
        return float(np.mean(losses)), float(np.mean(norms)), {name: sum_ / len(losses) for name, sum_ in sums.items()}

    def backward(self, batch: Rollouts, goal: Goal, minibatch: Tensor, sums: dict[str, float]) -> float:
        """Gradients of a minibatch into the weights, and its metrics into `sums`. Returns its loss."""
        config, loss = self.config, 0.0
        tokens = int(batch.mask[minibatch].sum())
        total = tokens if config.normalise == "token" else len(minibatch)
        for part, mine in self._parts(batch, goal, minibatch):
            where = part.mask[:, 1:]
            logits = logits_of(self.model, part, config.temperature, config.precision)
            found, metrics = policy_loss(
                logprobs_of(logits, part),
                mine.old,
                mine.advantages,
                where,
                config.clip_low,
                config.clip_high,
                config.kl_coef if config.algorithm == "grpo" else 0.0,
                mine.reference,
                config.normalise,
                total,
            )
            share = int(where.sum()) / tokens
            counted = {"clip_fraction": metrics.clip_fraction * share, "old_kl": metrics.old_kl * share}
            if mine.values is not None and mine.returns is not None:
                missed = value_loss(self._values(part), mine.values, mine.returns, where, VALUE_CLIP, tokens)
                found = found + config.value_coef * missed
                counted["value_loss"] = missed.detach()
            found.backward()
            loss += found.item()
            for name, value in counted.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return loss

    def _parts(self, batch: Rollouts, goal: Goal, minibatch: Tensor) -> Iterator[tuple[Rollouts, Goal]]:
        """Micro-batches, the longest answers first, so that little is padding."""
        order = minibatch[batch.lengths[minibatch].argsort(descending=True, stable=True)]
        at_once = max(1, self.config.micro_batch_tokens // int(batch.lengths[order[0]]))
        for rows in order.split(at_once):
            part = batch.rows(rows)
            yield part, goal.rows(rows, part.tokens.shape[1] - 1)
