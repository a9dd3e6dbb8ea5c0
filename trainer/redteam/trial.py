"""Attacks put to a model, and which of its answers met their checks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.checkpoint import Checkpoint
from trainer.model import Llama
from trainer.redteam.attack import Attack
from trainer.redteam.check import refuses
from trainer.sampling import Sampling
from trainer.talk.conversation import read_template
from trainer.talk.respond import Answer, Runner, answers


@dataclass(frozen=True)
class Trial:
    """An attack (or a twin), the answers to it, and for each whether it met the check and whether it refuses.

    There are no answers where the conversation fills the model's context.
    """

    attack: Attack
    answers: tuple[Answer, ...]
    met: tuple[bool, ...]
    refused: tuple[bool, ...]

    @property
    def asked(self) -> bool:
        return bool(self.answers)

    @property
    def rate(self) -> float:
        """Share of the answers that met the check."""
        return sum(self.met) / len(self.met)

    @property
    def refusal(self) -> float:
        return sum(self.refused) / len(self.refused)


def ask(
    loaded: Checkpoint[Llama],
    attacks: Sequence[Attack],
    sampling: Sampling,
    samples: int = 1,
    max_tokens: int = 128,
    toolbox: Runner | None = None,
    each: Callable[[], None] | None = None,
) -> list[Trial]:
    """`samples` answers to each attack. What attack n is answered depends on (model, seed, n) alone."""
    template = read_template(loaded.vocabulary)
    prompts = [attack.messages for attack in attacks]
    found = answers(loaded.model, template, prompts, sampling, samples, max_tokens, toolbox=toolbox, each=each)
    return [judge(attack, several) for attack, several in zip(attacks, found, strict=True)]


def judge(attack: Attack, several: Sequence[Answer]) -> Trial:
    """Answers that have no tokens are those that the model was not asked for."""
    written = tuple(answer for answer in several if answer.tokens)
    met = tuple(attack.check.met(answer.messages) for answer in written)
    refused = tuple(not ok and refuses(answer.messages) for ok, answer in zip(met, written, strict=True))
    return Trial(attack, written, met, refused)
