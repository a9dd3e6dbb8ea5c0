"""Supervised fine-tuning: a base model imitates demonstrations, and learns from what an assistant writes in them.

Ouyang et al. 2022 (InstructGPT), step 1; packing, LoRA and NEFTune as later work found them. With the core's own
dependencies alone:

    python -m trainer.align.sft --model OUT/model --data demonstrations.jsonl --output OUT/sft
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from trainer import checkpoint, records
from trainer.align.lora import Lora
from trainer.align.losses import sft_loss
from trainer.align.packing import Batch, Packing, pack
from trainer.align.tuning import Result, Tuner, run, steps_of, usual_notes
from trainer.arguments import from_arguments
from trainer.config import TuneConfig
from trainer.data import key, reading_order
from trainer.device import autocast
from trainer.loop import Evaluation, Update
from trainer.model import Llama
from trainer.optimizer import descend
from trainer.progress import Observer, Silent, short
from trainer.records import Demonstration
from trainer.stage import run_stage, show_best

EPOCHS = 3.0

ROWS = 16
"""Rows of the context's length in a step."""

STEPS = 20
"""An epoch has at least so many where nothing is said: 267 demonstrations in 2 steps of 16 rows taught nothing."""


@dataclass(frozen=True, kw_only=True)
class SftConfig(TuneConfig):
    """`data` are demonstrations: `messages`, or `prompt` and `completion`."""

    batch_tokens: Annotated[int | None, f"tokens a step; {ROWS} rows by default, fewer of few data"] = None
    lora_rank: Annotated[int | None, "learn factors of this rank instead of all weights"] = None
    lora_alpha: Annotated[float | None, "scales the factors' product by alpha / rank; twice the rank by default"] = None
    neftune: Annotated[float | None, "noise on the embeddings, alpha of NEFTune: 5 to 15 are usual"] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "batch_tokens", "lora_rank")
        self.positive("lora_alpha", "neftune")
        if self.lora_alpha is not None and self.lora_rank is None:
            raise ValueError("--lora-alpha is given without --lora-rank; give both or neither.")


class Sft(Tuner):
    """What `loop.train` asks of a stage."""

    stage = "sft"
    model: Llama

    def __init__(
        self, config: SftConfig, train: Sequence[Demonstration], held_out: Sequence[Demonstration], data_sha256: str
    ) -> None:
        super().__init__(config, data_sha256)
        self.settings = config
        self.train, self.held_out = self._pack(train), self._pack(held_out)
        if not self.train.rows:
            raise ValueError(
                f"nothing to learn in {len(train):,} demonstrations for training: {self.train.dropped:,} have no "
                f"trained token within the context of {self.context:,}. Give more or shorter ones, or hold out fewer."
            )
        asked = config.batch_tokens // self.context if config.batch_tokens else min(ROWS, len(self.train.rows) // STEPS)
        self.rows = min(max(1, asked), len(self.train.rows))
        self.micro_rows = max(1, config.micro_batch_tokens // self.context)
        self.model = checkpoint.load(self.folder, device=self.device).model
        self.lora: Lora | None = None
        self.lora_alpha: float | None = None
        if config.lora_rank is not None:
            self.lora_alpha = config.lora_alpha or 2.0 * config.lora_rank
            self.extra = self.lora = Lora(self.model, config.lora_rank, self.lora_alpha, config.seed)
        self.ready(default_lr(self.parent.model.dim, self.lora is not None))

    def _pack(self, demonstrations: Sequence[Demonstration]) -> Packing:
        encoded = [self.template.encode(demonstration.messages) for demonstration in demonstrations]
        weights = [demonstration.weight for demonstration in demonstrations]
        return pack(encoded, self.context, self.template.pad, weights, self.config.seed)

    def step(self, step: int, lr: float) -> Update:
        order = reading_order(step * self.rows, self.rows, len(self.train.rows), self.config.seed)
        return self.learn(self.train.batch(order), step, lr)

    def learn(self, batch: Batch, step: int, lr: float) -> Update:
        """One update. A batch in which nothing is trained has loss 0, changes nothing and counts as `skipped`."""
        batch, tokens = batch.to(self.device), int((batch.segments >= 0).sum())
        total = batch.weights.sum()
        if not total:
            return Update(0.0, 0.0, tokens, {"skipped": 1.0})
        noise = self._noise(batch, step)
        loss = torch.zeros((), device=self.device)
        for start in range(0, len(batch.tokens), self.micro_rows):
            rows = slice(start, start + self.micro_rows)
            part, _ = self._loss(batch[rows], total, None if noise is None else noise[rows])
            part.backward()
            loss += part.detach()
        norm = descend(self.trained_weights(), self.optimizer, lr, self.config.clip, loss.item())
        return Update(loss.item(), norm, tokens)

    def _loss(self, batch: Batch, total: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(sum of weight * loss / total, the same of whether the likeliest token is the right one) of some rows.

        Logits are computed where something is trained, and nowhere else. With 4,096 pieces, a step of 4,096 tokens
        takes a nano model 0.47 s of CPU where that is 22% of the places, 0.53 s at 43%, and 0.75 s with all logits;
        beyond what lies in memory before it, 332, 406 and 453 MiB.
        """
        where = batch.weights > 0
        targets, weights = batch.targets[where], batch.weights[where]
        with autocast(self.device, self.config.precision):
            vectors = self.model.vectors(batch.tokens, segments=batch.segments, noise=noise)
            logits = self.model.logits(vectors[where])
        right = ((logits.detach().argmax(-1) == targets) * weights).sum() / total
        return sft_loss(logits, targets, weights, total), right

    def _noise(self, batch: Batch, step: int) -> Tensor | None:
        """NEFTune's noise [rows, length, dim], the same whenever step `step` is done; None where none is wanted.

        Uniform in +-alpha / sqrt(L * dim), where L is the length of the conversation that a token belongs to (Jain et
        al. 2023, algorithm 1).
        """
        if self.settings.neftune is None:
            return None
        dim = self.parent.model.dim
        lengths = (batch.segments[:, :, None] == batch.segments[:, None, :]).sum(-1)
        generator = torch.Generator().manual_seed(key(self.config.seed, step))
        uniform = torch.rand(*batch.tokens.shape, dim, generator=generator).to(self.device) * 2 - 1
        return uniform * (self.settings.neftune / (lengths * dim).sqrt())[:, :, None]

    @torch.no_grad()
    def evaluate(self) -> Evaluation | None:
        """Loss and share of tokens foreseen, over the trained tokens of what is held out."""
        if not self.held_out.rows:
            return None
        count, rows = len(self.held_out.rows), self.micro_rows
        loss = right = weight = 0.0
        for start in range(0, count, rows):
            batch = self.held_out.batch(range(start, min(count, start + rows))).to(self.device)
            part, hits = self._loss(batch, torch.ones((), device=self.device))
            loss, right, weight = loss + part.item(), right + hits.item(), weight + batch.weights.sum().item()
        return Evaluation(loss / weight, metrics={"token_accuracy": right / weight})

    def weights(self) -> Mapping[str, Tensor]:
        """With LoRA the merged ones, which everything can use that reads a checkpoint."""
        return super().weights() if self.lora is None else self.lora.merged_state_dict(self.model)

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        """With LoRA the model stays the parent's, and the factors come from `state`."""
        super().restore(weights if self.lora is None else self.model.state_dict(), state)


def default_lr(dim: int, lora: bool) -> float:
    """Falls with the width, as Adam's best rate does (Yang et al. 2022, muP): 1e-3 for nano, 1.7e-4 for base.

    LoRA's best rate is about ten times that of full fine-tuning (Schulman 2025, "LoRA without regret"). What a model
    must learn from nothing wants more: a nano model was right on 78% of `tasks.templated` after 1.2 M tokens at 1e-3,
    on 83% at 2e-3, and after 1.4 M in batches half as large at 3e-3 on 87%.
    """
    return (10 if lora else 1) * 0.128 / dim


def sft(config: SftConfig, observer: Observer | None = None) -> Result:
    """Fine-tunes `config.model` on the demonstrations in `config.data`; a run found in `config.output` is resumed.

    Raises FileNotFoundError or ValueError where model, data or settings are not usable, and DivergedError where the
    loss is not finite.
    """
    observer = observer or Silent()
    read = records.read_demonstrations(config.data)
    # Not by the run's seed: what is held out here must be so in every stage, and in a run with another seed.
    train, held_out = records.split(read, config.held_out)
    tuner = Sft(config, train, held_out, records.digest(read))
    for note in (*usual_notes(read, "demonstrations", tuner.held_out.rows, "held-out loss"), *_losses(tuner)):
        observer.note(note)
    steps = steps_of(config, len(tuner.train.rows), tuner.rows, EPOCHS)
    resolved = {"batch_tokens": tuner.rows * tuner.context, "lora_alpha": tuner.lora_alpha}
    return run(tuner, steps, _facts(tuner, steps), observer, resolved)


def _losses(tuner: Sft) -> list[str]:
    """What of the data is not learnt from."""
    notes, cut = [], tuner.train.cut + tuner.held_out.cut
    dropped = tuner.train.dropped + tuner.held_out.dropped
    if cut:
        notes.append(f"{cut:,} demonstrations are longer than the context of {tuner.context:,}; their ends are cut.")
    if dropped:
        notes.append(f"{dropped:,} demonstrations have nothing to learn within the context and are left out.")
    return notes


def _facts(tuner: Sft, steps: int) -> list[tuple[str, str]]:
    train, held_out, config = tuner.train, tuner.held_out, tuner.settings
    places, count = len(train.rows) * train.length, len(train.examples)
    facts = [
        ("demonstrations", f"{count:,}, {train.trained:,} of {train.tokens:,} tokens are learnt"),
        ("held out", f"{len(held_out.examples):,} demonstrations, {held_out.trained:,} tokens"),
        (
            "packing",
            f"{len(train.rows):,} rows of {train.length:,}, {count / len(train.rows):.1f} demonstrations each, "
            f"{train.tokens / places:.1%} full; {train.cut:,} cut, {train.dropped:,} left out",
        ),
        ("logits", f"at {train.trained / places:.1%} of the places, where something is learnt"),
        (
            "steps",
            f"{steps:,} of {tuner.rows} rows, {min(tuner.rows, tuner.micro_rows)} at a time, "
            f"= {steps * tuner.rows / len(train.rows):.2f} epochs",
        ),
    ]
    if tuner.lora is not None:
        learnt = sum(weight.numel() for weight in tuner.trained_weights())
        facts.append(("LoRA", f"rank {config.lora_rank}, alpha {tuner.lora_alpha:g}: {short(learnt)} weights learnt"))
    if config.neftune is not None:
        facts.append(("NEFTune", f"alpha {config.neftune:g}"))
    return facts


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    config = from_arguments(SftConfig, "corpuscle train sft", "Fine-tune a model on demonstrations.", arguments)
    return run_stage(config, sft, show_best)


if __name__ == "__main__":
    sys.exit(main())
