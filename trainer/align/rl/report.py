"""What a training by reward has done, on held-out prompts: before and after, and one answer against the other.

Beside the reward stand length, repetition and the way from the start model, because a reward that rises with them may
be bought and not earned (Gao et al. 2022, "Scaling laws for reward model overoptimization").
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from trainer.align.rl.rewards import Judge
from trainer.align.rl.rollout import Rollouts, read, repetition, rollouts
from trainer.measure.agreement import Difference, Rate, chance, mcnemar, paired_difference, rate, without_nan
from trainer.model import Llama
from trainer.records import Prompt
from trainer.sampling import Sampling
from trainer.talk.conversation import Template


@dataclass(frozen=True)
class Mean:
    """A mean and its 95% interval: 1.96 standard errors to both sides."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def mean(values: Sequence[float]) -> Mean:
    found = np.asarray(values, float)
    half = 1.96 * float(found.std(ddof=1)) / len(found) ** 0.5 if len(found) > 1 else 0.0
    return Mean(float(found.mean()), float(found.mean()) - half, float(found.mean()) + half)


@dataclass(frozen=True)
class Answered:
    """One answer of a model to each of some prompts, judged."""

    rewards: tuple[float, ...]
    verdicts: tuple[float, ...]
    """The verifier's scores; the rewards where there is none."""
    verified: bool
    kl: tuple[float, ...]
    """ln(model / start model) of each answer: its mean over sampled answers is the divergence."""
    lengths: tuple[int, ...]
    finished: tuple[bool, ...]
    repetition: float

    @property
    def accuracy(self) -> Rate | None:
        return rate([float(verdict == 1) for verdict in self.verdicts]) if self.verified else None


@dataclass(frozen=True)
class Reader:
    """How answers are asked for: what does not change from model to model."""

    template: Template
    judge: Judge
    temperature: float
    max_new_tokens: int
    seed: int
    precision: str = "auto"
    rows: int = 64

    def answers(self, model: Llama, prompts: Sequence[Prompt], greedy: bool) -> Rollouts:
        sampling = Sampling(0.0 if greedy else self.temperature, top_p=1.0, seed=self.seed)
        asked = [self.template.prompt(prompt.messages) for prompt in prompts]
        return rollouts(model, self.template, asked, 1, 0, self.max_new_tokens, sampling, self.rows)

    def examine(self, model: Llama, start: Llama, prompts: Sequence[Prompt], greedy: bool = False) -> Answered:
        """Every model's answer to a prompt draws the same random numbers, so that two models differ in nothing else."""
        batch = self.answers(model, prompts, greedy)
        finished = batch.finished.tolist()
        scores = self.judge.scores(prompts, batch.answers, finished)
        verified = self.judge.verifier is not None
        verdicts = self.judge.verdicts(prompts, batch.answers, finished) if verified else scores.total
        mine, its = (read(one, batch, self.temperature, self.precision, self.rows) for one in (model, start))
        return Answered(
            rewards=tuple(scores.total.tolist()),
            verdicts=tuple(verdicts.tolist()),
            verified=verified,
            kl=tuple((mine.logprobs - its.logprobs).sum(-1).tolist()),
            lengths=tuple(batch.written.tolist()),
            finished=tuple(finished),
            repetition=repetitions(batch),
        )


def repetitions(batch: Rollouts) -> float:
    """The mean `repetition` of the answers."""
    rows = zip(batch.tokens.tolist(), batch.mask.tolist(), strict=True)
    return float(np.mean([repetition([token for token, mine in zip(*row, strict=True) if mine]) for row in rows]))


@dataclass(frozen=True)
class Duel:
    """Answers of two models to the same prompts, the better one by its score, without a word of who wrote it."""

    wins: int
    ties: int
    losses: int
    share: Rate
    """Wins among those that are decided; 50% is what chance gets."""
    p: float
    """Sign test: how likely so uneven a split would be between equals; exact and two-sided."""

    def __str__(self) -> str:
        if not self.share.count:
            return f"all {self.ties:,} tied"
        return f"{self.wins:,} won, {self.ties:,} tied, {self.losses:,} lost: {self.share}, {chance(self.p)}"


def duel(first: Sequence[float], second: Sequence[float]) -> Duel:
    """Scores of two models' answers to the same prompts, in order; how the first does."""
    gaps = np.asarray(first, float) - np.asarray(second, float)
    wins, losses = int((gaps > 0).sum()), int((gaps < 0).sum())
    return Duel(wins, len(gaps) - wins - losses, losses, rate([1.0] * wins + [0.0] * losses), mcnemar(wins, losses))


@dataclass(frozen=True)
class Change:
    """Start model and trained model in one way of answering."""

    reward_before: Mean
    reward_after: Mean
    accuracy_before: Rate | None
    accuracy_after: Rate | None
    gain: Difference | None
    """Of accuracy, over the same prompts."""
    duel: Duel
    kl: Mean
    """Of the trained model from the start model, nats an answer."""
    length_before: float
    length_after: float
    finished_before: float
    finished_after: float
    repetition_before: float
    repetition_after: float


def change(before: Answered, after: Answered) -> Change:
    """Both of the same prompts, in the same order."""
    right = [[float(verdict == 1) for verdict in one.verdicts] for one in (after, before)]
    gain = paired_difference(right[0], right[1], range(len(right[0]))) if after.verified else None
    return Change(
        reward_before=mean(before.rewards),
        reward_after=mean(after.rewards),
        accuracy_before=before.accuracy,
        accuracy_after=after.accuracy,
        gain=gain,
        duel=duel(after.verdicts, before.verdicts),
        kl=mean(after.kl),
        length_before=float(np.mean(before.lengths)),
        length_after=float(np.mean(after.lengths)),
        finished_before=float(np.mean(before.finished)),
        finished_after=float(np.mean(after.finished)),
        repetition_before=before.repetition,
        repetition_after=after.repetition,
    )


@dataclass(frozen=True)
class Report:
    """`sampled` at the temperature of training, where a sharper distribution alone already wins; `greedy` without."""

    prompts: int
    sampled: Change
    greedy: Change

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = without_nan(dataclasses.asdict(self))
        return fields

    def table(self) -> Table:
        table = Table("", "sampled", "greedy", title=f"{self.prompts:,} prompts held out", title_justify="left")
        both = (self.sampled, self.greedy)
        table.add_row("reward before", *(str(one.reward_before) for one in both))
        table.add_row("reward after", *(str(one.reward_after) for one in both))
        if self.sampled.gain is not None:
            table.add_row("accuracy before", *(str(one.accuracy_before) for one in both))
            table.add_row("accuracy after", *(str(one.accuracy_after) for one in both))
            table.add_row("  gained", *(str(one.gain) for one in both))
        table.add_row("against the start model", *(str(one.duel) for one in both))
        table.add_row("KL, nats an answer", str(self.sampled.kl), "")
        table.add_row("length", *(f"{one.length_before:.3g} -> {one.length_after:.3g}" for one in both))
        table.add_row("finished", *(f"{one.finished_before:.1%} -> {one.finished_after:.1%}" for one in both))
        table.add_row(
            "repeated 4-grams", *(f"{one.repetition_before:.1%} -> {one.repetition_after:.1%}" for one in both)
        )
        return table


def report(reader: Reader, model: Llama, start: Llama, prompts: Sequence[Prompt]) -> Report:
    """Compares a trained model with the one it started from; there must be at least one prompt."""
    changes = [
        change(reader.examine(start, start, prompts, greedy), reader.examine(model, start, prompts, greedy))
        for greedy in (False, True)
    ]
    return Report(len(prompts), *changes)
