"""A stage of reinforcement learning: a policy writes answers, they are scored, and it learns from that.

GRPO (Shao et al. 2024) holds each answer against the others to its prompt; PPO (Schulman et al. 2017, as Ouyang et al.
2022 use it) against what a value model expects.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from trainer import checkpoint
from trainer.align.losses import masked_mean
from trainer.align.reward import Scorer
from trainer.align.rl.config import RlConfig
from trainer.align.rl.guard import Watch, alike, divergence
from trainer.align.rl.report import Reader, Report, repetitions, report
from trainer.align.rl.rewards import Judge
from trainer.align.rl.rollout import Reading, Rollouts, read, rollouts
from trainer.align.rl.update import Updates
from trainer.align.tuning import Tuner
from trainer.data import key, reading_order
from trainer.loop import Evaluation, Update
from trainer.model import Llama, RewardModel
from trainer.progress import Observer, Silent
from trainer.records import Prompt
from trainer.sampling import Sampling

CALIBRATION = 256
"""Answers of the start model by which a reward model's zero and unit are set."""

BEYOND = 1e6
"""Added to the loss of a checkpoint beyond kl_limit, so that no reward makes it the best."""


class Rl(Tuner):
    """What `loop.train` asks of a stage.

    A step depends on the settings, its number, the weights and the optimiser's memory, so a stopped run goes on as if
    it had not been. The loss of an evaluation is minus the held-out reward, and `BEYOND` more where the KL from the
    start model has passed its limit: the best checkpoint is that of the highest reward within the limit.
    """

    stage = "rl"
    model: Llama
    value: RewardModel | None = None

    def __init__(
        self,
        config: RlConfig,
        train: Sequence[Prompt],
        held_out: Sequence[Prompt],
        data_sha256: str,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(config, data_sha256)
        self.settings = config
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
        self.prompts = min(config.prompts, len(self.train))
        self.rows = max(1, config.micro_batch_tokens // self.context)
        chosen = reading_order(0, min(config.eval_prompts, len(self.held_out)), len(self.held_out), 0)
        self.examined = [self.held_out[place] for place in chosen]
        self.model = checkpoint.load(self.folder, device=self.device).model
        self.start = checkpoint.load(self.folder, device=self.device).model.requires_grad_(False)
        if config.algorithm == "ppo":
            self.extra = self.value = self._value_model(scorer)
        self.ready(default_lr(self.parent.model.dim))
        self.updates = Updates(config, self.model, self.value, self.trained_weights(), self.optimizer)
        self._calibrate()
        self.watch = Watch(config.output, observer or Silent())

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
        self.watch.look(step, metrics)
        if metrics["kl"] > config.kl_limit:
            why = f"the KL from the start model is {metrics['kl']:.3g} nats an answer, more than --kl-limit"
            return Update(0.0, 0.0, tokens, metrics, f"{why} ({config.kl_limit:g})")
        goal = self.updates.goal(batch, rewards, now, start)
        loss, norm, learnt = self.updates.learn(batch, goal, step, lr)
        return Update(loss, norm, tokens * (1 + config.inner_epochs), {**metrics, **learnt})

    def _read(self, model: Llama, batch: Rollouts) -> Reading:
        return read(model, batch, self.settings.temperature, self.config.precision, self.rows)

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


def default_lr(dim: int) -> float:
    """Falls with the width, as `trainer.align.sft`'s does: 1.5e-4 for nano.

    GRPO on sums, 128 answers a step, 64% right at first: at 1.5e-4 71% after 30 steps and 85% after 150; at 4e-4 36%
    after 15 and 66% after 105.
    """
    return 0.0192 / dim
