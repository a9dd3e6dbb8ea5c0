"""Reinforcement learning: a policy writes answers, a verifier or a reward model scores them, and it learns from that.

GRPO (Shao et al. 2024) holds each answer against the others to its prompt; PPO (Schulman et al. 2017, as Ouyang et al.
2022 use it) against what a value model expects. With the core's own dependencies alone:

    python -m trainer.rl --model OUT/sft --data prompts.jsonl --verifier number --output OUT/rl
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported; why is said in trainer.pretrain

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from torch import Tensor, nn

from trainer import checkpoint, records
from trainer.advantage import gae, group_advantages, per_token_rewards, whiten
from trainer.config import TuneConfig, from_arguments
from trainer.data import key, reading_order
from trainer.device import autocast
from trainer.log import Record, read_log
from trainer.loop import LOG, Evaluation, Update
from trainer.losses import k3, masked_mean, policy_loss, value_loss
from trainer.model import Llama, RewardModel
from trainer.optimizer import DivergedError, descend
from trainer.progress import Observer, Screen, Silent
from trainer.records import Prompt
from trainer.reward import Scorer
from trainer.rl_report import Reader, Report, repetitions, report
from trainer.rl_reward import Judge
from trainer.rollout import Reading, Rollouts, logits_of, logprobs_of, read, rollouts
from trainer.sampling import Sampling
from trainer.tuning import Result, Tuner, run, steps_of

ALGORITHMS = ("grpo", "ppo")

EPOCHS = 1.0

CALIBRATION = 256
"""Answers of the start model by which a reward model's zero and unit are set."""

BEYOND = 1e6
"""Added to the loss of a checkpoint beyond kl_limit, so that no reward makes it the best."""

VALUE_CLIP = 0.2
"""How far a value moves in a step's updates; of PPO's code (Huang et al. 2022, detail 9)."""

REPETITIVE = 0.05
"""A start model's share of repeated 4-grams counts as at least this where it is asked whether it has doubled."""

EVALUATION = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class RlConfig(TuneConfig):
    """`data` are prompts: `prompt`, and `answer` where a verifier needs the right one."""

    algorithm: Annotated[str, f"{' or '.join(ALGORITHMS)}: how an answer's reward becomes its advantage"] = "grpo"
    verifier: Annotated[str | None, "what checks answers: exact, number, choice, json, format:PATTERN"] = None
    verifier_weight: Annotated[float, "of its verdict, 0 or 1, in the reward"] = 1.0
    reward: Annotated[Path | None, "a reward model's checkpoint or run folder"] = None
    reward_weight: Annotated[float, "of its score, in standard deviations of the start model's, in the reward"] = 1.0
    prompts: Annotated[int, "prompts a step"] = 16
    samples: Annotated[int, "answers to each prompt"] = 8
    max_new_tokens: Annotated[int, "longest answer in tokens; one that has not ended there gets the least reward"] = 128
    temperature: Annotated[float, "at which answers are drawn"] = 1.0
    inner_epochs: Annotated[int, "how often a step's answers are learnt from"] = 1
    minibatches: Annotated[int, "updates in each of these"] = 1
    clip_low: Annotated[float, "how far below 1 a token's probability ratio is followed"] = 0.2
    clip_high: Annotated[float, "how far above 1"] = 0.2
    kl_coef: Annotated[float, "cost of parting from the start model: GRPO in its loss, PPO in its rewards"] = 0.0
    kl_limit: Annotated[float, "stop where the KL from the start model passes this, in nats an answer"] = 10.0
    normalise: Annotated[str, "token: all tokens weigh the same; sequence: all answers"] = "token"
    unscaled: Annotated[bool, "GRPO: don't divide advantages by their deviation in the group"] = False
    gamma: Annotated[float, "PPO: what a reward is worth one token earlier"] = 1.0
    lam: Annotated[float, "PPO: 0 trusts the value model, 1 the rewards"] = 0.95
    value_coef: Annotated[float, "PPO: weight of the value model's loss"] = 0.1
    eval_prompts: Annotated[int, "most held-out prompts of an evaluation"] = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f'algorithm is "{self.algorithm}"; expected {" or ".join(ALGORITHMS)}.')
        if self.normalise not in ("token", "sequence"):
            raise ValueError(f'normalise is "{self.normalise}"; expected token or sequence.')
        if self.verifier is None and self.reward is None:
            raise ValueError("nothing says which answers are good; give a verifier, a reward, or both.")
        if self.algorithm == "grpo" and self.samples < 2:
            raise ValueError(f"samples is {self.samples}; GRPO compares answers to one prompt and needs at least 2.")
        self.at_least(1, "prompts", "samples", "max_new_tokens", "inner_epochs", "minibatches", "eval_prompts")
        self.at_least(0, "kl_coef", "value_coef", "verifier_weight", "reward_weight")
        self.positive("temperature", "clip_low", "clip_high", "kl_limit")
        self.share("gamma", "lam")
        if self.minibatches > self.prompts * self.samples:
            raise ValueError(f"minibatches is {self.minibatches}, more than the answers of a step; ask for fewer.")


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


class Rl(Tuner):
    """What `loop.train` asks of a stage.

    A step depends on the settings, its number, the weights and the optimiser's memory, so a stopped run goes on as if
    it had not been. The loss of an evaluation is minus the held-out reward, and `BEYOND` more where the KL from the
    start model has passed its limit: the best checkpoint is that of the highest reward within the limit.
    """

    stage = "rl"
    model: Llama

    def __init__(
        self,
        config: RlConfig,
        train: Sequence[Prompt],
        held_out: Sequence[Prompt],
        data_sha256: str,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(config, data_sha256)
        self.settings, self.observer = config, observer or Silent()
        scorer = None
        if config.reward is not None:
            scorer = Scorer(config.reward, str(self.device), config.precision, config.micro_batch_tokens)
        self.judge = Judge(config.verifier, config.verifier_weight, scorer, config.reward_weight)
        self.train, self.held_out = self._fitting(train), self._fitting(held_out)
        self.left_out = len(train) + len(held_out) - len(self.train) - len(self.held_out)
        if not self.train:
            raise ValueError(
                f"no prompt is left to learn from: {len(train):,} for training, of which none leaves room for an "
                f"answer in the context of {self.context:,}. Give more or shorter ones, or hold out fewer."
            )
        self.judge.check([*self.train, *self.held_out])
        self.prompts = min(config.prompts, len(self.train))
        self.rows = max(1, config.micro_batch_tokens // self.context)
        chosen = reading_order(0, min(config.eval_prompts, len(self.held_out)), len(self.held_out), 0)
        self.examined = [self.held_out[place] for place in chosen]
        self.model = checkpoint.load(self.folder, device=self.device).model
        self.start = checkpoint.load(self.folder, device=self.device).model.requires_grad_(False)
        if config.algorithm == "ppo":
            self.extra = self._value_model(scorer)
        self.ready(default_lr(self.parent.model.dim))
        self._calibrate()
        self.first: Mapping[str, float] | None = None
        self.said: set[str] = set()

    def _fitting(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        return [prompt for prompt in prompts if len(self.template.prompt(prompt.messages)) < self.context]

    def _value_model(self, scorer: Scorer | None) -> RewardModel:
        """The reward model's trunk where there is one (Ouyang et al. 2022, section 3.5), else the start model's.

        Its head starts at 0, which is also what the reward model's scores are shifted to.
        """
        trunk = self.start.model
        if scorer is not None:
            about = scorer.checkpoint.about
            if about.model != self.parent.model or about.vocabulary_sha256 != self.parent.vocabulary_sha256:
                raise ValueError(
                    f"{scorer.checkpoint.folder}: PPO's value model starts from it and reads the policy's tokens, but "
                    f"its shape or vocabulary is not that of {self.folder}. Train one from the same base, or use grpo."
                )
            trunk = scorer.model.model
        value = RewardModel(self.parent.model, self.config.seed)
        value.model.load_state_dict(trunk.state_dict())
        nn.init.zeros_(value.score.weight)
        return value.to(self.device)

    def _calibrate(self) -> None:
        """By answers that depend on the settings alone, so that a resumed run has the same zero and unit."""
        if self.judge.scorer is None:
            return
        number = min(CALIBRATION, len(self.train))
        prompts = [self.train[place] for place in reading_order(0, number, len(self.train), 0)]
        batch = self._reader().answers(self.start, prompts, greedy=False)
        self.judge.calibrate(prompts, batch.answers)

    def step(self, step: int, lr: float) -> Update:
        config, first = self.settings, step * self.prompts
        order = reading_order(first, self.prompts, len(self.train), config.seed)
        prompts = [self.train[place] for place in order]
        asked = [self.template.prompt(prompt.messages) for prompt in prompts]
        sampling = Sampling(config.temperature, top_p=1.0, seed=config.seed)
        batch = rollouts(
            self.model, self.template, asked, config.samples, first, config.max_new_tokens, sampling, self.rows
        )
        each = [prompt for prompt in prompts for _ in range(config.samples)]
        scores = self.judge.scores(each, batch.answers, batch.finished.tolist())
        rewards = scores.total.to(self.device)
        now, start = self._read(self.model, batch), self._read(self.start, batch)
        metrics = {
            "reward": scores.total.mean().item(),
            **{name: part.mean().item() for name, part in scores.parts.items() if len(scores.parts) > 1},
            **divergence(now, start, batch),
            "entropy": masked_mean(now.entropy, batch.mask[:, 1:]).item(),
            "length": batch.written.float().mean().item(),
            "finished": batch.finished.float().mean().item(),
            "repetition": repetitions(batch),
            "alike": alike(rewards.view(-1, config.samples)),
        }
        tokens = int(batch.lengths.sum())
        self._warn(step, metrics)
        if metrics["kl"] > config.kl_limit:
            why = f"the KL from the start model is {metrics['kl']:.3g} nats an answer, more than kl_limit"
            return Update(0.0, 0.0, tokens, metrics, f"{why} ({config.kl_limit:g})")
        loss, norm, learnt = self.learn(batch, self.goal(batch, rewards, now, start), step, lr)
        return Update(loss, norm, tokens * (1 + config.inner_epochs), {**metrics, **learnt})

    def _read(self, model: Llama, batch: Rollouts) -> Reading:
        return read(model, batch, self.settings.temperature, self.config.precision, self.rows)

    def goal(self, batch: Rollouts, rewards: Tensor, now: Reading, start: Reading) -> Goal:
        """Advantages of a step's answers, whose rewards are [N]; `now` and `start` are what the models say of them."""
        config = self.settings
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
        assert self.extra is not None
        with autocast(self.device, self.config.precision):
            out: Tensor = self.extra(batch.tokens[:, :-1])
        return out

    def learn(self, batch: Rollouts, goal: Goal, step: int, lr: float) -> tuple[float, float, dict[str, float]]:
        """The step's updates: their mean loss and norm of the gradient before clipping, and metrics."""
        config, count = self.settings, len(batch.tokens)
        losses, norms, sums = [], [], dict[str, float]()
        for epoch in range(config.inner_epochs):
            order = reading_order(0, count, count, key(config.seed, step, epoch))
            for rows in np.array_split(order, min(config.minibatches, count)):
                loss = self._backward(batch, goal, torch.from_numpy(rows).to(self.device), sums)
                norms.append(descend(self.trained_weights(), self.optimizer, lr, config.clip, loss))
                losses.append(loss)
        return float(np.mean(losses)), float(np.mean(norms)), {name: sum_ / len(losses) for name, sum_ in sums.items()}

    def _backward(self, batch: Rollouts, goal: Goal, minibatch: Tensor, sums: dict[str, float]) -> float:
        """Gradients of a minibatch into the weights, and its metrics into `sums`. Returns its loss."""
        config, loss = self.settings, 0.0
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

    def _warn(self, step: int, metrics: Mapping[str, float]) -> None:
        """Says so, once, where a reward rises together with length or repetition."""
        if self.first is None:  # of a resumed run it stands in the log
            self.first = dict(metrics) if step == 0 else read_log(self.config.output / LOG)[0].metrics
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

    @torch.no_grad()
    def evaluate(self) -> Evaluation | None:
        """One sampled answer to each of up to `eval_prompts` held-out prompts, by the same random numbers each time."""
        if not self.examined:
            return None
        found = self._reader().examine(self.model, self.start, self.examined)
        reward, kl = float(np.mean(found.rewards)), float(np.mean(found.kl))
        metrics = {
            "held_out_reward": reward,
            "held_out_kl": kl,
            "held_out_length": float(np.mean(found.lengths)),
            "held_out_finished": float(np.mean(found.finished)),
            "held_out_repetition": found.repetition,
        }
        if found.accuracy is not None:
            accuracy = found.accuracy
            names = ("held_out_accuracy", "held_out_accuracy_low", "held_out_accuracy_high")
            metrics.update(zip(names, (accuracy.value, accuracy.low, accuracy.high), strict=True))
        return Evaluation(-reward + (BEYOND if kl > self.settings.kl_limit else 0.0), metrics=metrics)

    def _reader(self) -> Reader:
        """Held-out answers draw other random numbers than those for training."""
        config = self.settings
        seed = key(config.seed, 1)
        return Reader(
            self.template, self.judge, config.temperature, config.max_new_tokens, seed, config.precision, self.rows
        )

    def report(self, model: Llama) -> Report | None:
        """How a trained model compares with the start model; None where nothing is held out."""
        return report(self._reader(), model, self.start, self.examined) if self.examined else None


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


def default_lr(dim: int) -> float:
    """Falls with the width, as `trainer.sft`'s does: 1.5e-4 for nano.

    GRPO on sums, 128 answers a step, 64% right at first: at 1.5e-4 71% after 30 steps and 85% after 150; at 4e-4 36%
    after 15 and 66% after 105.
    """
    return 0.0192 / dim


@dataclass(frozen=True)
class RlResult(Result):
    report: Report | None
    """The best checkpoint beside the start model, on what is held out; None where nothing is."""


def rl(config: RlConfig, observer: Observer | None = None) -> RlResult:
    """Trains `config.model` by the rewards of its answers to the prompts in `config.data`; a run found there goes on.

    Leaves, besides what every run leaves, evaluation.json: a `Report` of the best checkpoint on what is held out.
    Raises FileNotFoundError or ValueError where model, data or settings are not usable, and DivergedError where the
    loss is not finite.
    """
    observer = observer or Silent()
    prompts = records.read_prompts(config.data)
    train, held_out = records.split(prompts, config.held_out)
    tuner = Rl(config, train, held_out, records.digest(prompts), observer)
    for note in (*prompts.notes, *_notes(tuner, prompts.duplicates)):
        observer.note(note)
    steps = steps_of(config, len(tuner.train), tuner.prompts, EPOCHS)
    resolved: dict[str, object] = {"prompts": tuner.prompts}
    if tuner.judge.scorer is not None:
        resolved["reward"] = tuner.judge.scorer.checkpoint.about.id
    result = run(tuner, steps, _facts(tuner, steps), observer, resolved)
    for note in _afterthoughts(result, read_log(config.output / LOG)):
        observer.note(note)
    best = checkpoint.load(result.checkpoint, device=tuner.device).model
    found = tuner.report(best)
    if found is not None:
        about = {"checkpoint": result.id, "start": tuner.parent.id, "data_sha256": tuner.data_sha256}
        text = json.dumps({**about, **found.as_json()}, indent=1) + "\n"
        checkpoint.write_whole(config.output / EVALUATION, text)
    return RlResult(**vars(result), report=found)


def _afterthoughts(result: Result, log: Sequence[Record]) -> list[str]:
    """What a person should know of a run in which nothing was learnt."""
    notes = []
    if log and all(record.metrics.get("alike") == 1 for record in log):
        notes.append(
            "in every step all answers to a prompt had the same reward, so there was nothing to learn from: fine-tune "
            "longer first, give more room (--max-new-tokens), draw warmer or easier prompts."
        )
    if result.step == 0:
        notes.append("no step did better on held-out prompts than the model it started from, which stays the best.")
    return notes


def _notes(tuner: Rl, duplicates: int) -> list[str]:
    notes = []
    if duplicates:
        notes.append(f"{duplicates:,} prompts are there more than once and read once.")
    if tuner.left_out:
        notes.append(
            f"{tuner.left_out:,} prompts leave no room for an answer in the context of {tuner.context:,} and are left "
            f"out."
        )
    if not tuner.examined:
        notes.append("nothing is held out: no held-out reward; the last checkpoint counts as the best.")
    return notes


def _facts(tuner: Rl, steps: int) -> list[tuple[str, str]]:
    config, parts = tuner.settings, []
    if config.verifier is not None:
        parts.append(f"{config.verifier_weight:g} x verifier {config.verifier}")
    if config.reward is not None:
        parts.append(
            f"{config.reward_weight:g} x ({config.reward} - {tuner.judge.mean:.3g}) / {tuner.judge.deviation:.3g}"
        )
    answers = tuner.prompts * config.samples
    updates = config.inner_epochs * config.minibatches
    facts = [
        ("prompts", f"{len(tuner.train):,}, {len(tuner.examined):,} of {len(tuner.held_out):,} held out are examined"),
        ("reward", " + ".join(parts)),
        ("answers", f"up to {config.max_new_tokens:,} tokens, temperature {config.temperature:g}, top-p 1"),
        (config.algorithm.upper(), _method(config)),
        (
            "steps",
            f"{steps:,} of {tuner.prompts} prompts x {config.samples} = {answers:,} answers, {updates} updates each; "
            f"{steps * tuner.prompts / len(tuner.train):.2f} epochs",
        ),
    ]
    return facts


def _method(config: RlConfig) -> str:
    parts = [
        f"ratio in {1 - config.clip_low:g} .. {1 + config.clip_high:g}",
        f"KL cost {config.kl_coef:g}, limit {config.kl_limit:g} nats an answer",
        f"normalised by {config.normalise}",
    ]
    if config.algorithm == "ppo":
        parts.append(f"gamma {config.gamma:g}, lambda {config.lam:g}, value loss x {config.value_coef:g}")
    else:
        parts.append("advantages unscaled" if config.unscaled else "advantages scaled by the group's deviation")
    return ", ".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    config = from_arguments(RlConfig, "corpuscle train rl", "Learn from rewards (GRPO, PPO).", arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        result = rl(config, Screen(console))
    except (DivergedError, FileNotFoundError, ValueError) as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        errors.print("stopped; the same command goes on from the last checkpoint.")
        return 130
    if result.report is not None:
        console.print(result.report.table())
    console.print(f"best checkpoint {escape(str(result.checkpoint))} ({result.seconds:,.0f} s)", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
