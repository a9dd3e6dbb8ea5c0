"""Pre-training: shards in, checkpoints and a log out. A step depends on (settings, step, shards) and nothing else.

So a run that was killed and started again ends in the same bytes as one that was not (on the same machine). The loop
is nanoGPT's and nanochat's (Karpathy 2022, 2025), and so is the habit of printing every derived number at the start.
Where nothing but torch, numpy, pyarrow, sentencepiece, safetensors and rich is installed:

    python -m trainer.pretrain --data OUT/tokenize --output OUT/model --minutes 2
"""

import os

# PyTorch's threads spin while they wait for each other, which this, read when torch is imported, changes to sleeping.
# On 2 cores beside other busy programs a nano step then took 0.16 to 0.33 s instead of 0.4 to 4.3 s; on idle ones it
# takes 0.12 s instead of 0.09 s. Set OMP_WAIT_POLICY=active where nothing else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import dataclasses
import json
import math
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape

from trainer import checkpoint
from trainer.checkpoint import About
from trainer.config import PretrainConfig
from trainer.learner import DivergedError, Learner
from trainer.log import Log, Record, read_log
from trainer.model import flops_per_token, matrix_parameters, parameters
from trainer.optimizer import learning_rate, load_state_tensors, state_tensors
from trainer.progress import Observer, Screen, Silent, short

RUN, LOG = "run.json", "log.jsonl"

EVALUATIONS = 10
"""How often a run is evaluated where its settings do not say."""

MAY_DIFFER = ("data", "output", "device", "compile")
"""Settings in which a resumed run may differ: where things lie and what computes them. The corpus's digest may not."""


@dataclass(frozen=True)
class Plan:
    """What is decided at the start, once, and kept in run.json for every resumption."""

    steps: int
    rows: int
    """Windows a step."""
    warmup_steps: int
    eval_every: int
    eval_windows: int
    checkpoint_every: int
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
    learner = Learner(config)
    config.output.mkdir(parents=True, exist_ok=True)
    plan = _recorded_plan(config, learner) or _new_plan(config, learner, began)
    done = _resume(config.output, learner)
    observer.start(_facts(config, learner, plan), done, plan.steps)
    if learner.validation is None:
        observer.note("the corpus has no validation split: no validation loss; the last checkpoint counts as the best.")
    try:
        with Log(config.output / LOG, done) as log:
            _train(config, learner, plan, done, log, observer)
    finally:
        observer.stop()
    return _result(config.output, plan, config.seq_len)


def _train(config: PretrainConfig, learner: Learner, plan: Plan, done: int, log: Log, observer: Observer) -> None:
    before = log.records[-1].seconds if log.records else 0.0
    start = time.monotonic()
    for step in range(done, plan.steps):
        lr = learning_rate(step, plan.steps, learner.peak_lr, plan.warmup_steps, config.schedule, config.final_lr)
        step_start = time.monotonic()
        try:
            loss, norm = learner.step(step, lr)
        except DivergedError as error:
            raise DivergedError(_divergence(config, step + 1, lr, str(error))) from None
        speed = plan.rows * config.seq_len / (time.monotonic() - step_start)
        record = Record(step + 1, loss, norm, lr, speed, 0.0)
        last = record.step == plan.steps
        keep = last or record.step % plan.checkpoint_every == 0
        if learner.validation is not None and (keep or record.step % plan.eval_every == 0):
            val_loss, bits_per_byte = learner.evaluate(plan.eval_windows)
            if not math.isfinite(val_loss):
                raise DivergedError(_divergence(config, record.step, lr, f"the validation loss is {val_loss:.3g}"))
            record = dataclasses.replace(record, val_loss=val_loss, bits_per_byte=bits_per_byte)
        record = dataclasses.replace(record, seconds=before + time.monotonic() - start)
        log.append(record)
        if keep:
            _save(config.output, learner, record)
        observer.step(record)


def _save(output: Path, learner: Learner, record: Record) -> None:
    weights = learner.model.state_dict()
    vocabulary = learner.vocabulary
    about = About(
        id=checkpoint.checkpoint_id(weights, learner.model_config, vocabulary.sha256),
        step=record.step,
        model=learner.model_config,
        vocabulary_sha256=vocabulary.sha256,
        bos_id=vocabulary.bos_id,
        corpus_sha256=learner.corpus_sha256,
        loss=record.loss,
        val_loss=record.val_loss,
        bits_per_byte=record.bits_per_byte,
    )
    checkpoint.save(output, about, weights, state_tensors(learner.model, learner.optimizer), vocabulary.path)


def _resume(output: Path, learner: Learner) -> int:
    """Takes up the last checkpoint, if there is one. Returns how many steps are done."""
    if not (output / checkpoint.INDEX).exists():
        return 0
    last = checkpoint.load(output, "last", learner.device)
    learner.model.load_state_dict(last.model.state_dict())
    load_state_tensors(learner.model, learner.optimizer, last.optimizer_tensors())
    return last.about.step


def _new_plan(config: PretrainConfig, learner: Learner, began: float) -> Plan:
    """Derives what the settings leave open, and writes it down. `minutes` count from `began` (time.monotonic)."""
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
    eval_every = config.eval_every or math.ceil(steps / EVALUATIONS)
    plan = Plan(
        steps=steps,
        rows=learner.rows,
        warmup_steps=round(config.warmup * steps),
        eval_every=eval_every,
        eval_windows=eval_windows,
        checkpoint_every=config.checkpoint_every or eval_every,
        seconds_per_step=seconds_per_step,
    )
    run = {
        "format": 1,
        "settings": _settings(config, learner),
        "plan": dataclasses.asdict(plan),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    checkpoint.write_whole(config.output / RUN, json.dumps(run, indent=1) + "\n")
    return plan


def _recorded_plan(config: PretrainConfig, learner: Learner) -> Plan | None:
    """The plan of the run in the output folder, which must have had the same settings and corpus; None if new."""
    path = config.output / RUN
    if not path.exists():
        return None
    run = json.loads(path.read_text())
    then, now = run["settings"], _settings(config, learner)
    changed = [f"{name} was {then.get(name)}, is now {now.get(name)}" for name in now if now[name] != then.get(name)]
    if changed:
        raise ValueError(
            f"{path}: a run with other settings lies here ({'; '.join(changed)}). "
            f"Resume it with its own settings, or choose another output folder."
        )
    return Plan(**run["plan"])


def _settings(config: PretrainConfig, learner: Learner) -> dict[str, Any]:
    """Everything that decides the result, defaults resolved."""
    fields = dataclasses.asdict(config)
    return {
        **{name: value for name, value in fields.items() if name not in MAY_DIFFER},
        "batch_tokens": learner.rows * config.seq_len,
        "lr": learner.peak_lr,
        "shape": dataclasses.asdict(learner.model_config),
        "corpus_sha256": learner.corpus_sha256,
        "vocabulary_sha256": learner.vocabulary.sha256,
    }


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
            f"{plan.eval_windows:,} of {learner.validation.count:,} windows every {plan.eval_every:,} steps, "
            f"{learner.bytes_per_token:.2f} bytes a token"
        )
    return [
        ("model", f"{config.model}: {short(total)} parameters, {short(matrix_parameters(model))} of them in products"),
        (
            "shape",
            f"dim {model.dim}, {model.layers} layers, {model.heads} heads on {model.kv_heads}, "
            f"hidden {model.hidden}, vocabulary {model.vocab_size:,}, context {seq_len:,}",
        ),
        ("corpus", f"{learner.train.source.tokens:,} tokens, {learner.train.count:,} windows"),
        ("validation", validation),
        (
            "steps",
            f"{plan.steps:,} of {tokens_a_step:,} tokens ({learner.rows // learner.micro_rows} x "
            f"{learner.micro_rows} windows){pace}",
        ),
        (
            "reads",
            f"{short(tokens)} tokens = {tokens / (learner.train.count * seq_len):.2f} epochs "
            f"= {tokens / total:.2f} a parameter",
        ),
        ("computes", f"{short(flops)}FLOP a token, {short(flops * tokens)}FLOP in all"),
        (
            "learning rate",
            f"{learner.peak_lr:g}, up in {plan.warmup_steps:,} steps, down by {config.schedule} "
            f"to {learner.peak_lr * config.final_lr:g}",
        ),
        ("device", f"{learner.device}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads"),
    ]


def _divergence(config: PretrainConfig, step: int, lr: float, what: str) -> str:
    try:
        good = f"The last good checkpoint is {checkpoint.find(config.output, 'last')}."
    except FileNotFoundError:
        good = "No checkpoint had been written."
    return (
        f"step {step}: {what}. {good} The same run would stop here again: "
        f"start one in another output folder with a lower learning rate (it was {lr:.3g}) or a longer warmup."
    )


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
    config = PretrainConfig.from_arguments(arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        result = pretrain(config, Screen(console))
    except (DivergedError, FileNotFoundError, ValueError) as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        errors.print("stopped; the same command goes on from the last checkpoint.")
        return 130
    console.print(f"best checkpoint {escape(str(result.checkpoint))} ({result.seconds:,.0f} s)", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
