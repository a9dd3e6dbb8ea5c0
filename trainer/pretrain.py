"""Pre-training: shards in, checkpoints and a log out. A step depends on (settings, step, shards) and nothing else.

So a run that was killed and started again ends in the same bytes as one that was not (on the same machine). The loop
is nanoGPT's and nanochat's (Karpathy 2022, 2025), and so is the habit of printing every derived number at the start.
Where nothing but torch, numpy, pyarrow, sentencepiece, safetensors and rich is installed:

    python -m trainer.pretrain --data OUT/tokenize --output OUT/model --minutes 2
"""

import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainer import checkpoint, loop
from trainer.arguments import from_arguments
from trainer.config import PretrainConfig
from trainer.learner import Learner
from trainer.log import read_log
from trainer.loop import EVALUATIONS, LOG, make_plan, record_plan, recorded_plan, settings_of
from trainer.model import flops_per_token, matrix_parameters, parameters
from trainer.output import prepare_output
from trainer.progress import Observer, Silent, short
from trainer.stage import run_stage, show_best


@dataclass(frozen=True)
class Plan(loop.Plan):
    """What pre-training decides besides."""

    rows: int
    """Windows a step."""
    eval_windows: int
    seconds_per_step: float | None
    """As measured, where the steps were derived from `minutes`."""


@dataclass(frozen=True)
class Result:
    """How a run ended; id, losses and bits are the best checkpoint's. None where nothing could be validated."""

    checkpoint: Path
    """The one of the lowest validation loss; the last where there is no validation."""
    last: Path
    id: str
    steps: int
    tokens: int
    seconds: float
    loss: float | None
    val_loss: float | None
    bits_per_byte: float | None


def pretrain(config: PretrainConfig, observer: Observer | None = None) -> Result:
    """Trains a model on the shards of `config.data` and leaves it in `config.output`; a run found there is resumed.

    Leaves run.json (settings, plan, versions), log.jsonl (a `log.Record` a step) and checkpoints (see
    `trainer.checkpoint`), the best and the last. Raises FileNotFoundError or ValueError where data or settings are
    not usable or `output` holds another run, and DivergedError where the loss is not finite.
    """
    began = time.monotonic()
    observer = observer or Silent()
    prepare_output(config.output)
    learner = Learner(config)
    settings = _settings(config, learner)
    plan = recorded_plan(config.output, settings, Plan)
    if plan is None:
        plan = _new_plan(config, learner, began)
        record_plan(config.output, settings, plan)
    learner.eval_windows = plan.eval_windows
    if learner.validation is None:
        observer.note("the corpus has no validation split: no validation loss; the last checkpoint counts as the best.")
    loop.train(learner, config, plan, learner.peak_lr, _facts(config, learner, plan), observer)
    return _result(config.output, plan, config.seq_len)


def _new_plan(config: PretrainConfig, learner: Learner, began: float) -> Plan:
    """Derives what the settings leave open. `minutes` count from `began` (time.monotonic)."""
    eval_windows = 0
    if learner.validation is not None:
        eval_tokens = config.eval_tokens or 16 * learner.rows * config.seq_len
        eval_windows = min(learner.validation.count, max(1, eval_tokens // learner.validation.seq_len))
    steps, seconds_per_step = config.steps, None
    if steps is None:
        assert config.minutes is not None
        budget = config.minutes * 60
        seconds_per_step, seconds_per_evaluation = learner.measure(budget / 20, eval_windows)
        left = budget - (time.monotonic() - began) - EVALUATIONS * seconds_per_evaluation
        steps = max(1, int(left / seconds_per_step))
    base = dataclasses.asdict(make_plan(config, steps))
    return Plan(**base, rows=learner.rows, eval_windows=eval_windows, seconds_per_step=seconds_per_step)


def _settings(config: PretrainConfig, learner: Learner) -> dict[str, Any]:
    resolved = {
        "batch_tokens": learner.rows * config.seq_len,
        "lr": learner.peak_lr,
        "shape": dataclasses.asdict(learner.model_config),
        "corpus_sha256": learner.corpus_sha256,
        "vocabulary_sha256": learner.vocabulary.sha256,
    }
    return settings_of(config, resolved)


def _facts(config: PretrainConfig, learner: Learner, plan: Plan) -> list[tuple[str, str]]:
    """Every derived number, for people."""
    model, seq_len = learner.model_config, config.seq_len
    tokens_a_step = plan.rows * seq_len
    tokens, total = plan.steps * tokens_a_step, parameters(model)
    flops = flops_per_token(model, seq_len)
    pace = f", {plan.seconds_per_step:.3f} s each as measured" if plan.seconds_per_step else ""
    validation = "none"
    if learner.validation is not None:
        validation = (
            f"{learner.validation.source.tokens:,} tokens held out; every {plan.eval_every:,} steps "
            f"{plan.eval_windows:,} of {learner.validation.count:,} windows. Loss in nats a token, and in bits a byte "
            f"of text, which compares across vocabularies ({learner.bytes_per_token:.2f} bytes a token)"
        )
    return [
        ("model", f"{config.model}: {short(total)} parameters{_beside(total, matrix_parameters(model))}"),
        (
            "shape",
            f"dim {model.dim}, {model.layers} layers, {model.heads} query heads, "
            f"{model.kv_heads} key and value heads, hidden {model.hidden}, "
            f"vocabulary {model.vocab_size:,}, context {seq_len:,}",
        ),
        ("corpus", f"{learner.train.source.tokens:,} training tokens = {learner.train.count:,} windows"),
        ("validation", validation),
        (
            "steps",
            f"{plan.steps:,} of {tokens_a_step:,} tokens ({learner.rows // learner.micro_rows} x "
            f"{learner.micro_rows} windows){pace}",
        ),
        (
            "reads",
            f"{short(tokens)} tokens = {tokens / (learner.train.count * seq_len):.2f} epochs "
            f"= {tokens / total:.2f} tokens a parameter",
        ),
        ("computes", f"{short(flops)}FLOP a token, {short(flops * tokens)}FLOP in all"),
        (
            "learning rate",
            f"rises to {learner.peak_lr:g} in {plan.warmup_steps:,} steps, ends at "
            f"{learner.peak_lr * config.final_lr:g} (schedule {config.schedule})",
        ),
        ("device", f"{learner.device}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads"),
    ]


def _beside(total: int, matrices: int) -> str:
    """Untied embeddings are looked up and not multiplied, so that they cost memory and no time."""
    return "" if matrices > 0.95 * total else f", {short(matrices)} of them in matrix products"


def _result(output: Path, plan: Plan, seq_len: int) -> Result:
    best, last = checkpoint.find(output, "best"), checkpoint.find(output, "last")
    about = checkpoint.read_about(best)
    records = read_log(output / LOG)
    return Result(
        checkpoint=best,
        last=last,
        id=about.id,
        steps=plan.steps,
        tokens=plan.steps * plan.rows * seq_len,
        seconds=records[-1].seconds if records else 0.0,
        loss=about.loss,
        val_loss=about.val_loss,
        bits_per_byte=about.bits_per_byte,
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    config = from_arguments(PretrainConfig, "corpuscle train pretrain", "Pre-train a language model.", arguments)
    return run_stage(config, pretrain, show_best)


if __name__ == "__main__":
    sys.exit(main())
