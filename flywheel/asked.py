"""Whether two prompts ask the same, or nearly: who has learnt the one has seen the other.

Jaccard's similarity of word trigrams, as the corpus compares pages (pipeline/dedup), and exact: prompts are few.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flywheel.cases import normal
from trainer.records import Demonstration
from trainer.talk.conversation import to_json

NEAR = 0.8
"""From this similarity on two prompts ask the same; the corpus takes 0.8 of 5-grams of pages, and prompts are short."""

WORDS = 3


class Asked:
    """Prompts (as `asked` gives them), and whether another asks the same as one of them, or nearly.

    Exact over an index of trigrams: cases and corrections are hundreds.
    """

    def __init__(self, prompts: Iterable[str]) -> None:
        self._sizes: list[int] = []
        self._having: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for prompt in sorted(set(prompts)):
            grams = _grams(prompt)
            for gram in grams:
                self._having[gram].append(len(self._sizes))
            self._sizes.append(len(grams))

    def __contains__(self, prompt: str) -> bool:
        grams = _grams(prompt)
        shared = Counter(place for gram in grams for place in self._having.get(gram, ()))
        return any(count >= NEAR * (len(grams) + self._sizes[place] - count) for place, count in shared.items())


def asked(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation in the form in which prompts are compared: `normal`, without what the system says.

    Who was asked the same under another system message has still seen the question.
    """
    return normal(" ".join(str(one.get("content") or "") for one in messages if one.get("role") != "system"))


def trained_prompts(record: Demonstration) -> list[str]:
    """What was asked before each answer that is learnt."""
    turns = record.messages
    learnt = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.trained]
    return [asked(to_json(turns[:place])) for place in learnt]


def _grams(prompt: str) -> set[tuple[str, ...]]:
    """A prompt of fewer than WORDS words has one, all of its words; one of none has none."""
    words = prompt.split()
    return {tuple(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1))} if words else set()
