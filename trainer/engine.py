"""Writing many texts at once with one key-value cache: rows join when there is room and leave when they end.

Continuous batching (Yu et al. 2022, "Orca"): a step reads the prompts of the rows that have just joined and writes one
token of every row. Chat, the server, evaluation and reinforcement learning all write through this.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from trainer.model import Cache, Llama
from trainer.sampling import Sampling, draw

PROMPT_TOKENS = 16384
"""Most prompt tokens (padding included) that a step reads: a bound on memory, and on how long other rows wait."""


@dataclass(frozen=True)
class Request:
    """A prompt to be continued by up to `max_tokens` tokens, or until one of `stop`.

    Requests with equal sampling settings are told apart by their `stream`: the same (seed, stream) draws the same
    numbers again.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling
    stop: AbstractSet[int] = frozenset()
    stream: int = 0


@dataclass(frozen=True)
class Written:
    """A token that a request has got. The last one says why it is: "stop" (a token of `stop`) or "length"."""

    request: int
    """What `Engine.add` returned."""
    token: int
    logprob: float
    """Of the model itself: temperature 1, no token left out. In nats."""
    finish: str | None


@dataclass
class _Row:
    number: int
    request: Request
    tokens: list[int] = field(default_factory=list)
    unread: int = 0
    """How many of the last tokens the cache does not hold yet."""

    @property
    def written(self) -> int:
        return len(self.tokens) - len(self.request.prompt)


class Engine:
    """Up to `rows` requests are written at a time; the others wait their turn. Not to be shared between threads.

    Where a text outgrows the context, the model reads the last half of it again and goes on.
    """

    def __init__(self, model: Llama, rows: int = 64) -> None:
        self.model, self.size = model, rows
        self.device = next(model.parameters()).device
        self.context = model.config.max_seq_len
        self.cache = Cache.empty(model.config, 0, self.device)
        self.rows: list[_Row] = []
        self.waiting: deque[_Row] = deque()
        self._next = 0

    def add(self, request: Request) -> int:
        """Puts a request in the queue. Returns its number. Raises ValueError where its prompt has no tokens."""
        if not request.prompt:
            raise ValueError("a prompt has no tokens; begin it with the vocabulary's BOS token.")
        if request.max_tokens < 1:
            raise ValueError(f"max_tokens is {request.max_tokens}; it must be at least 1.")
        row = _Row(self._next, request, list(request.prompt), min(len(request.prompt), self.context))
        self._next += 1
        self.waiting.append(row)
        return row.number

    def cancel(self, number: int) -> None:
        """Drops a request, wherever it is; one that has ended or never was is none to drop."""
        self.waiting = deque(row for row in self.waiting if row.number != number)
        for place, row in enumerate(self.rows):
            if row.number == number:
                self._remove(place)
                return

    @property
    def busy(self) -> bool:
        return bool(self.rows or self.waiting)

    @torch.no_grad()
    def step(self) -> list[Written]:
        """Writes one token of every row; empty where there is nothing to do."""
        self._admit()
        if not self.rows:
            return []
        for place, row in enumerate(self.rows):
            if self.cache.lengths[place] + row.unread > self.context:
                row.unread, self.cache.lengths[place] = max(1, self.context // 2), 0
        logits = torch.cat([self._read(start, stop) for start, stop in self._runs()])
        places = [(row.request.stream, row.written) for row in self.rows]
        tokens = draw(logits, [row.request.sampling for row in self.rows], places)
        logprobs = logits.log_softmax(-1).gather(-1, tokens[:, None]).squeeze(-1).tolist()
        events = [
            self._write(row, token, logprob)
            for row, token, logprob in zip(self.rows, tokens.tolist(), logprobs, strict=True)
        ]
        for place in reversed([place for place, event in enumerate(events) if event.finish]):
            self._remove(place)
        return events

    def run(self) -> Iterator[list[Written]]:
        """Steps until nothing is left to do."""
        while self.busy:
            yield self.step()

    def _admit(self) -> None:
        """Takes waiting requests into free rows, in order, as many as a step may read."""
        longest = 0
        for taken in range(1, 1 + min(len(self.waiting), self.size - len(self.rows))):
            longest = max(longest, self.waiting[0].unread)
            if taken > 1 and taken * longest > PROMPT_TOKENS:
                break
            self.rows.append(self.waiting.popleft())
        self._grow(len(self.rows))

    def _grow(self, rows: int) -> None:
        """Makes room in the cache, doubling it, so that a lone chat does not hold the memory of a full server."""
        have = self.cache.keys.shape[1]
        if rows <= have:
            return
        grown = Cache.empty(self.model.config, min(self.size, max(rows, 2 * have)), self.device)
        grown.keys[:, :have], grown.values[:, :have] = self.cache.keys, self.cache.values
        grown.lengths[:have] = self.cache.lengths
        self.cache = grown

    def _runs(self) -> list[tuple[int, int]]:
        """Neighbouring rows of one kind: those that read one token, and those that read many."""
        runs, start = [], 0
        for _, group in groupby(self.rows, key=lambda row: row.unread == 1 and len(row.tokens) > 1):
            stop = start + len(list(group))
            runs.append((start, stop))
            start = stop
        return runs

    def _read(self, start: int, stop: int) -> Tensor:
        """Logits [rows, vocab] behind the last token of each of the rows start .. stop - 1.

        Shorter ones are padded at their end: what is read there lies behind the row's length and is never seen.
        """
        rows, part = self.rows[start:stop], self.cache.rows(start, stop)
        before, longest = part.lengths, max(row.unread for row in rows)
        tails = [row.tokens[-row.unread :] for row in rows]
        tokens = torch.tensor([tail + [0] * (longest - len(tail)) for tail in tails], device=self.device)
        vectors = self.model.vectors(tokens, cache=part)
        last = torch.tensor([len(tail) - 1 for tail in tails], device=self.device)
        lengths = [length + len(tail) for length, tail in zip(before, tails, strict=True)]
        self.cache.lengths[start:stop] = lengths
        return self.model.logits(vectors[torch.arange(len(rows), device=self.device), last])

    def _write(self, row: _Row, token: int, logprob: float) -> Written:
        row.tokens.append(token)
        row.unread = 1
        finish = None
        if token in row.request.stop:
            finish = "stop"
        elif row.written == row.request.max_tokens:
            finish = "length"
        return Written(row.number, token, logprob, finish)

    def _remove(self, place: int) -> None:
        """The last row takes the place, so that the rows stay side by side."""
        last = len(self.rows) - 1
        if place != last:
            self.cache.copy_row(last, place)
            self.rows[place] = self.rows[last]
        self.rows.pop()
        self.cache.lengths[last] = 0
