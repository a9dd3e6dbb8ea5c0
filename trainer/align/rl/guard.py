"""What tells that a reward is bought and not earned: the way from the start model, length, repetition, no difference.

Gao et al. 2022 ("Scaling laws for reward model overoptimization") on why a rising reward alone says little.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from trainer.align.losses import k3
from trainer.align.rl.rollout import Reading, Rollouts
from trainer.log import Record, read_log
from trainer.loop import LOG
from trainer.progress import Observer

REPETITIVE = 0.05
"""A start model's share of repeated 4-grams counts as at least this where it is asked whether it has doubled."""


class Watch:
    """Says so, once, where a reward rises together with length or repetition. `output` has the log of a resumed run."""

    def __init__(self, output: Path, observer: Observer) -> None:
        self.output, self.observer = output, observer
        self.first: Mapping[str, float] | None = None
        self.said: set[str] = set()

    def look(self, step: int, metrics: Mapping[str, float]) -> None:
        if self.first is None:  # of a resumed run it stands in the log
            self.first = dict(metrics) if step == 0 else read_log(self.output / LOG)[0].metrics
        if metrics["reward"] <= self.first["reward"]:
            return
        for name, least in {"length": 0.0, "repetition": REPETITIVE}.items():
            before = max(self.first[name], least)
            if metrics[name] >= 2 * before and name not in self.said:
                self.said.add(name)
                self.observer.note(
                    f"step {step + 1}: the answers' {name} is {metrics[name]:.3g} and was {self.first[name]:.3g} at "
                    f"first, while the reward rose from {self.first['reward']:.3g} to {metrics['reward']:.3g}: read "
                    f"some answers, the reward may be bought by it."
                )


def divergence(now: Reading, start: Reading, batch: Rollouts) -> dict[str, float]:
    """KL(policy || start model) by two estimators (Schulman 2020), in nats an answer and a token.

    k1 is the mean log-ratio: noisy where the KL is small, yet the one that the limit is about, as its tail stays light
    where the KL is large. k3 is never negative, but one token that the policy hardly ever writes can be most of it.
    """
    where, count = batch.mask[:, 1:], len(batch.tokens)
    k1 = (now.logprobs - start.logprobs).sum().item()
    other = k3(now.logprobs, start.logprobs).masked_fill(~where, 0).sum().item()
    tokens = max(1, int(where.sum()))
    return {"kl": k1 / count, "kl_token": k1 / tokens, "k3": other / count, "k3_token": other / tokens}


def alike(rewards: Tensor) -> float:
    """Share of the groups [prompts, samples] whose answers all have one reward: from them GRPO learns nothing."""
    return (rewards.amax(-1) == rewards.amin(-1)).float().mean().item()


def afterthoughts(best: int, log: Sequence[Record]) -> list[str]:
    """What a person should know of a run in which nothing was learnt; `best` is the step of its best checkpoint."""
    notes = []
    if log and all(record.metrics.get("alike") == 1 for record in log):
        notes.append(
            "in every step all answers to a prompt had the same reward, so there was nothing to learn from: fine-tune "
            "longer first, give more room (--max-new-tokens), draw warmer or easier prompts."
        )
    if best == 0:
        notes.append("no step did better on held-out prompts than the model it started from, which stays the best.")
    return notes
