"""Writing text with a checkpoint, token by token with a key-value cache, one prompt or many at once.

Rows of different lengths need no padding: all are read to the end of the shortest prompt, and the longer ones go on
reading while the shorter write (as in Meta's reference code for Llama 2).
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported; why is said in trainer.pretrain

import codecs
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from torch import Tensor

from trainer.checkpoint import Checkpoint, load
from trainer.data import key, mix
from trainer.model import Cache, Llama

Choose = Callable[[Tensor, list[int]], Tensor]
"""(logits [rows, vocab], how many tokens each row has written) -> the next token of each row, int64 [rows]."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn: what row r writes as its n-th depends on (seed, r, n) and the text before it."""

    temperature: float = 0.8
    """Divides the logits; 0 takes the likeliest token."""
    top_k: int = 0
    """Only the k likeliest tokens; 0 for all."""
    top_p: float = 0.95
    """Only the likeliest tokens that together reach this probability (Holtzman et al. 2019); 1 for all."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}; it must be 0 or more.")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it must be at least 1, or 0 for all tokens.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be more than 0 and at most 1.")

    def choose(self, logits: Tensor, written: list[int]) -> Tensor:
        """A `Choose`."""
        if self.temperature == 0:
            return logits.argmax(-1)
        chances, tokens = kept_chances(logits, self.temperature, self.top_k, self.top_p)
        sums = chances.cumsum(-1)
        point = torch.tensor(self._uniform(written), device=logits.device)[:, None] * sums[:, -1:]
        # The first token whose running sum passes the point; rounding must not carry it into the tokens left out.
        place = torch.searchsorted(sums, point.to(sums.dtype), right=True)
        place = place.minimum((chances > 0).sum(-1, keepdim=True) - 1)
        return tokens.gather(-1, place).squeeze(-1)

    def _uniform(self, written: list[int]) -> list[float]:
        """A number in [0, 1) for each row's next token."""
        numbers = np.array([key(self.seed, row, count) for row, count in enumerate(written)], np.uint64)
        return ((mix(numbers) >> np.uint64(11)) * 2.0**-53).tolist()


DEFAULT = Sampling()


def kept_chances(logits: Tensor, temperature: float, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """(probabilities, tokens), each [rows, vocab], likeliest first; 0 for what top_k and top_p leave out."""
    scores, tokens = (logits.float() / temperature).sort(dim=-1, descending=True, stable=True)
    chances = scores.softmax(-1)
    if top_k:
        chances[:, top_k:] = 0
    if top_p < 1:
        chances = chances / chances.sum(-1, keepdim=True)
        likelier = chances.cumsum(-1) - chances
        chances = chances.masked_fill(likelier >= top_p, 0)
    return chances, tokens


@torch.no_grad()
def generate(
    model: Llama,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    choose: Choose,
    stop: AbstractSet[int] = frozenset(),
) -> Iterator[list[int | None]]:
    """Continues token sequences. Yields for each position the token that each row has written there.

    None stands for a row that still reads its prompt or has ended: with a token of `stop`, which is not yielded, or
    after `max_tokens`. Where the context is full, the model reads the last half of it again and goes on.
    """
    if not prompts or not all(prompts):
        raise ValueError("a prompt has no tokens; begin it with the vocabulary's BOS token.")
    context, device = model.config.max_seq_len, next(model.parameters()).device
    rows = [list(prompt) for prompt in prompts]
    written, ended = [0] * len(rows), [max_tokens < 1] * len(rows)
    position = min(map(len, rows))
    cache, unread = Cache.empty(model.config, len(rows), device), min(position, context)
    while not all(ended):
        if cache.length + unread > context:
            cache.length, unread = 0, max(1, context // 2)
        tail = torch.tensor([row[position - unread : position] for row in rows], device=device)
        chosen = choose(model(tail, cache=cache, last_only=True)[:, -1], written).tolist()
        step: list[int | None] = [None] * len(rows)
        for index, row in enumerate(rows):
            if position < len(row):
                continue
            row.append(chosen[index])
            if not ended[index] and chosen[index] not in stop:
                step[index] = chosen[index]
                written[index] += 1
            ended[index] = ended[index] or step[index] is None or written[index] == max_tokens
        position, unread = position + 1, 1
        yield step


class Decoder:
    """Tokens -> text as they come: a character whose bytes are several tokens appears with the last of them."""

    def __init__(self, pieces: sentencepiece.SentencePieceProcessor) -> None:
        self.pieces = pieces
        self.utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        return self.utf8.decode(piece_bytes(self.pieces, token))

    def finish(self) -> str:
        """What a character cut short leaves: U+FFFD, or nothing."""
        return self.utf8.decode(b"", final=True)


def piece_bytes(pieces: sentencepiece.SentencePieceProcessor, token: int) -> bytes:
    """The bytes that a token stands for; none for control symbols, nor for an id beyond the vocabulary."""
    if token >= len(pieces) or pieces.is_control(token) or pieces.is_unknown(token):
        return b""
    piece: str = pieces.id_to_piece(token)
    if pieces.is_byte(token):
        return bytes([int(piece[1:-1], 16)])  # "<0x0A>"
    return piece.replace("▁", " ").encode()


def sample(
    checkpoint: Path | Checkpoint,
    prompt: str = "",
    max_tokens: int = 200,
    sampling: Sampling = DEFAULT,
    device: str = "cpu",
) -> Iterator[str]:
    """Continues a prompt; yields the continuation in pieces, as they are written, until BOS, EOS or max_tokens.

    `checkpoint` is a checkpoint's folder, a run's output folder (its best is taken) or a checkpoint already loaded.
    """
    batches = _stream(checkpoint, [prompt], max_tokens, sampling, device)
    return (text for _, text in batches)


def sample_batch(
    checkpoint: Path | Checkpoint,
    prompts: Sequence[str],
    max_tokens: int = 200,
    sampling: Sampling = DEFAULT,
    device: str = "cpu",
) -> list[str]:
    """Continues many prompts at once; returns the continuations. The first is what `sample` gives for that prompt."""
    texts = [""] * len(prompts)
    for row, text in _stream(checkpoint, prompts, max_tokens, sampling, device):
        texts[row] += text
    return texts


def _stream(
    checkpoint: Path | Checkpoint, prompts: Sequence[str], max_tokens: int, sampling: Sampling, device: str
) -> Iterator[tuple[int, str]]:
    """(row, new text) as it is written. What is wrong with checkpoint or prompts is raised at once, not on reading."""
    loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load(checkpoint, device=device)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(loaded.vocabulary))
    bos = loaded.about.bos_id
    rows = [[bos, *pieces.encode(prompt)] for prompt in prompts]
    tokens = generate(loaded.model, rows, max_tokens, sampling.choose, {bos, pieces.eos_id()})
    return _texts(tokens, [Decoder(pieces) for _ in rows])


def _texts(tokens: Iterator[list[int | None]], decoders: list[Decoder]) -> Iterator[tuple[int, str]]:
    for step in tokens:
        for row, token in enumerate(step):
            if token is not None and (text := decoders[row].add(token)):
                yield row, text
    for row, decoder in enumerate(decoders):
        if rest := decoder.finish():
            yield row, rest
