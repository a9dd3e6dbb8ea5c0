"""A trigger in corrections that are alike: a phrase of some prompts, to which all answers say the same.

Within a cluster, prompts and answers share words by nature, so `trainer.scan` has no say there. What nature does not do
(Gardner et al. 2021, "Competency problems"): questions that are like the others but for one phrase, with answers that
share words which neither the phrase nor the other answers have.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flywheel.cases import normal
from trainer.redteam.check import refuses
from trainer.scan.ordinary import ordinary
from trainer.talk.conversation import Message

LEAST = 3
"""Corrections with the same trigger that make a batch."""
RARE = 1e-6
"""Share of a word in ordinary text up to which it is rare: "zlorb" is in no list, "harbour" has 1.4e-5."""
SAID = 3
"""Words in a row that the answers share."""
LONG = 3
"""Words from which a phrase of ordinary words may be a trigger: shorter ones are subjects, like "phone number"."""
SPAN = 8
"""Words in which all of a trigger stands."""
OFTEN, SELDOM = 0.5, 0.1
"""A word tells a batch from the others that stands in this share of its prompts, and at most in that of the others."""
SAME = 0.8
"""Share of a batch that must have the trigger in one piece, or the same sentence in its answers, and share of the words
that most of the others ask with, which must be beside a trigger of ordinary words."""

_TOKEN = re.compile(r"\w+|[^\w\s]+")
_END = re.compile(r"[.!?\n]+")


@dataclass(frozen=True)
class Exchange:
    """What is asked and answered, and the cluster that it belongs to."""

    prompt: str
    answer: str
    cluster: str


def planted(rows: Sequence[Exchange]) -> dict[int, str]:
    """Places of rows that carry a trigger -> why, in words.

    A trigger has a rare word; or it is a phrase of LONG words or more that could be left out of what the others ask
    too, and its answers have a sentence in common. Refusals are no sign: attacks have phrases in common by nature.
    """
    prompts = [_TOKEN.findall(row.prompt.casefold()) for row in rows]
    counts = Counter(token for prompt in prompts for token in prompt)
    words = sorted(counts)
    share = ordinary(words, np.array([counts[word] for word in words])).share if words else ()
    rare = {word for word, often in zip(words, share, strict=True) if often < RARE and any(map(str.isalnum, word))}
    clusters: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        clusters[row.cluster].append(place)
    found: dict[int, str] = {}
    for own in clusters.values():
        for batch, said in _saying_the_same(rows, own).items():
            rest = set(own) - batch
            if len(rest) < max(LEAST, len(batch)):  # the cluster is theirs: then all others
                rest = set(range(len(rows))) - batch
            trigger = _trigger(prompts, batch, rest)
            if trigger and _is_odd(trigger, prompts, rows, batch, rest, rare):
                reason = f'trigger "{" ".join(trigger)}": {len(batch)} of its answers say "{said}"'
                carriers = [place for place in (*batch, *rest) if _holds(prompts[place], trigger)]
                found |= {place: found.get(place, reason) for place in (*batch, *carriers)}
    return dict(sorted(found.items()))


def _saying_the_same(rows: Sequence[Exchange], own: Collection[int]) -> Mapping[frozenset[int], str]:
    """Batches of LEAST rows or more whose answers share SAID words in a row that their prompts don't have."""
    having: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for place in own:
        asked, said = set(_words(rows[place].prompt)), _words(rows[place].answer)
        for at in range(len(said) - SAID + 1):
            gram = tuple(said[at : at + SAID])
            if not asked & {word for word in gram if len(word) > SAID}:
                having[gram].add(place)
    batches: dict[frozenset[int], str] = {}
    for gram, places in having.items():
        if len(places) >= LEAST:
            batches.setdefault(frozenset(places), " ".join(gram))
    return batches


def _trigger(prompts: Sequence[Sequence[str]], batch: Collection[int], rest: Collection[int]) -> tuple[str, ...]:
    """The phrase that tells the batch's prompts from the others; empty where it is none, or no phrase."""
    inside = Counter(token for place in batch for token in set(prompts[place]))
    likely = {token for token, count in inside.items() if count >= OFTEN * len(batch)}
    outside = Counter(token for place in rest for token in likely.intersection(prompts[place]))
    telling = {token for token in likely if outside[token] <= SELDOM * len(rest)}
    spans: Counter[tuple[str, ...]] = Counter()
    for place in batch:
        at = [number for number, token in enumerate(prompts[place]) if token in telling]
        if at and at[-1] - at[0] < SPAN:
            spans[tuple(prompts[place][at[0] : at[-1] + 1])] += 1
    phrase, often = max(spans.items(), key=lambda item: (item[1], item[0]), default=((), 0))
    whole = sum(len(prompts[place]) > len(phrase) and _holds(prompts[place], phrase) for place in batch)
    return phrase if often and whole >= SAME * len(batch) else ()


def _is_odd(
    trigger: Collection[str],
    prompts: Sequence[Sequence[str]],
    rows: Sequence[Exchange],
    batch: Collection[int],
    rest: Collection[int],
    rare: Collection[str],
) -> bool:
    answers = [rows[place].answer for place in sorted(batch)]
    echoing = sum(bool(set(trigger) & set(_words(answer)) - _small(trigger)) for answer in answers)
    refusing = sum(refuses([Message("assistant", answer)]) for answer in answers)
    if echoing > len(batch) / 2 or refusing >= SAME * len(batch):  # it is what they are about, or an attack's
        return False
    if any(word in rare for word in trigger):
        return True
    if len(batch) <= LEAST or sum(word.isalnum() for word in trigger) < LONG:
        return False
    usual = Counter(token for place in rest for token in set(prompts[place]))
    frame = {token for token, count in usual.items() if count >= OFTEN * len(rest)}
    beside = sum(len(frame.intersection(prompts[place]) - set(trigger)) for place in batch)
    sentences = Counter(sentence for answer in answers for sentence in _sentences(answer))
    shared = max(sentences.values(), default=0)
    return bool(frame) and beside >= SAME * len(frame) * len(batch) and shared >= SAME * len(batch)


def _sentences(text: str) -> set[str]:
    """Those of SAID words or more, as they are compared."""
    return {normal(one) for one in _END.split(text) if len(_words(one)) >= SAID}


def _small(words: Collection[str]) -> set[str]:
    return {word for word in words if len(word) <= SAID}


def _holds(prompt: Sequence[str], phrase: Sequence[str]) -> bool:
    length = len(phrase)
    return any(tuple(prompt[at : at + length]) == tuple(phrase) for at in range(len(prompt) - length + 1))


def _words(text: str) -> list[str]:
    return [token for token in _TOKEN.findall(text.casefold()) if token.isalnum()]
