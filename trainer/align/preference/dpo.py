"""Direct preference optimisation: of two answers the better one becomes likelier (Rafailov et al. 2023)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.align import losses
from trainer.align.answers import Answers, all_pairs, micro_batches, tokens_of
from trainer.align.preference.config import DpoConfig
from trainer.align.preference.reference import FromReference, Sums, held_out_names, squares
from trainer.data import reading_order
from trainer.loop import Evaluation, Update
from trainer.measure.agreement import verdicts
from trainer.optimizer import descend
from trainer.progress import Observer
from trainer.records import Ranking


class Dpo(FromReference):
    """What `loop.train` asks of a stage, for comparisons."""

    stage = "dpo"

    def __init__(
        self,
        config: DpoConfig,
        train: Sequence[Ranking],
        held_out: Sequence[Ranking],
        data_sha256: str,
        observer: Observer,
    ) -> None:
        super().__init__(config, data_sha256)
        self.train = [self.fitter.ranking(ranking) for ranking in train]
        self.held_out = [self.fitter.ranking(ranking) for ranking in held_out]
        if not self.train:
            raise ValueError("no comparison is left to learn from; give more, or hold out a smaller share.")
        self.rows = min(config.batch, len(self.train))
        self.train_reference = self.reference(self.train, observer)
        self.held_out_reference = self.reference(self.held_out, observer)

    def step(self, step: int, lr: float) -> Update:
        order = reading_order(step * self.rows, self.rows, len(self.train), self.config.seed)
        batch = [self.train[place] for place in order]
        sums = self._read(batch, [self.train_reference[place] for place in order], learn=True)
        norm = descend(self.trained_weights(), self.optimizer, lr, self.config.clip, sums.loss)
        metrics = self._metrics(sums, batch)
        return Update(sums.loss, norm, tokens_of(batch), metrics, self.stop(metrics["drift"]))

    @torch.no_grad()
    def evaluate(self) -> Evaluation | None:
        if not self.held_out:
            return None
        sums = self._read(self.held_out, self.held_out_reference, learn=False)
        return Evaluation(sums.loss, metrics=held_out_names(self._metrics(sums, self.held_out)))

    def _read(self, batch: Sequence[Answers], reference: Sequence[Sequence[NDArray[np.float32]]], learn: bool) -> Sums:
        config, sums = self.settings, Sums()
        weight = sum(one.weight for one in batch)
        for places in micro_batches(batch, config.micro_batch_tokens):
            answers = [batch[place] for place in places]
            policy, held = self.likelihood(answers), self.held([reference[place] for place in places])
            pairs = all_pairs(answers, self.device)
            found = losses.dpo(
                policy.answers[pairs.better],
                policy.answers[pairs.worse],
                held.answers[pairs.better],
                held.answers[pairs.worse],
                config.beta,
                config.label_smoothing,
            )
            means = policy.answers / (1 if config.length_normalised else policy.counts.clamp(min=1))
            imitation = -config.sft_coefficient * means[pairs.better]
            loss = ((found.losses + imitation) * pairs.weight).sum() / weight
            if learn:
                loss.backward()
            sums.loss += loss.item()
            sums.squares += squares(policy, held)
            sums.tokens += len(policy.tokens)
            sums.first += found.chosen_rewards.sum().item()
            sums.second += found.rejected_rewards.sum().item()
            sums.right += float(verdicts(found.chosen_rewards.cpu(), found.rejected_rewards.cpu()).sum())
            sums.logprob += (means * policy.counts)[pairs.better].sum().item()
            sums.learnt += int(policy.counts[pairs.better].sum())
        return sums

    def _metrics(self, sums: Sums, batch: Sequence[Answers]) -> dict[str, float]:
        """Over pairs; `chosen_logprob` is of a token. Of one pair's rewards the better answer's should be higher."""
        pairs = sum(len(one.pairs) for one in batch)
        return {
            "accuracy": sums.right / pairs,
            "margin": (sums.first - sums.second) / pairs,
            "chosen_logprob": sums.logprob / max(1, sums.learnt),
            "drift": sums.squares / max(1, sums.tokens),
        }
