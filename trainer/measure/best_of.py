"""Time converted into accuracy: of several answers to a prompt one is chosen, and the more there are, the better it is.

Of N answers that were drawn, every number n <= N of them is judged: by the mean over the subsets of n, as Chen et al.
2021 (Codex, section 2.1) do for the best one. Wang et al. 2022 is the majority ("self-consistency"), Cobbe et al. 2021
the choice by a trained verifier, here a reward model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from trainer.measure.agreement import wilson
from trainer.measure.verify import Choice, Exact, Number, Verifier

RULES = ("majority", "reward", "verify")
"""The commonest final answer; the one that a reward model scores highest; a right one if there is any, which is what
choosing can reach at best."""

SUBSETS = 256
"""So many are drawn for the majority, which has no formula. For one prompt their mean is off by 0.03 at most (one
standard error), for 100 prompts by 0.003."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Drawn:
    """What is known of the N answers to one prompt; arrays [N]."""

    right: NDArray[np.bool_]
    group: NDArray[np.int64]
    """Answers that come to the same have the same number from 0; -1 did not come to an end, and has no vote."""
    logprob: NDArray[np.float64]
    tokens: NDArray[np.int64]
    reward: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Point:
    """Accuracy of one rule with `samples` answers a prompt, its 95% interval, and the tokens that a prompt costs."""

    rule: str
    samples: int
    tokens: float
    accuracy: float
    low: float
    high: float
    prompts: int


def groups(texts: Sequence[str], verifier: Verifier) -> list[int]:
    """Which answers come to the same, by numbers from 0 in order of appearance.

    Two do where the verifier would take one for the other; by their texts where it does not compare answers.
    """
    same = verifier if isinstance(verifier, Exact | Number | Choice) else Exact()
    kinds: list[str] = []
    known: dict[str, int] = {}
    for text in texts:
        if text not in known:
            found = next((number for number, kind in enumerate(kinds) if _agree(same, text, kind)), len(kinds))
            if found == len(kinds):
                kinds.append(text)
            known[text] = found
    return [known[text] for text in texts]


def _agree(verifier: Verifier, text: str, kind: str) -> bool:
    try:
        return verifier.score("", text, kind) == 1
    except ValueError:  # the first has no number, or no letter: nothing to compare with
        return False


def curve(drawn: Sequence[Drawn], rule: str, seed: int = 0) -> list[Point]:
    """The rule's accuracy with 1, 2, 4, ... and all N answers; the interval is Efron's bootstrap over prompts."""
    most = len(drawn[0].right)
    chance: Callable[[Drawn, int], float] = {
        "majority": lambda one, number: majority(one, number, np.random.default_rng((seed, number))),
        "reward": by_reward,
        "verify": any_right,
    }[rule]
    points = []
    tokens = float(np.mean([one.tokens.mean() for one in drawn]))
    for number in sorted({1 << power for power in range(most.bit_length())} | {most}):
        values = np.array([chance(one, number) for one in drawn])
        low, high = interval(values, seed)
        points.append(Point(rule, number, tokens * number, float(values.mean()), low, high, len(values)))
    return points


def any_right(one: Drawn, number: int) -> float:
    """The chance that of `number` of the answers one is right at least."""
    count, wrong = len(one.right), int((~one.right).sum())
    return 1 - comb(wrong, number) / comb(count, number)


def by_reward(one: Drawn, number: int) -> float:
    """The chance that of `number` of the answers the one of the highest reward is right."""
    assert one.reward is not None
    count = len(one.right)
    order = np.argsort(-one.reward, kind="stable")
    # The answer at place i is the best of a subset if the others all come from behind it.
    best = [comb(count - 1 - place, number - 1) / comb(count, number) for place in range(count)]
    return float(one.right[order] @ np.array(best))


def majority(one: Drawn, number: int, draw: np.random.Generator) -> float:
    """The chance that the commonest of `number` answers is right; of equally common ones the likeliest answer's."""
    count = len(one.right)
    subsets = 1 if number == count else SUBSETS
    chosen = draw.random((subsets, count)).argsort(1)[:, :number]
    if number == 1:
        return float(one.right.mean())
    votes = np.zeros((subsets, max(int(one.group.max()), 0) + 1))
    likeliest = np.full(votes.shape, -np.inf)
    row = np.broadcast_to(np.arange(subsets)[:, None], chosen.shape)
    voting = one.group[chosen] >= 0
    place = row[voting], one.group[chosen][voting]
    np.add.at(votes, place, 1)
    np.maximum.at(likeliest, place, one.logprob[chosen][voting])
    winner = (votes + 0.999 * np.exp(likeliest)).argmax(1)  # a probability is at most 1, so it only breaks ties
    right = np.zeros(votes.shape[1], bool)
    np.logical_or.at(right, one.group[one.group >= 0], one.right[one.group >= 0])
    return float((right[winner] & (votes.max(1) > 0)).mean())


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """95% of the means of as many prompts drawn again; Wilson's where they are all alike, as those would be too."""
    if values.min() == values.max() and values[0] in (0.0, 1.0):
        low, high = wilson(float(values.sum()), len(values))
        return min(low, float(values[0])), max(high, float(values[0]))  # they miss 0 and 1 by rounding
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)
