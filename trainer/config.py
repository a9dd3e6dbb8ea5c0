"""What a pre-training run can be asked to do: one typed record, from which the command line's options are made too."""

import argparse
import dataclasses
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

from trainer.optimizer import SCHEDULES
from trainer.preset import PRESETS, preset

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class PretrainConfig:
    """A run's settings. None means: derived from the preset, the data and the number of steps, and printed.

    Exactly one of `steps` and `minutes` is given. With `minutes`, the steps are counted out at the start from the
    measured time of a few, and written down: the learning rate must know its end, and a resumed run the same one.
    """

    data: Annotated[Path, "folder of the tokenize step: shards, tokenizer.model, manifest.json"]
    output: Annotated[Path, "folder for checkpoints and log; a run found in it is resumed"]
    model: Annotated[str, f"{', '.join(PRESETS)}, or a shape: dim=192,layers=6,heads=6,kv_heads=2,hidden=512"] = "nano"
    steps: Annotated[int | None, "how many steps to train"] = None
    minutes: Annotated[float | None, "or for about how long; the number of steps is decided at the start"] = None
    seq_len: Annotated[int, "tokens that the model sees at once"] = 256
    batch_tokens: Annotated[int | None, "tokens a step; the preset's by default"] = None
    micro_batch_tokens: Annotated[int, "most tokens in memory at once; gradients accumulate over them"] = 65536
    lr: Annotated[float | None, "peak learning rate; the preset's by default"] = None
    warmup: Annotated[float, "share of the steps in which the learning rate rises"] = 0.05
    schedule: Annotated[str, f"{' or '.join(SCHEDULES)}: how the learning rate falls"] = "wsd"
    final_lr: Annotated[float, "the learning rate at the end, as a share of its peak"] = 0.0
    weight_decay: Annotated[float, "AdamW's decay of the matrices"] = 0.1
    clip: Annotated[float, "largest norm of the gradient"] = 1.0
    untied: Annotated[bool, "give the output layer a matrix of its own instead of the embeddings'"] = False
    seed: Annotated[int, "of the first weights and of the reading order"] = 0
    eval_every: Annotated[int | None, "steps between evaluations; a tenth of all by default"] = None
    eval_tokens: Annotated[int | None, "most tokens of an evaluation; 16 batches by default"] = None
    checkpoint_every: Annotated[int | None, "steps between checkpoints; eval_every by default"] = None
    precision: Annotated[str, "auto, float32 or bfloat16 (weights stay float32); auto is bfloat16 on CUDA"] = "auto"
    device: Annotated[str, "auto, cuda, cpu or another name that PyTorch knows; auto prefers CUDA"] = "auto"
    compile: Annotated[bool, "torch.compile the model: slower to start, faster on a GPU"] = False

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give steps or minutes, and not both: a run must know its end.")
        preset(self.model)
        counts = ("steps", "seq_len", "batch_tokens", "micro_batch_tokens", "eval_every", "eval_tokens")
        for name in (*counts, "checkpoint_every"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1.")
        for name in ("minutes", "lr", "clip"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be more than 0.")
        for name in ("warmup", "final_lr"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is {value}; it is a share, from 0 to 1.")
        for name, known in {"schedule": SCHEDULES, "precision": PRECISIONS}.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f'{name} is "{value}"; expected {", ".join(known)}.')

    @staticmethod
    def from_arguments(arguments: Sequence[str] | None = None) -> "PretrainConfig":
        """Reads command-line options, one a field: --batch-tokens 2048, --compile. Exits with a message if wrong."""
        parser = argparse.ArgumentParser(prog="python -m trainer.pretrain", description="Pre-train a language model.")
        for field in dataclasses.fields(PretrainConfig):
            kind, text = get_args(field.type)
            name, required = "--" + field.name.replace("_", "-"), field.default is dataclasses.MISSING
            if kind is bool:
                parser.add_argument(name, action="store_true", help=text)
                continue
            optional = isinstance(kind, types.UnionType)  # int | None: None means derived
            kind = get_args(kind)[0] if optional else kind
            text += "" if optional or required else " (%(default)s)"
            default = None if required else field.default
            parser.add_argument(name, type=kind, default=default, required=required, help=text)
        try:
            return PretrainConfig(**vars(parser.parse_args(arguments)))
        except ValueError as error:
            parser.error(str(error))
