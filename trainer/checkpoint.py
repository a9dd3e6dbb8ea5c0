"""A checkpoint is a folder that needs nothing beside it: the weights, the vocabulary, and what made them. No pickle.

    OUT/checkpoints.json             {"last": "step-000200", "best": "step-000150"}: written last, it is the commit
    OUT/step-000200/model.safetensors      the weights, named as Hugging Face names them
                    tokenizer.model        the SentencePiece vocabulary they were trained on
                    checkpoint.json        id, model shape, step, losses, corpus and vocabulary digests
                    optimizer.safetensors  what a resumed run needs besides

A folder that checkpoints.json does not name does not exist, so a run killed at any moment leaves the last one whole.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.model import Llama, ModelConfig, RewardModel, Trunk

FORMAT = 1
INDEX, MODEL, OPTIMIZER, ABOUT, VOCABULARY = (
    "checkpoints.json",
    "model.safetensors",
    "optimizer.safetensors",
    "checkpoint.json",
    "tokenizer.model",
)


@dataclass(frozen=True)
class About:
    """What checkpoint.json says. `id` is the SHA-256 of weights, shape and vocabulary (`checkpoint_id`)."""

    id: str
    step: int
    model: ModelConfig
    vocabulary_sha256: str
    bos_id: int
    corpus_sha256: str
    """SHA-256 of the corpus's manifest.json, which names every shard by its own SHA-256."""
    loss: float | None = None
    """Mean cross-entropy of the step's batch, in nats a token."""
    val_loss: float | None = None
    bits_per_byte: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    stage: str = "pretrain"
    """What made it: pretrain, sft, reward, dpo, rl, ..."""
    head: str = "lm"
    """What the model's last layer gives: "lm" (the next token) or "score" (a reward)."""
    parent: str | None = None
    """The id of the checkpoint that the run started from."""
    data_sha256: str | None = None
    """Digest of the demonstrations, comparisons or prompts that it learnt from."""
    format: int = FORMAT


M = TypeVar("M", bound=Trunk, covariant=True)


@dataclass(frozen=True)
class Checkpoint(Generic[M]):
    """A checkpoint that has been read: where it lies, what it says of itself, and its model on a device."""

    folder: Path
    about: About
    model: M

    @property
    def vocabulary(self) -> Path:
        return self.folder / VOCABULARY


def checkpoint_id(weights: Mapping[str, Tensor], model: ModelConfig, vocabulary_sha256: str) -> str:
    """SHA-256 over the shape, the vocabulary's digest and each tensor's name, type, shape and bytes, in name order."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(model), sort_keys=True).encode())
    digest.update(f"\n{vocabulary_sha256}\n".encode())
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save(
    output: Path, about: About, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor], vocabulary: Path
) -> Path:
    """Writes a checkpoint beside the others, then names it `last`, and `best` if its validation loss is the lowest.

    Checkpoints that are neither are deleted. `about.id` must be `checkpoint_id(weights, ...)`. Where no checkpoint
    has a validation loss the last one counts as the best.
    """
    folder = output / f"step-{about.step:06d}"
    fresh = output / f".{folder.name}.part"
    for leftover in (fresh, folder):  # of a run that was killed before it could name them
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    # safetensors writes no timestamps: the same weights are the same bytes.
    save_file({name: tensor.detach().contiguous() for name, tensor in weights.items()}, fresh / MODEL, {"format": "pt"})
    save_file({name: tensor.detach().contiguous() for name, tensor in optimizer.items()}, fresh / OPTIMIZER)
    shutil.copyfile(vocabulary, fresh / VOCABULARY)
    (fresh / ABOUT).write_text(json.dumps(dataclasses.asdict(about), indent=1) + "\n")
    for name in (MODEL, OPTIMIZER):  # safetensors makes them for the owner alone; whoever may read the rest may these
        (fresh / name).chmod((fresh / ABOUT).stat().st_mode & 0o777)
    for path in fresh.iterdir():
        _flush(path)
    _flush(fresh)
    fresh.rename(folder)

    best = folder
    with contextlib.suppress(FileNotFoundError):
        held = find(output, "best")
        lowest = read_about(held).val_loss if held != folder else None
        if lowest is not None and (about.val_loss is None or lowest <= about.val_loss):
            best = held
    write_whole(output / INDEX, json.dumps({"last": folder.name, "best": best.name}) + "\n")
    for old in output.glob("step-" + 6 * "[0-9]" + "*"):
        if old not in (folder, best):
            shutil.rmtree(old)
    return folder


def find(path: Path, which: str = "best") -> Path:
    """The checkpoint folder that `path` means: itself, or the `best` or `last` one of a run's output folder."""
    if (path / ABOUT).exists():
        return path
    index = path / INDEX
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder; give a checkpoint or a training run's output folder.")
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is a file; give a checkpoint or a training run's output folder.")
    if not index.exists():
        raise FileNotFoundError(
            f"{path} holds neither {ABOUT} nor {INDEX}; give a checkpoint or a training run's output folder."
        )
    folder = path / json.loads(index.read_text())[which]
    if not (folder / ABOUT).exists():
        raise FileNotFoundError(
            f"{folder} is missing, though {index} names it as the {which} checkpoint; name another one of {path}, "
            f"or train again in another output folder."
        )
    return folder


def point(output: Path, folder: Path) -> None:
    """Makes a folder of several runs stand for the checkpoint that came of them."""
    name = os.path.relpath(folder, output)
    write_whole(output / INDEX, json.dumps({"last": name, "best": name}) + "\n")


def read_about(folder: Path) -> About:
    """What a checkpoint says of itself, without reading its weights."""
    path = folder / ABOUT
    fields: dict[str, Any] = json.loads(path.read_text())
    if fields.get("format") != FORMAT:
        raise ValueError(f"{path}: format {fields.get('format')} is not one that this version reads ({FORMAT}).")
    return About(**{**fields, "model": ModelConfig(**fields["model"])})


def load(path: Path, which: str = "best", device: torch.device | str = "cpu") -> Checkpoint[Llama]:
    """Reads a language model and checks that weights and vocabulary are the ones its id was made of.

    Raises FileNotFoundError where there is none, and ValueError where it is damaged or a reward model.
    """
    return _load(path, which, device, "lm", Llama)


def load_reward(path: Path, which: str = "best", device: torch.device | str = "cpu") -> Checkpoint[RewardModel]:
    """Reads a reward model; as `load`."""
    return _load(path, which, device, "score", RewardModel)


DAMAGED = "It was changed or damaged after it was saved; take another checkpoint."

T = TypeVar("T", bound=Trunk)
HEADS = {"lm": "a language model", "score": "a reward model"}


def _load(
    path: Path, which: str, device: torch.device | str, head: str, kind: Callable[[ModelConfig], T]
) -> Checkpoint[T]:
    folder = find(path, which)
    about = read_about(folder)
    if about.head != head:
        raise ValueError(f"{folder} is {HEADS.get(about.head, about.head)}; {HEADS[head]} is needed here.")
    weights = read_weights(folder, about)
    model = kind(about.model)
    model.load_state_dict(weights)
    return Checkpoint(folder, about, model.to(device))


def read_weights(folder: Path, about: About) -> dict[str, Tensor]:
    """The weights of a checkpoint; they and its vocabulary are checked against its id."""
    vocabulary_of(folder, about)
    try:
        weights = load_file(folder / MODEL)
    except SafetensorError as error:
        raise ValueError(f"{folder / MODEL} can't be read ({error}). {DAMAGED}") from None
    if checkpoint_id(weights, about.model, about.vocabulary_sha256) != about.id:
        raise ValueError(f"{folder / MODEL} is not the file that {ABOUT} describes: its digest differs. {DAMAGED}")
    return weights


def vocabulary_of(folder: Path, about: About) -> Path:
    """The tokenizer.model of a checkpoint, checked against its digest."""
    path = folder / VOCABULARY
    if hashlib.sha256(path.read_bytes()).hexdigest() != about.vocabulary_sha256:
        raise ValueError(f"{path} is not the file that {ABOUT} describes: its digest differs. {DAMAGED}")
    return path


def read_state(folder: Path) -> dict[str, Tensor]:
    """What a run needs to go on from a checkpoint, besides the weights."""
    path = folder / OPTIMIZER
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; training cannot be resumed from this checkpoint.")
    return load_file(path)


def write_whole(path: Path, text: str, private: bool = False) -> None:
    """Replaces a file in one go: a reader sees the old text or the new, never half of one.

    Several processes may do so at once; the last one's text stays. A `private` file, such as one with what users have
    written, is for its owner alone; others are for whom the umask lets read.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    if private:
        fresh.unlink(missing_ok=True)  # of a process that was killed: its mode would stay
        fresh.touch(mode=0o600)
    fresh.write_text(text)
    _flush(fresh)
    fresh.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Waits until a file (or a folder's list of names) is on the disk, so that a power cut cannot undo the order."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
