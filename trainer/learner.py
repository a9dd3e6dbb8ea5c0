"""A model, its optimiser and its data, and what is done with them: a step, an evaluation, taking the time of both."""

import hashlib
import json
import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.tokenize.reader import ShardSet
from trainer.config import PretrainConfig
from trainer.data import Windows
from trainer.device import autocast, pick_device
from trainer.loop import Evaluation, Update
from trainer.model import Llama, ModelConfig
from trainer.optimizer import adamw, descend, load_state_tensors, state_tensors
from trainer.preset import preset


class Learner:
    """Everything in memory while a run goes on. It draws nothing at random after its weights: see `data.Windows`."""

    def __init__(self, config: PretrainConfig) -> None:
        self.config = config
        self.device = pick_device(config.device)
        self._read_corpus()
        shape = preset(config.model)
        self.rows = max(1, (config.batch_tokens or shape.batch_tokens) // config.seq_len)
        self.micro_rows = largest_divisor(self.rows, config.micro_batch_tokens // config.seq_len)
        self.peak_lr = config.lr or shape.lr
        self.model_config = ModelConfig(
            vocab_size=self.vocabulary.size,
            dim=shape.dim,
            layers=shape.layers,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            hidden=shape.hidden,
            max_seq_len=config.seq_len,
            tie_embeddings=not config.untied,
        )
        self.model = Llama(self.model_config, config.seed).to(self.device)
        self.forward: Any = torch.compile(self.model) if config.compile else self.model
        self.optimizer = adamw(self.model, self.peak_lr, config.weight_decay)
        self.vocabulary_path = self.vocabulary.path
        self.eval_windows = 0
        """How many windows `evaluate` reads; the plan says."""

    def _read_corpus(self) -> None:
        """Without a validation split `validation` is None; one shorter than a window makes one shorter window."""
        config = self.config
        train = ShardSet(config.data, split="train")
        self.vocabulary = train.vocabulary
        manifest = train.manifest.read_bytes()
        self.corpus_sha256 = hashlib.sha256(manifest).hexdigest()
        self.train = Windows(train, config.seq_len, config.seed)
        if not self.train.count:
            raise ValueError(
                f"{train.manifest}: {train.tokens} training tokens do not fill a window of --seq-len + 1 = "
                f"{config.seq_len + 1}. Give more text or a smaller --seq-len."
            )
        self.bytes_per_token = train.bytes / train.tokens
        self.validation: Windows | None = None
        if sum(file["tokens"] for file in json.loads(manifest)["files"] if file["split"] == "validation") >= 2:
            validation = ShardSet(config.data, split="validation")
            self.bytes_per_token = validation.bytes / validation.tokens
            self.validation = Windows(validation, min(config.seq_len, validation.tokens - 1))

    def step(self, step: int, lr: float) -> Update:
        """Learns from the batch of a step (0 is the first)."""
        batch = self._move(self.train.batch(step, self.rows))
        total = torch.zeros((), device=self.device)
        for rows in batch.split(self.micro_rows):
            with autocast(self.device, self.config.precision):
                part = self.forward(rows[:, :-1], rows[:, 1:]) * (len(rows) / len(batch))
            part.backward()
            total += part.detach()
        loss = total.item()
        norm = descend(self.model.parameters(), self.optimizer, lr, self.config.clip, loss)
        return Update(loss, norm, self.rows * self.config.seq_len)

    @torch.no_grad()
    def validate(self, windows: int) -> tuple[float, float]:
        """(nats a token, bits a byte) over the first windows of the validation split, which must be there.

        Bits a byte = nats a token / ln 2 / (bytes of the whole split's text / its tokens). BOS tokens are targets
        too: a document's end must be foreseen as well, though it stands for no bytes.
        """
        assert self.validation is not None
        total = count = 0.0
        for rows in self.validation.in_order(self.micro_rows, windows):
            batch = self._move(rows)
            with autocast(self.device, self.config.precision):
                total += self.forward(batch[:, :-1], batch[:, 1:]).item() * len(batch)
            count += len(batch)
        return total / count, total / count / math.log(2) / self.bytes_per_token

    def evaluate(self) -> Evaluation | None:
        if self.validation is None:
            return None
        return Evaluation(*self.validate(self.eval_windows))

    def weights(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def state(self) -> dict[str, Tensor]:
        return state_tensors(self.model, self.optimizer)

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        self.model.load_state_dict(weights)
        load_state_tensors(self.model, self.optimizer, state)

    def about(self) -> dict[str, Any]:
        return {
            "model": self.model_config,
            "vocabulary_sha256": self.vocabulary.sha256,
            "bos_id": self.vocabulary.bos_id,
            "corpus_sha256": self.corpus_sha256,
        }

    def measure(self, seconds: float, eval_windows: int) -> tuple[float, float]:
        """Seconds of a step and of an evaluation, from `seconds` of steps; the learner is as new afterwards.

        The first step is slower (memory, compilation) and does not count; behind it three do at least.
        """
        weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.step(0, 0.0)
        start, steps = time.monotonic(), 0
        while steps < 3 or time.monotonic() - start < seconds:
            self.step(steps, 0.0)
            steps += 1
        per_step = (time.monotonic() - start) / steps
        start, windows = time.monotonic(), min(eval_windows, 4 * self.micro_rows)
        if windows:
            self.validate(windows)
        per_evaluation = (time.monotonic() - start) * eval_windows / max(1, windows)
        self.model.load_state_dict(weights)
        self.optimizer = adamw(self.model, self.peak_lr, self.config.weight_decay)
        return per_step, per_evaluation

    def _move(self, rows: NDArray[Any]) -> Tensor:
        batch = torch.from_numpy(rows)
        return (
            batch.pin_memory().to(self.device, non_blocking=True)
            if self.device.type == "cuda"
            else batch.to(self.device)
        )


def largest_divisor(number: int, most: int) -> int:
    """The largest divisor of `number` that is at most `most`; 1 where there is none. Micro-batches are then even."""
    return max((part for part in range(2, min(number, most) + 1) if number % part == 0), default=1)
