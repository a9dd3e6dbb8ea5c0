"""What a policy writes to a batch of prompts, as padded tensors; and how likely a model finds what was written.

Sampled through the engine's continuous batching, each answer with a stream of random numbers of its own: an answer is
a function of the weights, the seed, the prompt's place in the run and the sample's number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.align.losses import entropy, token_logprobs
from trainer.data import key
from trainer.device import autocast
from trainer.engine import Engine, Request
from trainer.model import Llama
from trainer.sampling import Sampling
from trainer.talk.conversation import Message, Template

ENTROPY_ROWS = 1024
"""Predictions whose entropy is computed at once: it takes three tables of the vocabulary's size a prediction."""


@dataclass(frozen=True)
class Rollouts:
    """Prompts with an answer behind each, padded behind their ends; N rows."""

    tokens: Tensor
    """int64 [N, T]."""
    mask: Tensor
    """bool [N, T]: what the policy wrote, the closing `<|end|>` included."""
    lengths: Tensor
    """int64 [N]: of prompt and answer together."""
    finished: Tensor
    """bool [N]: whether the answer came to its `<|end|>`, and asks no tool, as none would reply here."""
    answers: tuple[Message, ...]

    def rows(self, rows: Tensor) -> "Rollouts":
        """Some of the rows, as wide as the longest of them needs."""
        width = int(self.lengths[rows].max())
        answers = tuple(self.answers[row] for row in rows.tolist())
        tokens, mask = self.tokens[rows, :width], self.mask[rows, :width]
        return Rollouts(tokens, mask, self.lengths[rows], self.finished[rows], answers)

    @property
    def written(self) -> Tensor:
        """int64 [N]: tokens of the answers."""
        return self.mask.sum(-1)


def rollouts(
    model: Llama,
    template: Template,
    prompts: Sequence[Sequence[int]],
    samples: int,
    first: int,
    max_new_tokens: int,
    sampling: Sampling,
    rows: int = 64,
) -> Rollouts:
    """`samples` answers to each prompt, side by side: row p * samples + s is the s-th to prompt p.

    Prompts are tokens, as of `Template.prompt`. Prompt p has the place first + p in the run: no two places draw the
    same numbers. Where the context ends before `max_new_tokens`, the answer ends there, unfinished. Raises ValueError
    for a prompt that leaves no room. Up to `rows` answers are written at a time.
    """
    engine = Engine(model, rows)
    whole: list[list[int]] = []
    for place, prompt in enumerate(prompts):
        room = engine.context - len(prompt)
        if room < 1:
            raise ValueError(
                f"a prompt has {len(prompt):,} tokens, and the model's context is {engine.context:,}: there is no room "
                f"for an answer. Shorten it or leave it out."
            )
        for sample in range(samples):
            stream = key(first + place, sample)
            engine.add(Request(prompt, min(max_new_tokens, room), sampling, template.stops, stream))
            whole.append(list(prompt))
    for events in engine.run():
        for event in events:
            whole[event.request].append(event.token)
    starts = [len(prompt) for prompt in prompts for _ in range(samples)]
    return _padded(whole, starts, template, engine.device)


def _padded(
    whole: Sequence[Sequence[int]], starts: Sequence[int], template: Template, device: torch.device
) -> Rollouts:
    lengths = torch.tensor([len(row) for row in whole])
    tokens = torch.full((len(whole), int(lengths.max())), template.pad)
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    answers, finished = [], []
    for row, (text, start) in enumerate(zip(whole, starts, strict=True)):
        tokens[row, : len(text)] = torch.tensor(text)
        mask[row, start : len(text)] = True
        answer = template.parse(text[start:])
        answers.append(answer)
        finished.append(text[-1] == template.end and not answer.calls)
    ended = torch.tensor(finished, device=device)
    return Rollouts(tokens.to(device), mask.to(device), lengths.to(device), ended, tuple(answers))


@dataclass(frozen=True)
class Reading:
    """What a model says of each written token: float32 [N, T - 1], 0 where nothing was written.

    Place t is of the prediction made behind token t, that is of token t + 1: `mask[:, 1:]` says where one is.
    """

    logprobs: Tensor
    entropy: Tensor


def logits_of(model: Llama, batch: Rollouts, temperature: float, precision: str) -> Tensor:
    """The predictions of the written tokens, row after row: float32 [M, V], by the temperature they were drawn at.

    So the probabilities are those of the distribution that was drawn from (with top_p 1), of which alone the ratio of
    policies makes sense.
    """
    with autocast(batch.tokens.device, precision):
        vectors = model.vectors(batch.tokens[:, :-1])
        logits = model.logits(vectors[batch.mask[:, 1:]])
    return logits / temperature


def logprobs_of(logits: Tensor, batch: Rollouts) -> Tensor:
    """ln p of the written tokens [N, T - 1] from `logits_of`'s predictions."""
    where = batch.mask[:, 1:]
    return _spread(token_logprobs(logits[None], batch.tokens[:, 1:][where][None])[0], where)


@torch.no_grad()
def read(model: Llama, batch: Rollouts, temperature: float, precision: str, rows: int) -> Reading:
    """Log-probabilities and entropies, `rows` rows at a time."""
    logprobs = torch.zeros(batch.tokens[:, 1:].shape, device=batch.tokens.device)
    entropies = torch.zeros_like(logprobs)
    for some in torch.arange(len(logprobs), device=logprobs.device).split(rows):
        part = batch.rows(some)
        width = part.tokens.shape[1] - 1
        logits = logits_of(model, part, temperature, precision)
        found = torch.cat([entropy(chunk[None])[0] for chunk in logits.split(ENTROPY_ROWS)])
        logprobs[some, :width] = logprobs_of(logits, part)
        entropies[some, :width] = _spread(found, part.mask[:, 1:])
    return Reading(logprobs, entropies)


def _spread(values: Tensor, where: Tensor) -> Tensor:
    """[M] -> the shape of `where`, 0 where it is false."""
    return torch.zeros(where.shape, device=values.device).masked_scatter(where, values)


def repetition(tokens: Sequence[int], length: int = 4) -> float:
    """Share of a text's 4-grams that stand in it before: 0 for a text without repeats, near 1 for one in a loop.

    Of 4 words or pieces as in the repetition measures of Welleck et al. 2019 ("seq-rep-4").
    """
    grams = [tuple(tokens[start : start + length]) for start in range(len(tokens) - length + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
