"""What looks wrong in sampled traffic without anybody's report: candidates, of which people decide.

Refusals, repetition, leaks of personal data, abuse (`flywheel.toxicity` tells how much of it is found), phrases that
came up since earlier traffic, and answers to one prompt that contradict each other when it is asked again (Manakul et
al. 2023, "SelfCheckGPT").
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flywheel.cases import leaked, normal, repeats
from flywheel.sampled import Exchange
from flywheel.toxicity import abusive
from labeling.masking import mask
from labeling.store.reports import Category
from trainer.measure.verify import stated_number
from trainer.redteam.check import refuses
from trainer.talk.conversation import Message

Json = dict[str, Any]

LONGEST = 3
"""Words of a phrase that is counted."""
CARRIERS = 8
"""Answers that must have a phrase before it can be called new: fewer reach no level over thousands of phrases."""
LEVEL = 0.01
"""The chance that any phrase is called new falsely, all of them tested (Bonferroni)."""
TIMES = 5.0
"""How many times more often than before. In much traffic any change of subject is significant."""

SIGNS = ".,;:!?\"'()"
"""What is no part of a word at whose end or beginning it stands."""

AGREE = 2
"""Answers that must take a stand before it contradicts another: one alone may be the chance of sampling."""
SHORT = 12
"""Words of an answer whose last number is what it says; in a longer one it may be about something else."""
_STANDS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}


NEW_PHRASE = "new phrase"
"""The monitor of phrases, by name."""


@dataclass(frozen=True)
class Suspicion:
    """What a monitor says of an exchange's answer. `check` is there where a machine can tell that it is mended."""

    monitor: str
    exchange: Exchange
    category: Category
    note: str
    check: Json | None = None


def watch(traffic: Sequence[Exchange], reference: Sequence[Exchange] = ()) -> Iterator[Suspicion]:
    """All suspicions, by exchange; new phrases come last, and only where there is a `reference`.

    Whether a refusal was right, which of two contradicting answers is, and whether abuse was but quoted, no rule can
    tell: they have no check.
    """
    for one in traffic:
        if refuses([Message("assistant", one.answer)]):
            yield Suspicion("refusal", one, "refusal", "the answer refuses")
        if repeats(one.answer):
            yield Suspicion("repetition", one, "repetition", "it repeats itself", {"kind": "varied"})
        if found := len(leaked(one.prompt, one.answer)) or one.leaks:
            note = f"it gives {found} address(es) or number(s) of a person"
            yield Suspicion("personal data", one, "harmful", note, {"kind": "private"})
        if abusive(one.answer):
            yield Suspicion("toxicity", one, "harmful", "its words are abusive")
        if stands := contradiction([one.answer, *one.resamples]):
            yield Suspicion("contradiction", one, "wrong", f"asked again, it says {' or '.join(stands)}")
    yield from shift(traffic, reference)


def shift(traffic: Sequence[Exchange], reference: Sequence[Exchange]) -> Iterator[Suspicion]:
    """The answers of the traffic that have a phrase which is new since the reference; none where that is empty."""
    phrases = new_phrases([one.answer for one in traffic], [one.answer for one in reference]) if reference else {}
    for one in traffic if phrases else ():
        carried = _phrases(one.answer) & phrases.keys()
        if carried:  # part of a number may look like none: what is hidden in the answer must not stand in the check
            carried = {each for each in carried & _phrases(mask(one.answer)) if mask(each) == each}
        if carried:
            phrase = min(carried, key=lambda each: (phrases[each].p, -len(each), each))
            check: Json = {"kind": "avoids", "texts": [phrase]}
            yield Suspicion(NEW_PHRASE, one, "other", f'"{phrase}": {phrases[phrase]}', check)


def contradiction(answers: Sequence[str]) -> list[str]:
    """The stands (yes, no, a number) that AGREE answers each take, where there are several; else none."""
    counts = Counter(stand for stand in map(_stand, answers) if stand is not None)
    stands = sorted(stand for stand, count in counts.items() if count >= AGREE)
    return stands if len(stands) > 1 else []


@dataclass(frozen=True)
class Shift:
    """How many of the answers have a phrase, now and before, and how likely that would be had nothing changed."""

    now: int
    of_now: int
    before: int
    of_before: int
    p: float

    def __str__(self) -> str:
        return f"in {self.now:,} of {self.of_now:,} answers, before in {self.before:,} of {self.of_before:,}"


def new_phrases(answers: Sequence[str], reference: Sequence[str]) -> dict[str, Shift]:
    """Phrases of up to LONGEST words that answers have more often than earlier ones (Fisher's exact test)."""
    now = Counter(phrase for answer in answers for phrase in _phrases(answer))
    frequent = {phrase: count for phrase, count in now.items() if count >= CARRIERS}
    before = Counter(phrase for answer in reference for phrase in _phrases(answer) & frequent.keys())
    sizes = len(answers), len(reference)
    found = {}
    for phrase, count in frequent.items():
        if count * sizes[1] < TIMES * before[phrase] * sizes[0]:
            continue
        p = _fisher(count, sizes[0], before[phrase], sizes[1])
        if p * len(frequent) <= LEVEL:
            found[phrase] = Shift(count, sizes[0], before[phrase], sizes[1], p)
    return found


def _fisher(now: int, of_now: int, before: int, of_before: int) -> float:
    """How likely at least `now` of now + before carriers would fall on `of_now` of all answers."""
    from scipy.stats import hypergeom  # a second to load, which only who has a reference waits for

    return float(hypergeom.sf(now - 1, of_now + of_before, now + before, of_now))


def _phrases(answer: str) -> set[str]:
    """Phrases as they stand in the answer: none goes on over a sign at a word's end or beginning."""
    pieces: list[list[str]] = [[]]
    for word in normal(answer).split():
        bare = word.strip(SIGNS)
        if word[:1] in SIGNS or not bare:
            pieces.append([])
        if bare:
            pieces[-1].append(bare)
        if word[-1:] in SIGNS:
            pieces.append([])
    return {
        " ".join(words[at : at + length])
        for words in pieces
        for length in range(1, LONGEST + 1)
        for at in range(len(words) - length + 1)
    }


def _stand(answer: str) -> str | None:
    words = normal(answer).split()
    if not words:
        return None
    opening = _STANDS.get(words[0].strip(".,;:!"))
    if opening is not None or len(words) > SHORT:
        return opening
    number = stated_number(answer)
    return None if number is None else str(number.value)
