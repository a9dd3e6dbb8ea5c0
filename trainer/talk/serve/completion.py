"""Text that is continued, without turns or tools: OpenAI's older interface."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from trainer.engine import Request
from trainer.sample import Decoder
from trainer.sampling import Sampling
from trainer.talk.serve.worker import Worker
from trainer.talk.turn import Limits, StopText, TooLongError


@dataclass
class Completion:
    """One text."""

    worker: Worker
    prompt: list[int]
    limits: Limits
    echo: bool
    finish: str | None = None
    written: int = 0
    text: str = ""

    def __post_init__(self) -> None:
        if len(self.prompt) >= self.worker.context:
            raise TooLongError(
                f"the prompt has {len(self.prompt):,} tokens, and the model's context is {self.worker.context:,}."
            )

    async def write(self, sampling: Sampling, stream: int) -> AsyncGenerator[str, None]:
        tokenizer = self.worker.tokenizer
        out = StopText(Decoder(tokenizer), self.limits.stop)
        if self.echo:
            self.text = tokenizer.decode(self.prompt)
            yield self.text
        most = min(self.limits.max_tokens, self.worker.context - len(self.prompt))
        request = Request(self.prompt, most, sampling, frozenset({tokenizer.bos_id, tokenizer.eos_id}), stream)
        async with contextlib.aclosing(self.worker.write(request)) as events:
            async for event in events:
                self.written += 1
                piece = "" if event.finish == "stop" else out.add(event.token)
                if event.finish:
                    piece += out.finish()
                self.finish = "stop" if out.stopped else event.finish
                self.text += piece
                if piece:
                    yield piece
                if self.finish:
                    return
