"""Answers to one prompt as tokens that fit a model's context, and batches of them in padded rows.

All answers to a prompt stay in one batch, as InstructGPT has it (Ouyang et al. 2022, section 3.5). Rows are padded
behind their end, which a causal model does not see.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.records import Ranking
from trainer.talk.conversation import Encoded, Message, Template


@dataclass(frozen=True)
class Answers:
    """One prompt's answers, each with the prompt before it; `pairs` are (better, worse), places in `encoded`."""

    encoded: tuple[Encoded, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    margin: float | None = None
    weight: float = 1.0

    @property
    def longest(self) -> int:
        return max(len(one.tokens) for one in self.encoded)


@dataclass
class Fitter:
    """Encodes conversations within a context, and counts what did not fit."""

    template: Template
    context: int
    conversations: int = 0
    prompts_cut: int = 0
    """Conversations whose prompt lost its oldest turns."""
    answers_cut: int = 0
    """Conversations whose answer alone is longer than the context, and lost its beginning."""

    def fit(self, prompt: Sequence[Message], completions: Sequence[Sequence[Message]]) -> tuple[Encoded, ...]:
        """Each completion behind its prompt, in at most `context` tokens. The end is kept, as the answer is there.

        All completions see the same part of the prompt, or what was cut would tell them apart. It begins with a turn,
        if one begins in what there is room for.
        """
        whole = [self.template.encode((*prompt, *completion)) for completion in completions]
        shared = len(self.template.encode(prompt).tokens)
        over = max(len(one.tokens) for one in whole) - self.context
        self.conversations += len(whole)
        if over <= 0:
            return tuple(whole)
        first = min(1 + over, shared)  # BOS stays
        roles = set(self.template.roles.values())
        first = next((place for place in range(first, shared) if whole[0].tokens[place] in roles), first)
        self.prompts_cut += len(whole)
        return tuple(self._end(one, first) for one in whole)

    def _end(self, one: Encoded, first: int) -> Encoded:
        tokens, trained = one.tokens[first:], one.trained[first:]
        self.answers_cut += len(tokens) >= self.context
        tokens, trained = tokens[1 - self.context :], trained[1 - self.context :]
        return Encoded([self.template.bos, *tokens], [False, *trained])

    def ranking(self, ranking: Ranking) -> Answers:
        encoded = self.fit(ranking.prompt, ranking.completions)
        return Answers(encoded, tuple(ranking.pairs()), ranking.margin, ranking.weight)

    def notes(self) -> list[str]:
        """What a person should know of the cuts."""
        if not self.prompts_cut:
            return []
        cut = f", and the beginning of {self.answers_cut:,} answers" if self.answers_cut else ""
        return [
            f"{self.prompts_cut:,} of {self.conversations:,} conversations are longer than the context of "
            f"{self.context:,}: the oldest turns of their prompts are left out{cut}."
        ]


def micro_batches(answers: Sequence[Answers], most_tokens: int) -> Iterator[list[int]]:
    """Places of answers that go through the model together, the longest first; no prompt's answers are parted.

    `most_tokens` counts padding; one prompt's answers that have more go by themselves.
    """
    together: list[int] = []
    rows, width = 0, 0
    for place in sorted(range(len(answers)), key=lambda place: -answers[place].longest):
        more = len(answers[place].encoded)
        if together and (rows + more) * width > most_tokens:
            yield together
            together, rows = [], 0
        if not together:
            width = answers[place].longest
        together.append(place)
        rows += more
    if together:
        yield together


@dataclass(frozen=True)
class Rows:
    """Conversations padded behind their ends: tokens int64 and trained bool [rows, time], lengths int64 [rows]."""

    tokens: Tensor
    trained: Tensor
    lengths: Tensor


def pad(conversations: Sequence[Encoded], pad_id: int, device: torch.device) -> Rows:
    lengths = torch.tensor([len(one.tokens) for one in conversations])
    tokens = torch.full((len(conversations), int(lengths.max())), pad_id)
    trained = torch.zeros(tokens.shape, dtype=torch.bool)
    for row, one in enumerate(conversations):
        tokens[row, : len(one.tokens)] = torch.tensor(one.tokens)
        trained[row, : len(one.tokens)] = torch.tensor(one.trained)
    return Rows(tokens.to(device), trained.to(device), lengths.to(device))


@dataclass(frozen=True)
class Pairs:
    """All pairs of some answers: places of better and worse in their rows (int64), margins and weights; all [P].

    A ranking's weight is shared among its pairs, so that one of nine answers does not count for 36 comparisons.
    """

    better: Tensor
    worse: Tensor
    margin: Tensor
    weight: Tensor


def all_pairs(answers: Sequence[Answers], device: torch.device) -> Pairs:
    better, worse, margin, weight, start = [], [], [], [], 0
    for one in answers:
        for winner, loser in one.pairs:
            better.append(start + winner)
            worse.append(start + loser)
            margin.append(one.margin or 0.0)
            weight.append(one.weight / len(one.pairs))
        start += len(one.encoded)
    return Pairs(
        torch.tensor(better, dtype=torch.int64, device=device),
        torch.tensor(worse, dtype=torch.int64, device=device),
        torch.tensor(margin, dtype=torch.float32, device=device),
        torch.tensor(weight, dtype=torch.float32, device=device),
    )


def tokens_of(answers: Sequence[Answers]) -> int:
    """How many there are in all answers with their prompts."""
    return sum(len(one.tokens) for several in answers for one in several.encoded)
