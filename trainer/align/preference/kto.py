"""Learning from answers that are each good or bad, without a pair (Ethayarajh et al. 2024, "KTO")."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.align import losses
from trainer.align.answers import Answers, micro_batches, tokens_of
from trainer.align.preference.config import DpoConfig
from trainer.align.preference.reference import FromReference, Sums, held_out_names, squares
from trainer.data import reading_order
from trainer.loop import Evaluation, Update
from trainer.optimizer import descend
from trainer.progress import Observer
from trainer.records import Unpaired


class Kto(FromReference):
    """What `loop.train` asks of a stage, for single verdicts.

    Its z0 comes from mismatched conversations: each prompt with the answer to another. Which other is fixed for the
    run, so that the reference reads those too but once.
    """

    stage = "kto"

    def __init__(
        self,
        config: DpoConfig,
        train: Sequence[Unpaired],
        held_out: Sequence[Unpaired],
        data_sha256: str,
        observer: Observer,
    ) -> None:
        super().__init__(config, data_sha256)
        self.good_weight, self.bad_weight = _weights(train)
        self.rows = min(config.batch, len(train))
        self.train, self.held_out = Verdicts(self, train, observer), Verdicts(self, held_out, observer)

    def step(self, step: int, lr: float) -> Update:
        order = reading_order(step * self.rows, self.rows, len(self.train.answers), self.config.seed)
        sums = self._read(self.train, order.tolist(), learn=True)
        norm = descend(self.trained_weights(), self.optimizer, lr, self.config.clip, sums.loss)
        metrics = self._metrics(sums, self.train, order.tolist())
        read = [several[place] for place in order for several in (self.train.answers, self.train.mismatched)]
        return Update(sums.loss, norm, tokens_of(read), metrics, self.stop(metrics["drift"]))

    @torch.no_grad()
    def evaluate(self) -> Evaluation | None:
        everything = list(range(len(self.held_out.answers)))
        if not everything:
            return None
        sums = self._read(self.held_out, everything, learn=False)
        return Evaluation(sums.loss, metrics=held_out_names(self._metrics(sums, self.held_out, everything)))

    def _read(self, data: "Verdicts", chosen: Sequence[int], learn: bool) -> Sums:
        config, sums = self.settings, Sums()
        mismatched, held_mismatched = self._mismatched(data, chosen)
        batch = [data.answers[place] for place in chosen]
        weight = sum(one.weight for one in batch)
        for places in micro_batches(batch, config.micro_batch_tokens):
            numbers = [chosen[place] for place in places]
            policy = self.likelihood([data.answers[number] for number in numbers])
            held = self.held([data.reference[number] for number in numbers])
            good = torch.tensor([data.good[number] for number in numbers], device=self.device)
            weights = torch.tensor([data.answers[number].weight for number in numbers], device=self.device)
            found = losses.kto(
                policy.answers,
                held.answers,
                good,
                mismatched,
                held_mismatched,
                config.beta,
                self.good_weight,
                self.bad_weight,
            )
            loss = (found.losses * weights).sum() / weight
            if learn:
                loss.backward()
            sums.loss += loss.item()
            sums.squares += squares(policy, held)
            sums.tokens += len(policy.tokens)
            sums.first += found.rewards[good].sum().item()
            sums.second += found.rewards[~good].sum().item()
        return sums

    @torch.no_grad()
    def _mismatched(self, data: "Verdicts", chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Policy's and reference's ln p of the mismatched answers of a batch, [N] each, in the same order."""
        batch = [data.mismatched[place] for place in chosen]
        policy, held = [], []
        for places in micro_batches(batch, self.config.micro_batch_tokens):
            policy.append(self.likelihood([batch[place] for place in places]).answers)
            held.append(self.held([data.mismatched_reference[chosen[place]] for place in places]).answers)
        return torch.cat(policy), torch.cat(held)

    def _metrics(self, sums: Sums, data: "Verdicts", chosen: Sequence[int]) -> dict[str, float]:
        """Mean rewards of good and of bad answers; 0 where there is none."""
        good = sum(data.good[place] for place in chosen)
        up, down = sums.first / max(1, good), sums.second / max(1, len(chosen) - good)
        return {"good_reward": up, "bad_reward": down, "drift": sums.squares / max(1, sums.tokens)}


class Verdicts:
    """Single verdicts as tokens, each prompt once more with the answer to another; and the reference's ln p of both."""

    def __init__(self, tuner: FromReference, verdicts: Sequence[Unpaired], observer: Observer) -> None:
        fit, partner = tuner.fitter.fit, _partners(verdicts, tuner.config.seed)
        self.good = [verdict.good for verdict in verdicts]
        self.answers = [Answers(fit(one.prompt, [one.completion]), weight=one.weight) for one in verdicts]
        self.mismatched = [
            Answers(fit(one.prompt, [verdicts[other].completion])) for one, other in zip(verdicts, partner, strict=True)
        ]
        self.reference = tuner.reference(self.answers, observer)
        self.mismatched_reference = tuner.reference(self.mismatched, observer)


def _partners(verdicts: Sequence[Unpaired], seed: int) -> list[int]:
    """For each verdict one to another prompt: the next such in a shuffled round. Itself where all prompts are one."""
    partner = list(range(len(verdicts)))
    if len({verdict.prompt for verdict in verdicts}) < 2:
        return partner
    round_ = reading_order(0, len(verdicts), len(verdicts), seed).tolist()
    for place, number in enumerate(round_):
        later = (round_[(place + step) % len(round_)] for step in range(1, len(round_)))
        partner[number] = next((other for other in later if verdicts[other].prompt != verdicts[number].prompt), number)
    return partner


def _weights(train: Sequence[Unpaired]) -> tuple[float, float]:
    """Of good and of bad answers, so that both kinds weigh the same in all (Ethayarajh et al. 2024, equation 9).

    Raises ValueError where one kind is missing.
    """
    good = sum(one.good for one in train)
    bad = len(train) - good
    if not good or not bad:
        raise ValueError(f"{good:,} good and {bad:,} bad answers to learn from; KTO needs both.")
    return max(1.0, bad / good), max(1.0, good / bad)
