"""What a run can be asked to do: one typed record a stage, from which the command line's options are made too.

Settings are named as they are typed there, in messages as well: `batch_tokens` is --batch-tokens.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from trainer.optimizer import SCHEDULES
from trainer.preset import PRESETS, preset

PRECISIONS = ("auto", "float32", "bfloat16")


def option(name: str) -> str:
    """A setting as it is typed."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every stage can be asked. None means: derived from model and data, and printed."""

    output: Annotated[Path, "folder for checkpoints and log; a run found in it is resumed"]
    lr: Annotated[float | None, "peak learning rate; the stage's or the preset's own by default"] = None
    warmup: Annotated[float, "share of the steps in which the learning rate rises"] = 0.05
    schedule: Annotated[str, f"{' or '.join(SCHEDULES)}: how the learning rate falls"] = "wsd"
    final_lr: Annotated[float, "the learning rate at the end, as a share of its peak"] = 0.0
    weight_decay: Annotated[float, "AdamW's decay of the matrices"] = 0.1
    clip: Annotated[float, "largest norm of the gradient"] = 1.0
    seed: Annotated[int, "of the first weights, the reading order and what is drawn"] = 0
    eval_every: Annotated[int | None, "steps between evaluations; a tenth of all by default"] = None
    checkpoint_every: Annotated[int | None, "steps between checkpoints; eval_every by default"] = None
    precision: Annotated[str, "auto, float32 or bfloat16 (weights stay float32); auto is bfloat16 on CUDA"] = "auto"
    device: Annotated[str, "auto, cuda, cpu or another name that PyTorch knows; auto prefers CUDA"] = "auto"
    micro_batch_tokens: Annotated[int, "most tokens in memory at once; gradients accumulate over them"] = 65536

    def __post_init__(self) -> None:
        self.at_least(1, "micro_batch_tokens", "eval_every", "checkpoint_every")
        self.positive("lr", "clip")
        self.share("warmup", "final_lr")
        for name, known in {"schedule": SCHEDULES, "precision": PRECISIONS}.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f'{option(name)} is "{value}"; expected {", ".join(known)}.')

    def at_least(self, least: int, *names: str) -> None:
        for name in names:
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"{option(name)} is {value}; it must be at least {least}.")

    def positive(self, *names: str) -> None:
        for name in names:
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf:
                raise ValueError(f"{option(name)} is {value}; it must be more than 0.")

    def share(self, *names: str) -> None:
        for name in names:
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{option(name)} is {value}; it is a share, from 0 to 1.")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """Exactly one of `steps` and `minutes` is given. With `minutes`, the steps are counted out at the start from the
    measured time of a few, and written down: the learning rate must know its end, and a resumed run the same one.
    """

    POSITIONAL: ClassVar[str] = "data"
    """The option that may be given by its place alone: `corpuscle train pretrain corpus --output model`."""

    data: Annotated[Path, "the corpus: the folder of a finished `corpuscle run`, or its tokenize folder"]
    model: Annotated[str, f"{', '.join(PRESETS)}, or a shape: dim=192,layers=6,heads=6,kv_heads=2,hidden=512"] = "nano"
    steps: Annotated[int | None, "how many steps to train"] = None
    minutes: Annotated[float | None, "or for about how long; the number of steps is decided at the start"] = None
    seq_len: Annotated[int, "tokens that the model sees at once"] = 256
    batch_tokens: Annotated[int | None, "tokens a step; the preset's by default"] = None
    untied: Annotated[bool, "give the output layer a matrix of its own instead of the embeddings'"] = False
    eval_tokens: Annotated[int | None, "most tokens of an evaluation; 16 batches by default"] = None
    compile: Annotated[bool, "torch.compile the model: slower to start, faster on a GPU"] = False

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("give --steps or --minutes: a run must know its end.")
        if self.steps is not None and self.minutes is not None:
            raise ValueError("give --steps or --minutes, and not both.")
        preset(self.model)
        super().__post_init__()
        self.at_least(1, "steps", "seq_len", "batch_tokens", "eval_tokens")
        self.positive("minutes")


@dataclass(frozen=True, kw_only=True)
class TuneConfig(RunConfig):
    """What every stage that starts from a checkpoint can be asked. At most one of `steps` and `epochs` is given."""

    model: Annotated[Path, "the checkpoint to start from: its folder, or a run's output folder (its best is taken)"]
    data: Annotated[tuple[Path, ...], "JSONL or Parquet files, or folders of them"]
    held_out: Annotated[float, "share of the prompts that are kept for evaluation"] = 0.1
    epochs: Annotated[float | None, "how often the data are read; the stage's own number by default"] = None
    steps: Annotated[int | None, "or how many steps to train"] = None
    weight_decay: Annotated[float, "AdamW's decay of the matrices"] = 0.0
    schedule: Annotated[str, f"{' or '.join(SCHEDULES)}: how the learning rate falls"] = "cosine"

    def __post_init__(self) -> None:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give --steps or --epochs, and not both.")
        super().__post_init__()
        self.at_least(1, "steps")
        self.positive("epochs")
        self.share("held_out")
