"""What all stages behind pre-training share: a checkpoint to start from, a template, a plan in steps or epochs."""

import json
import math
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from trainer import checkpoint, loop
from trainer.checkpoint import About
from trainer.config import TuneConfig
from trainer.device import pick_device
from trainer.log import read_log
from trainer.loop import LOG, make_plan, record_plan, recorded_plan, settings_of
from trainer.model import parameters
from trainer.optimizer import adamw, load_state_tensors, state_tensors
from trainer.output import prepare_output
from trainer.progress import Observer, Silent, short
from trainer.records import Records
from trainer.talk.conversation import read_template


@dataclass(frozen=True)
class Result:
    """How a stage ended. Losses and metrics are the named checkpoint's."""

    checkpoint: Path
    """The one to go on with: that of the lowest held-out loss, or the last where there is none."""
    id: str
    step: int
    seconds: float
    loss: float | None
    val_loss: float | None
    metrics: Mapping[str, float]


EVALUATION = "evaluation.json"


class Report(Protocol):
    """What `judged` needs of a report."""

    def as_json(self) -> dict[str, Any]: ...


J = TypeVar("J", bound=Report)


@dataclass(frozen=True)
class Judged(Result, Generic[J]):
    """A stage's end with a report of its best checkpoint on what is held out; None where nothing is."""

    report: J | None


class Tuner:
    """The parts of `loop.Objective` that do not depend on what is learnt.

    A stage sets `model` (what is trained) and calls `ready`. Its own tensors beside the model's go into `extra`, a
    module whose weights are trained too and saved with the optimiser's memory (PPO's value model, LoRA's factors).
    """

    stage = ""
    head = "lm"
    model: nn.Module
    extra: nn.Module | None = None

    def __init__(self, config: TuneConfig, data_sha256: str) -> None:
        self.config, self.data_sha256 = config, data_sha256
        self.device = pick_device(config.device)
        self.folder = checkpoint.find(config.model)
        self.parent: About = checkpoint.read_about(self.folder)
        self.vocabulary_path = checkpoint.vocabulary_of(self.folder, self.parent)
        self.template = read_template(self.vocabulary_path)
        self.context = self.parent.model.max_seq_len

    def ready(self, lr: float) -> None:
        """Makes the optimiser for what is trained: all weights of `model` and `extra` that ask for a gradient."""
        self.trained = nn.ModuleDict({"model": self.model})
        if self.extra is not None:
            self.trained["extra"] = self.extra
        self.peak_lr = self.config.lr or lr
        self.optimizer = adamw(self.trained, self.peak_lr, self.config.weight_decay)

    def trained_weights(self) -> list[Tensor]:
        return [weight for weight in self.trained.parameters() if weight.requires_grad]

    def weights(self) -> Mapping[str, Tensor]:
        return self.model.state_dict()

    def state(self) -> Mapping[str, Tensor]:
        memory = state_tensors(self.trained, self.optimizer)
        extra = self.extra.state_dict() if self.extra is not None else {}
        return {**memory, **{f"extra/{name}": tensor for name, tensor in extra.items()}}

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        self.model.load_state_dict(weights)
        extra = {name[6:]: tensor for name, tensor in state.items() if name.startswith("extra/")}
        if self.extra is not None:
            self.extra.load_state_dict(extra)
        memory = {name: tensor for name, tensor in state.items() if not name.startswith("extra/")}
        load_state_tensors(self.trained, self.optimizer, memory)

    def about(self) -> dict[str, Any]:
        return {
            "model": self.parent.model,
            "vocabulary_sha256": self.parent.vocabulary_sha256,
            "bos_id": self.parent.bos_id,
            "corpus_sha256": self.parent.corpus_sha256,
            "stage": self.stage,
            "head": self.head,
            "parent": self.parent.id,
            "data_sha256": self.data_sha256,
        }


def steps_of(config: TuneConfig, rows: int, batch: int, epochs: float) -> int:
    """How many steps of `batch` rows read `rows` as often as asked; `epochs` where nothing is."""
    return config.steps or max(1, math.ceil(rows * (config.epochs or epochs) / batch))


def usual_notes(read: Records[Any], what: str, held_out: Sized, measure: str) -> list[str]:
    """What any stage says of its data: `what` they are, and the `measure` that there is not with nothing held out."""
    notes = list(read.notes)
    if read.duplicates:
        notes.append(f"{read.duplicates:,} {what} are there more than once and read once.")
    if not len(held_out):
        notes.append(f"nothing is held out: no {measure}; the last checkpoint counts as the best.")
    return notes


def judged(tuner: Tuner, result: Result, report: J | None, **about: Any) -> Judged[J]:
    """The result with its report, which is left as evaluation.json with what it is `about`."""
    if report is not None:
        fields = {"checkpoint": result.id, **about, "data_sha256": tuner.data_sha256, **report.as_json()}
        checkpoint.write_whole(tuner.config.output / EVALUATION, json.dumps(fields, indent=1) + "\n")
    return Judged(**vars(result), report=report)


def run(
    tuner: Any, steps: int, facts: Sequence[tuple[str, str]], observer: Observer | None, resolved: Mapping[str, Any]
) -> Result:
    """Trains, or goes on where a run in the output folder stopped. `resolved`: settings that were derived."""
    observer, config, about = observer or Silent(), tuner.config, tuner.parent
    prepare_output(config.output)
    derived = {"lr": tuner.peak_lr, "data_sha256": tuner.data_sha256, "model": about.id, "stage": tuner.stage}
    settings = settings_of(config, {**derived, "steps": steps, **resolved})
    plan = recorded_plan(config.output, settings, loop.Plan)
    if plan is None:
        plan = make_plan(config, steps)
        record_plan(config.output, settings, plan)
    shape = about.model
    general = [
        ("model", f"{config.model}: {short(parameters(shape))} parameters, context {shape.max_seq_len:,}"),
        ("starts from", f"{about.stage} {about.id[:12]}, step {about.step:,}"),
        *facts,
        ("learning rate", f"{tuner.peak_lr:g}, up in {plan.warmup_steps:,} of {plan.steps:,} steps, {config.schedule}"),
        ("device", f"{tuner.device}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads"),
    ]
    loop.train(tuner, config, plan, tuner.peak_lr, general, observer, keep_start=True)
    best = checkpoint.find(config.output, "best")
    found, records = checkpoint.read_about(best), read_log(config.output / LOG)
    seconds = records[-1].seconds if records else 0.0
    return Result(best, found.id, found.step, seconds, found.loss, found.val_loss, found.metrics)
