"""How alike misbehaviours are: in what was asked, what was answered, what people noted, and the sort of answer it is.

Words weigh less the more common they are (SIF, Arora et al. 2017). Short questions share a word or two whatever they
are about, and those that are refused, or answered in another language, share none: there the sort of answer tells.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from wordfreq import available_languages, cB_to_freq, read_cBpack, word_frequency

from flywheel.cases import repeats
from flywheel.tables import Misbehaviour
from pipeline.dedup.shingles import words
from trainer.redteam.check import refuses
from trainer.talk.conversation import Message

QUESTION, ANSWER, NOTE, SORT = 1.0, 0.5, 0.5, 1.0
"""What likeness in a part counts. These and the figures below were chosen on benchmarks/flywheel_clusters.tsv, and not
on flywheel_clusters_held_out.tsv."""
COMMON = 1e-3
"""The share of ordinary text at which a word weighs half: SIF's `a`."""
BUCKETS = 400
"""Hundredths of a power of ten down to which common words are looked up: those that are 1 in 10,000 words or more."""

CLEAR, USUAL = 2.0, 0.5
"""What a sign of an answer's sort weighs: that it refuses, repeats itself or is in another language; and its length,
the question word, figures in the question. A number weighs between them, and the category that somebody chose."""
BETWEEN, CHOSEN = 1.5, 1.0
SURE = 1.5
"""Weight of all signs together below which they are too few to make a likeness of 1."""
LENGTHS = (3, 8, 15)
"""Words up to which an answer is of a length; the last sort is longer."""
ENGLISH, FOREIGN, FEWEST = 3e-5, 0.3, 4
"""Share of English text from which a word counts as English; how much more of them a question has than its answer, or
less, where that is in another language; and of how many words it must be."""

_ASKING = frozenset("who whose whom when where why how which what year is can do".split())
_VAGUE = frozenset({"wrong", "other"})
"""Categories that say little of what is wrong."""

Part = Mapping[str, float]


class Kinds:
    """Clusters by the sums of their members' parts, in an index: those that share nothing are not looked at."""

    def __init__(self) -> None:
        self._sums: list[defaultdict[str, dict[str, float]]] = [defaultdict(dict) for _ in range(4)]
        self._squares: list[dict[str, float]] = [{} for _ in range(4)]
        self._order: dict[str, int] = {}

    def add(self, cluster: str, parts: tuple[Part, ...]) -> None:
        """Another member."""
        self._order.setdefault(cluster, len(self._order))
        for part, sums, squares in zip(parts, self._sums, self._squares, strict=True):
            for word, weight in part.items():
                before = sums[word].get(cluster, 0.0)
                sums[word][cluster] = before + weight
                squares[cluster] = squares.get(cluster, 0.0) + weight * (2 * before + weight)

    def nearest(self, parts: tuple[Part, ...]) -> tuple[str, float] | None:
        """The cluster that is most alike, the earliest of several, and its likeness from 0 to 1; None without one."""
        alike: defaultdict[str, float] = defaultdict(float)
        noted = self._squares[2] if parts[2] else {}
        for part, sums, squares, counts in zip(
            parts, self._sums, self._squares, (QUESTION, ANSWER, NOTE, SORT), strict=True
        ):
            products: defaultdict[str, float] = defaultdict(float)
            for word, weight in part.items():
                for cluster, other in sums.get(word, {}).items():
                    products[cluster] += weight * other
            for cluster, product in products.items():
                alike[cluster] += counts * product / math.sqrt(squares[cluster])
        whole = QUESTION + ANSWER + SORT
        # A note that nobody wrote says nothing of the likeness.
        likeness = {id: found / (whole + (NOTE if id in noted else 0.0)) for id, found in alike.items()}
        best = max(likeness, key=lambda id: (likeness[id], -self._order[id]), default=None)
        return None if best is None else (best, likeness[best])


def parts_of(row: Misbehaviour) -> tuple[Part, ...]:
    """Question, answer, note and sort; all empty where neither question nor answer has a word."""
    question = " ".join([str(message["content"]) for message in row.prompt if message["role"] == "user"][-1:])
    if not words(question) and not words(row.answer):
        return {}, {}, {}, {}
    texts = (_whole(weighed(text), 0.0) for text in (question, row.answer, row.note))
    return *texts, _whole(_sort(question, row.answer, row.category), SURE)


def weighed(text: str) -> dict[str, float]:
    """Its words and their weights."""
    common, found = _common_words(), defaultdict[str, float](float)
    for word in words(text):
        found[word] += COMMON / (COMMON + common.get(word, 0.0))
    return found


def _sort(question: str, answer: str, category: str) -> dict[str, float]:
    asked, said = words(question), words(answer)
    signs = {f"length {sum(len(said) > length for length in LENGTHS)}": USUAL}
    if refuses([Message("assistant", answer)]):
        signs["refuses"] = CLEAR
    if repeats(answer):
        signs["repeats"] = CLEAR
    if len(said) >= FEWEST and asked and abs(_english(asked) - _english(said)) > FOREIGN:
        signs["another language"] = CLEAR
    numbers = re.findall(r"\d+", answer)
    if any(len(number) == 4 and number[0] in "12" for number in numbers):
        signs["year"] = BETWEEN
    elif numbers:
        signs["number"] = BETWEEN
    if category not in _VAGUE:
        signs["category"] = CHOSEN
    if asking := next((word for word in asked if word in _ASKING), None):
        signs[f"asks {asking}"] = USUAL
    if any(map(str.isdigit, question)):
        signs["figures"] = USUAL
    return signs


def _english(found: list[str]) -> float:
    return sum(word_frequency(word, "en") >= ENGLISH for word in found) / len(found)


def _whole(part: Mapping[str, float], least: float) -> Part:
    """Of length 1; less where its length is below `least`."""
    length = max(math.sqrt(sum(weight * weight for weight in part.values())), least)
    return {word: weight / length for word, weight in part.items()}


@cache
def _common_words() -> Mapping[str, float]:
    """How often the most common words of all languages stand in ordinary text of theirs (wordfreq's short lists)."""
    found: dict[str, float] = {}
    for _, path in sorted(available_languages("small").items()):
        for place, bucket in enumerate(read_cBpack(path)[: BUCKETS + 1]):
            for word in bucket:
                found[word] = max(found.get(word, 0.0), cB_to_freq(-place))
    return found
