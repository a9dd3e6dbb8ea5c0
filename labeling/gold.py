"""Where gold questions stand among the others: evenly, so that everybody meets some, and at places nobody can guess.

Systematic sampling with a random start, and within each stretch a random place.
"""

import random
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Mixer(Generic[T]):
    """Mixes questions of one list into others, batch by batch, as `rate` of all (0.05: one in twenty).

    When they have run out, the others go on alone; those that are left over wait for the next push.
    """

    def __init__(self, gold: Sequence[T], rate: float, generator: random.Random) -> None:
        if not 0 <= rate <= 0.5:
            raise ValueError(f"a rate of gold questions of {rate:g}; expected 0 to 0.5, such as 0.05 for one in twenty")
        self.left: list[T] = []
        self.short = 0
        """How many more were wanted than there were."""
        self._generator = generator
        self._for_each = rate / (1 - rate)
        self._due = generator.random() if rate else 0.0
        self.add(gold)

    def add(self, gold: Sequence[T]) -> None:
        self.left += gold
        self._generator.shuffle(self.left)

    def mix(self, others: Sequence[T]) -> list[T]:
        """The others in their order, with gold among them."""
        self._due += len(others) * self._for_each
        wanted = int(self._due)
        self._due -= wanted
        gold, self.left = self.left[:wanted], self.left[wanted:]
        self.short += wanted - len(gold)
        mixed: list[T] = []
        for number, question in enumerate(gold):
            start, end = (len(others) * edge // len(gold) for edge in (number, number + 1))
            place = self._generator.randint(start, end)
            mixed += [*others[start:place], question, *others[place:end]]
        return mixed if gold else list(others)
