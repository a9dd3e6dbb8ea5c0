"""Writing text with a checkpoint, piece by piece as it comes, one prompt or many at once."""

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.tokenize.encode import Tokenizer
from trainer.checkpoint import Checkpoint, load
from trainer.engine import Engine, Request
from trainer.model import Llama
from trainer.sampling import DEFAULT, Sampling


class Decoder:
    """Tokens -> text as they come: a character whose bytes are several tokens appears with the last of them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        return self.utf8.decode(self.tokenizer.decode_bytes([token]))

    def finish(self) -> str:
        """What a character cut short leaves: U+FFFD, or nothing."""
        return self.utf8.decode(b"", final=True)


def sample(
    checkpoint: Path | Checkpoint[Llama],
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
    checkpoint: Path | Checkpoint[Llama],
    prompts: Sequence[str],
    max_tokens: int = 200,
    sampling: Sampling = DEFAULT,
    device: str = "cpu",
) -> list[str]:
    """Continues many prompts at once; returns the continuations. The first is what `sample` gives, but for
    rounding (see `Sampling`).
    """
    texts = [""] * len(prompts)
    for row, text in _stream(checkpoint, prompts, max_tokens, sampling, device):
        texts[row] += text
    return texts


def _stream(
    checkpoint: Path | Checkpoint[Llama], prompts: Sequence[str], max_tokens: int, sampling: Sampling, device: str
) -> Iterator[tuple[int, str]]:
    """(row, new text) as it is written. What is wrong with checkpoint or prompts is raised at once, not on reading."""
    loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load(checkpoint, device=device)
    tokenizer = Tokenizer(loaded.vocabulary.read_bytes())
    rows = [[tokenizer.bos_id, *tokenizer.encode(prompt)] for prompt in prompts]
    engine = Engine(loaded.model, len(rows))
    for stream, row in enumerate(rows):
        engine.add(Request(row, max_tokens, sampling, frozenset({tokenizer.bos_id, tokenizer.eos_id}), stream))
    return _texts(engine, [Decoder(tokenizer) for _ in rows])


def _texts(engine: Engine, decoders: list[Decoder]) -> Iterator[tuple[int, str]]:
    for step in engine.run():
        for event in step:
            text = decoders[event.request].add(event.token)
            if event.finish:
                text += decoders[event.request].finish()
            if text:
                yield event.request, text
