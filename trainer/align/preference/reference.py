"""What DPO and KTO share: log-probabilities of answers, held against those of the checkpoint that a run starts from.

The reference's are computed once, so training holds one model in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer import checkpoint
from trainer.align import losses
from trainer.align.answers import Answers, Fitter, micro_batches, pad
from trainer.align.preference.config import DpoConfig
from trainer.align.tuning import Tuner
from trainer.device import autocast
from trainer.model import Llama
from trainer.progress import Observer

NOTE_EVERY = 10000
"""Conversations of which the reference's log-probabilities are computed between two notes of progress."""


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds the answers of some rows: ln p of the answer [N] (of a token, if length-normalised),
    ln p of each learnt token [M], row after row, and how many a row has [N]."""

    answers: Tensor
    tokens: Tensor
    counts: Tensor


class FromReference(Tuner):
    """What DPO and KTO share: log-probabilities, the reference's, and how far the model has drifted from it.

    Drift is half the mean square of ln(policy / reference) over the answers' tokens: Schulman 2020 ("Approximating KL
    divergence", k2) of KL(policy || reference). The tokens are the data's and not the policy's own, so it is a
    yardstick and not the divergence; unlike the mean shift it is not 0 where half of the answers rise and half fall.
    """

    model: Llama

    def __init__(self, config: DpoConfig, data_sha256: str) -> None:
        super().__init__(config, data_sha256)
        self.settings = config
        self.fitter = Fitter(self.template, self.context)
        self.model = checkpoint.load(self.folder, device=self.device).model
        self.ready(default_lr(self.parent.model.dim))

    def likelihood(self, answers: Sequence[Answers]) -> Likelihood:
        """Logits are computed where an answer's token is foreseen, and nowhere else."""
        batch = pad([one for several in answers for one in several.encoded], self.template.pad, self.device)
        where = batch.trained[:, 1:]
        with autocast(self.device, self.config.precision):
            logits = self.model.logits(self.model.vectors(batch.tokens)[:, :-1][where])
        tokens = losses.token_logprobs(logits[None], batch.tokens[:, 1:][where][None])[0]
        spread = torch.zeros(where.shape, device=self.device).masked_scatter(where, tokens)
        by_answer = losses.sequence_logprobs(spread, where, self.settings.length_normalised)
        return Likelihood(by_answer, tokens, where.sum(-1))

    @torch.no_grad()
    def reference(self, answers: Sequence[Answers], observer: Observer) -> list[list[NDArray[np.float32]]]:
        """The model's ln p of each answer's tokens, of each prompt; to be asked before the first step."""
        found: dict[int, list[NDArray[np.float32]]] = {}
        done, said, everything = 0, 0, sum(len(several.encoded) for several in answers)
        for places in micro_batches(answers, self.config.micro_batch_tokens):
            likely = self.likelihood([answers[place] for place in places])
            rows = iter(np.split(likely.tokens.cpu().numpy(), np.cumsum(likely.counts.cpu().numpy())[:-1]))
            found.update((place, [next(rows) for _ in answers[place].encoded]) for place in places)
            done += sum(len(answers[place].encoded) for place in places)
            if done - said >= NOTE_EVERY:
                said = done
                observer.note(f"the reference has read {done:,} of {everything:,} conversations.")
        return [found[place] for place in range(len(answers))]

    def held(self, reference: Sequence[Sequence[NDArray[np.float32]]]) -> Likelihood:
        """The reference's log-probabilities of a micro-batch, as `likelihood` gives the policy's."""
        rows = [row for several in reference for row in several]
        tokens = torch.from_numpy(np.concatenate(rows)).to(self.device)
        counts = torch.tensor([len(row) for row in rows], device=self.device)
        sums = torch.stack([row.sum() for row in tokens.split(counts.tolist())])
        return Likelihood(sums / counts.clamp(min=1) if self.settings.length_normalised else sums, tokens, counts)

    def stop(self, drift: float) -> str | None:
        """Why to stop, if so. Drift is that of the weights before a step's update: the limit is passed by one step."""
        limit = self.settings.kl_limit
        if limit is None or drift <= limit:
            return None
        return f"the drift from the reference is {drift:.3g} nats a token, more than --kl-limit ({limit:g})"


def held_out_names(metrics: Mapping[str, float]) -> dict[str, float]:
    """As val_loss is called, lest the log mix them up with the batch's."""
    return {f"val_{name}": value for name, value in metrics.items()}


def squares(policy: Likelihood, reference: Likelihood) -> float:
    """Half the sum of squares of ln(policy / reference) over tokens; divided by their number it is the drift."""
    return float(((policy.tokens.detach() - reference.tokens) ** 2).sum()) / 2


@dataclass
class Sums:
    """What is counted over the micro-batches of a batch."""

    loss: float = 0.0
    squares: float = 0.0
    tokens: int = 0
    first: float = 0.0
    """Rewards of the better answers, or of the good ones."""
    second: float = 0.0
    right: float = 0.0
    logprob: float = 0.0
    """ln p of the better answers' tokens."""
    learnt: int = 0
    """How many those are."""


def default_lr(dim: int) -> float:
    """Falls with the width, as `trainer.align.sft`'s does, and is a tenth of it."""
    return 0.0128 / dim
