"""From answers to rewards: a verifier's verdict, a reward model's score, or both by weight; never silently unfinished.

A reward model's scores have no zero and no unit, so they are counted from the start model's mean and in its standard
deviations (Ziegler et al. 2019, section 2.2, and Stiennon et al. 2020, section 3.4, shift them so).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.align.reward import Scorer
from trainer.measure.verify import verifier
from trainer.records import Prompt
from trainer.talk.conversation import Message

UNFINISHED = -3.0
"""What a reward model's part is where an answer has no end, and the least that it is where it has one.

In standard deviations of the start model's scores. A verifier's part of an unfinished answer is 0, its least too: no
answer gains by never ending.
"""

VERIFIER, MODEL = "reward_verifier", "reward_model"


@dataclass(frozen=True)
class Scores:
    """Rewards of some answers, float32 [N]: the weighted sum, and its parts before weighting."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Judge:
    """Scores answers by a verifier's name, a reward model, or both."""

    def __init__(
        self, verifier_name: str | None, verifier_weight: float = 1.0, scorer: Scorer | None = None, weight: float = 1.0
    ) -> None:
        if verifier_name is None and scorer is None:
            raise ValueError("nothing says which answers are good; give a verifier, a reward model, or both.")
        self.name, self.verifier = verifier_name, None if verifier_name is None else verifier(verifier_name)
        self.verifier_weight, self.scorer, self.weight = verifier_weight, scorer, weight
        self.mean, self.deviation = 0.0, 1.0

    def calibrate(self, prompts: Sequence[Prompt], answers: Sequence[Message]) -> None:
        """Sets the reward model's zero and unit by these answers, one a prompt; nothing without a reward model."""
        if self.scorer is None:
            return
        found = torch.tensor(self._ask(prompts, answers), dtype=torch.float64)
        self.mean = found.mean().item()
        if len(found) > 1 and found.std() > 0:
            self.deviation = found.std().item()

    def scores(self, prompts: Sequence[Prompt], answers: Sequence[Message], finished: Sequence[bool]) -> Scores:
        """One answer a prompt -> its reward, on the CPU."""
        total, parts = torch.zeros(len(answers)), {}
        ended = torch.tensor(finished)
        if self.name is not None:
            parts[VERIFIER] = self.verdicts(prompts, answers, finished)
            total += self.verifier_weight * parts[VERIFIER]
        if self.scorer is not None:
            places = [place for place, end in enumerate(finished) if end]
            part = torch.full((len(answers),), UNFINISHED)
            if places:
                found = self._ask([prompts[place] for place in places], [answers[place] for place in places])
                part[ended] = ((torch.tensor(found) - self.mean) / self.deviation).clamp(min=UNFINISHED)
            parts[MODEL] = part
            total += self.weight * part
        return Scores(total, parts)

    def verdicts(self, prompts: Sequence[Prompt], answers: Sequence[Message], finished: Sequence[bool]) -> Tensor:
        """The verifier's alone: float32 [N]."""
        assert self.verifier is not None
        return torch.tensor(
            [
                self.verifier.score(prompt.messages[-1].content, answer.content, prompt.answer or "") if end else 0.0
                for prompt, answer, end in zip(prompts, answers, finished, strict=True)
            ]
        )

    def _ask(self, prompts: Sequence[Prompt], answers: Sequence[Message]) -> list[float]:
        assert self.scorer is not None
        return self.scorer.of([(prompt.messages, (answer,)) for prompt, answer in zip(prompts, answers, strict=True)])
