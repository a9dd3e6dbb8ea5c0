"""The loop that all stages share: steps, evaluations, checkpoints, log, resumption. What is learnt is the objective's.

A step depends on (settings, step, data) and nothing else, so a run that was killed and started again ends in the same
bytes as one that was not (on the same machine). One loop and many objectives, where nanochat (Karpathy 2025) has a
loop for each stage.
"""

import contextlib
import dataclasses
import json
import math
import platform
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from trainer import checkpoint
from trainer.checkpoint import About
from trainer.config import RunConfig, option
from trainer.log import Log, Record
from trainer.optimizer import DivergedError, learning_rate
from trainer.output import RUN
from trainer.progress import Observer

LOG = "log.jsonl"


@dataclass(frozen=True)
class Update:
    """What a step did. `loss` and `grad_norm` are from before its update, the norm from before clipping."""

    loss: float
    grad_norm: float
    tokens: int
    """How many it read (and wrote): what its speed is counted in."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    stop: str | None = None
    """Why the run must end here; the weights after this step are then not kept."""


@dataclass(frozen=True)
class Evaluation:
    """What held-out data say. The checkpoint of the lowest `loss` is the best."""

    loss: float
    bits_per_byte: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """What a stage brings to the loop."""

    vocabulary_path: Path
    """tokenizer.model, which each checkpoint keeps a copy of."""

    def step(self, step: int, lr: float) -> Update:
        """Learns from the batch of a step (0 is the first). Raises DivergedError, without an update."""

    def evaluate(self) -> Evaluation | None:
        """None where there is nothing to evaluate on."""

    def weights(self) -> Mapping[str, Tensor]:
        """What the checkpoint's model.safetensors holds."""

    def state(self) -> Mapping[str, Tensor]:
        """What a resumed run needs besides: the optimiser's memory, and other trained tensors."""

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        """Takes back what `weights` and `state` gave."""

    def about(self) -> Mapping[str, Any]:
        """The fields of `checkpoint.About` that do not change from step to step."""


@dataclass(frozen=True)
class Plan:
    """What is decided at the start, once, and kept in run.json for every resumption."""

    steps: int
    warmup_steps: int
    eval_every: int
    checkpoint_every: int


EVALUATIONS = 10
"""How often a run is evaluated where its settings do not say."""


def make_plan(config: RunConfig, steps: int) -> Plan:
    eval_every = config.eval_every or math.ceil(steps / EVALUATIONS)
    return Plan(steps, round(config.warmup * steps), eval_every, config.checkpoint_every or eval_every)


def train(
    objective: Objective,
    config: RunConfig,
    plan: Plan,
    peak_lr: float,
    facts: Sequence[tuple[str, str]],
    observer: Observer,
    keep_start: bool = False,
) -> None:
    """Runs the steps that are not done yet; leaves log.jsonl and checkpoints in `config.output`.

    With `keep_start` the model that the run starts from is its first checkpoint, so that a training which makes
    things worse has it as its best, and one that is stopped by a guard has one at all.

    Ctrl-C lets the step in progress end, writes a checkpoint, and then raises KeyboardInterrupt; a second one raises
    it at once.
    """
    done = resume(objective, config.output)
    observer.start(facts, done, plan.steps)
    try:
        with Log(config.output / LOG, done) as log, _asked_to_stop() as asked:
            if not done and keep_start and not (config.output / checkpoint.INDEX).exists():
                _save(config.output, objective, evaluated(objective, Record(0, math.nan, 0.0, 0.0, 0.0, 0.0)))
            _steps(objective, config, plan, peak_lr, done, log, observer, asked)
    finally:
        observer.stop()


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, instead of breaking into a step in which the weights may be half updated.

    Only in the main thread, and only where nobody else handles the signal: Python allows no more.
    """
    asked = threading.Event()

    def note(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _steps(
    objective: Objective,
    config: RunConfig,
    plan: Plan,
    peak_lr: float,
    done: int,
    log: Log,
    observer: Observer,
    asked: threading.Event,
) -> None:
    before = log.records[-1].seconds if log.records else 0.0
    start = time.monotonic()
    for step in range(done, plan.steps):
        lr = learning_rate(step, plan.steps, peak_lr, plan.warmup_steps, config.schedule, config.final_lr)
        step_start = time.monotonic()
        try:
            update = objective.step(step, lr)
        except DivergedError as error:
            raise DivergedError(_divergence(config.output, step + 1, lr, str(error))) from None
        speed = update.tokens / (time.monotonic() - step_start)
        record = Record(step + 1, update.loss, update.grad_norm, lr, speed, 0.0, metrics=dict(update.metrics))
        last = record.step == plan.steps
        keep = not update.stop and (last or record.step % plan.checkpoint_every == 0)
        if not update.stop and (keep or record.step % plan.eval_every == 0):
            record = evaluated(objective, record)
            if record.val_loss is not None and not math.isfinite(record.val_loss):
                what = f"the validation loss is {record.val_loss:.3g}"
                raise DivergedError(_divergence(config.output, record.step, lr, what))
        record = dataclasses.replace(record, seconds=before + time.monotonic() - start)
        log.append(record)
        if keep:
            _save(config.output, objective, record)
        observer.step(record)
        if update.stop:
            observer.note(f"step {record.step}: {update.stop}. The last checkpoint from before it is kept.")
            return
        if asked.is_set() and not last:
            if not keep:  # without a validation loss it can't become the best, which is as in a run without a stop
                _save(config.output, objective, dataclasses.replace(record, val_loss=None, bits_per_byte=None))
            observer.note(f"step {record.step} of {plan.steps} is saved.")
            raise KeyboardInterrupt


def evaluated(objective: Objective, record: Record) -> Record:
    found = objective.evaluate()
    if found is None:
        return record
    metrics = {**record.metrics, **found.metrics}
    return dataclasses.replace(record, val_loss=found.loss, bits_per_byte=found.bits_per_byte, metrics=metrics)


def resume(objective: Objective, output: Path) -> int:
    """Takes up the last checkpoint of a run, if there is one. Returns how many steps are done."""
    if not (output / checkpoint.INDEX).exists():
        return 0
    folder = checkpoint.find(output, "last")
    about = checkpoint.read_about(folder)
    objective.restore(checkpoint.read_weights(folder, about), checkpoint.read_state(folder))
    return about.step


def _save(output: Path, objective: Objective, record: Record) -> None:
    weights, fields = objective.weights(), dict(objective.about())
    about = About(
        id=checkpoint.checkpoint_id(weights, fields["model"], fields["vocabulary_sha256"]),
        step=record.step,
        loss=record.loss if math.isfinite(record.loss) else None,
        val_loss=record.val_loss,
        bits_per_byte=record.bits_per_byte,
        metrics=dict(record.metrics),
        **fields,
    )
    checkpoint.save(output, about, weights, objective.state(), objective.vocabulary_path)


def where_it_goes_on(output: Path) -> str:
    """For a person who stopped a run, or several in folders of one: what the same command would do now."""
    saved = sorted(output.glob(f"*/{checkpoint.INDEX}"), key=lambda index: index.stat().st_mtime)
    last = saved[-1].parent if saved else output
    try:
        step = checkpoint.read_about(checkpoint.find(last, "last")).step
    except FileNotFoundError:
        return "no step had been saved: the same command begins anew."
    return f"the same command goes on from step {step:,}{f' of {last}' if last != output else ''}."


P = TypeVar("P", bound=Plan)


def recorded_plan(output: Path, settings: Mapping[str, Any], kind: type[P]) -> P | None:
    """The plan of the run in the output folder, which must have had the same settings and data; None if new."""
    path = output / RUN
    if not path.exists():
        return None
    run = json.loads(path.read_text())
    check_settings(path, run["settings"], settings)
    return kind(**run["plan"])


def check_settings(path: Path, then: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raises ValueError where a run that is found in `path` had other settings, and names those."""
    now = json.loads(json.dumps(settings))
    changed = [change for name in now for change in _changes(name, then.get(name), now[name])]
    if changed:
        raise ValueError(
            f"{path}: a run with other settings lies here ({'; '.join(changed)}). "
            f"Resume it with its own settings, or choose another output folder."
        )


DIGESTS = {
    "data_sha256": "the data are others",
    "demonstrations_sha256": "the demonstrations are others",
    "comparisons_sha256": "the comparisons are others",
    "prompts_sha256": "the prompts are others",
    "corpus_sha256": "the corpus is another",
    "vocabulary_sha256": "the vocabulary is another",
}


def _changes(name: str, then: Any, now: Any) -> list[str]:
    """What differs in a setting, told shortly and as it is typed: of a shape the numbers that do."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [change for key in now for change in _changes(f"{name}.{key}", then.get(key), now[key])]
    if then == now:
        return []
    if name.endswith("sha256"):
        return [DIGESTS[name]]
    shown = name if name in ("stage", "demonstrations") or "." in name else option(name)
    was, is_now = (_short(value) for value in (then, now))
    return [f"{shown} was {was}, is now {is_now}"]


def _short(value: Any, most: int = 60) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def record_plan(output: Path, settings: Mapping[str, Any], plan: Plan) -> None:
    run = {
        "format": 1,
        "settings": settings,
        "plan": dataclasses.asdict(plan),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    checkpoint.write_whole(output / RUN, json.dumps(run, indent=1) + "\n")


MAY_DIFFER = ("data", "output", "device", "compile")
"""Settings in which a resumed run may differ: where things lie and what computes them. The data's digest may not."""


def settings_of(config: RunConfig, resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that decides the result: the configuration, with `resolved` for what it left open."""
    fields = dataclasses.asdict(config)
    return {
        **{name: _plain(value) for name, value in fields.items() if name not in MAY_DIFFER},
        **resolved,
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _divergence(output: Path, step: int, lr: float, what: str) -> str:
    try:
        good = f"The last good checkpoint is {checkpoint.find(output, 'last')}."
    except FileNotFoundError:
        good = "No checkpoint had been written."
    return (
        f"step {step}: {what}. {good} The same run would stop here again: "
        f"start one in another output folder with a lower learning rate (it was {lr:.3g}) or a longer warmup."
    )
