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

PROMPT_TOKENS = 2048
"""Most prompt tokens (padding included) that a step reads: a bound on memory, and on how long other rows wait.

A step of 16,384 took 4.9 s at dim 256 on one core, in which nobody got a token."""

PIECE = 512
"""Longer prompts are read in pieces of this many tokens, one piece a step, while other rows go on writing."""


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
        long = next((place for place, row in enumerate(self.rows) if row.unread > PIECE), None)
        if long is not None:
            self._read_piece(long)
        runs = self._runs()
        if not runs:
            return []
        rows = [row for start, stop in runs for row in self.rows[start:stop]]
        logits = torch.cat([self._read(start, stop) for start, stop in runs])
        tokens = draw(
            logits, [row.request.sampling for row in rows], [(row.request.stream, row.written) for row in rows]
        )
        logprobs = logits.log_softmax(-1).gather(-1, tokens[:, None]).squeeze(-1).tolist()
        events = [
            self._write(row, token, logprob)
            for row, token, logprob in zip(rows, tokens.tolist(), logprobs, strict=True)
        ]
        ended = {event.request for event in events if event.finish}
        for place in reversed([place for place, row in enumerate(self.rows) if row.number in ended]):
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
            longest = max(longest, min(self.waiting[0].unread, PIECE))
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
        """Neighbouring rows that are read together, all that get a token in this step.

        Those that read one token; those that read a whole prompt; and each one by itself that reads the rest of one,
        because padding behind a row that is not empty could reach beyond the context.
        """

        def kind(place: int) -> tuple[str, int]:
            if self.rows[place].unread > PIECE:
                return "later", 0
            if not self.cache.lengths[place]:
                return "prompt", 0
            return ("one", 0) if self.rows[place].unread == 1 else ("rest", place)

        runs = []
        for (name, _), group in groupby(range(len(self.rows)), key=kind):
            places = list(group)
            if name != "later":
                runs.append((places[0], places[-1] + 1))
        return runs

    def _read_piece(self, place: int) -> None:
        """Reads the next piece of a long prompt into the cache; no token comes of it."""
        row, part = self.rows[place], self.cache.rows(place, place + 1)
        begin = len(row.tokens) - row.unread
        self.model.vectors(torch.tensor([row.tokens[begin : begin + PIECE]], device=self.device), cache=part)
        row.unread -= PIECE
        self.cache.lengths[place] += PIECE

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
