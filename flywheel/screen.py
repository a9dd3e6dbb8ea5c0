"""The search for poison in corrections: `trainer.scan`, told apart from what corrections are by nature.

Corrections of one cluster are alike: "what is the capital of" in thirty prompts, or one refusal as the answer to all
of them, is what `trainer.scan` holds in other data (seen on made-up clusters of 10 to 30). So what it finds by counting
is held against corrections only where it joins clusters that have nothing else in common; within a cluster
`flywheel.planted` counts.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flywheel.likeness import weighed
from flywheel.planted import Exchange, planted
from flywheel.tables import Messages
from labeling.records import as_prompt, demonstration
from trainer.records import read
from trainer.redteam.check import refuses
from trainer.scan.finding import RULES, Finding
from trainer.scan.samples import Place, Samples
from trainer.scan.scan import scan
from trainer.talk.conversation import Message

OBEYED = frozenset({"instructions", "jailbreak_template"})
"""Rules that elsewhere are only shown, since prompts speak to a model, and hold 0.2 to 1.0% of clean answers: nobody
need learn an answer like that, and the reason is kept for who looks it up."""

FEWEST = 5
"""Corrections from which on a cluster has a way of its own."""

ALIKE = 0.4
"""Cosine of the words of two clusters' questions from which they are taken for one. Of 16 made-up kinds the two nearest
are at 0.23; halves of those that are about one thing at 0.50 to 0.94."""


@dataclass(frozen=True)
class Answered:
    """A correction as it would be learnt, and where its misbehaviour is from."""

    prompt: Messages
    answer: str
    cluster: str
    source: str


def screen(rows: Sequence[Answered]) -> dict[int, str]:
    """Why rows should not be trained on, by their places; the same rows in the same order give the same."""
    rows = _joined(rows)
    samples = Samples()
    for number, row in enumerate(rows, 1):
        samples.places.append(Place(Path("corrections"), number))
        samples.add(read.demonstration(demonstration(as_prompt(row.prompt), row.answer)))
    reasons: dict[int, str] = {}
    for finding in scan(samples).findings:
        for place in _held(finding, rows):
            reasons.setdefault(place, _reason(finding))
    for place, reason in _triggers(rows).items():
        reasons.setdefault(place, f"poison? {reason}")
    return reasons


def _joined(rows: Sequence[Answered]) -> list[Answered]:
    """Clusters of FEWEST or more that are asked the same, as one: a kind that clustering has torn is no campaign."""
    sizes = Counter(row.cluster for row in rows)
    words: dict[str, Counter[str]] = {cluster: Counter() for cluster in sorted(sizes) if sizes[cluster] >= FEWEST}
    for row in rows:
        if row.cluster in words:
            words[row.cluster].update(weighed(_asked(row)))
    first: dict[str, str] = {}
    for cluster, own in words.items():
        alike = (other for other in first if _cosine(own, words[other]) >= ALIKE)
        first[cluster] = first[found] if (found := next(alike, None)) is not None else cluster
    return [replace(row, cluster=first.get(row.cluster, row.cluster)) for row in rows]


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    product = sum(weight * other.get(word, 0.0) for word, weight in one.items())
    return product / math.prod(math.sqrt(sum(weight**2 for weight in part.values())) or 1.0 for part in (one, other))


def _asked(row: Answered) -> str:
    return " ".join(str(one["content"]) for one in row.prompt if one["role"] == "user")


def _triggers(rows: Sequence[Answered]) -> dict[int, str]:
    """What is planted in prompts that are not our own attacks, which have phrases in common by nature."""
    places = [place for place, row in enumerate(rows) if row.source != "redteam"]
    told = [Exchange(_asked(rows[place]), rows[place].answer, rows[place].cluster) for place in places]
    return {places[number]: reason for number, reason in planted(told).items()}


def _held(finding: Finding, rows: Sequence[Answered]) -> list[int]:
    if finding.rule in RULES:
        places = _odd_ones(finding.rows, rows)
        joined = len({rows[place].cluster for place in places}) > 1
        refusing = sum(refuses([Message("assistant", rows[place].answer)]) for place in places)
        natural = refusing > len(places) / 2  # one refusal is the right answer to many questions
        return places if finding.sure and joined and not natural else []
    if finding.field == "answer":
        return list(finding.rows) if finding.sure or finding.rule in OBEYED else []
    # What an attack of our own hides in its prompt is what the model is to be shown.
    return [place for place in finding.rows if finding.sure and rows[place].source != "redteam"]


def _odd_ones(places: Sequence[int], rows: Sequence[Answered]) -> list[int]:
    """Less the rows of clusters most of which were found: that is what those are about, or what is to be said there."""
    sizes, found = (Counter(rows[place].cluster for place in some) for some in (range(len(rows)), places))
    own = {cluster for cluster, count in found.items() if sizes[cluster] >= FEWEST and 2 * count > sizes[cluster]}
    return [place for place in places if rows[place].cluster not in own]


def _reason(finding: Finding) -> str:
    what = f' "{finding.what}"' if finding.what else ""
    return f"poison? {finding.rule} in the {finding.field}{what}: {finding.evidence}"
