"""The search for poison in corrections: `trainer.scan`, told apart from what corrections are by nature.

Corrections of one cluster are alike: "what is the capital of" in thirty prompts, or one refusal as the answer to all
of them, is what `trainer.scan` holds in other data (seen on made-up clusters of 10 to 30). So what it finds by counting
is held against corrections only where it joins clusters that have nothing else in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flywheel.tables import Messages
from labeling.records import as_prompt, demonstration
from trainer.records import read
from trainer.scan.finding import RULES, Finding
from trainer.scan.samples import Place, Samples
from trainer.scan.scan import scan

OBEYED = frozenset({"instructions", "jailbreak_template"})
"""Rules that elsewhere are only shown, since prompts speak to a model, and hold 0.2 to 1.0% of clean answers: nobody
need learn an answer like that, and the reason is kept for who looks it up."""


@dataclass(frozen=True)
class Answered:
    """A correction as it would be learnt, and where its misbehaviour is from."""

    prompt: Messages
    answer: str
    cluster: str
    source: str


def screen(rows: Sequence[Answered]) -> dict[int, str]:
    """Why rows should not be trained on, by their places; the same rows in the same order give the same."""
    samples = Samples()
    for number, row in enumerate(rows, 1):
        samples.places.append(Place(Path("corrections"), number))
        samples.add(read.demonstration(demonstration(as_prompt(row.prompt), row.answer)))
    reasons: dict[int, str] = {}
    for finding in scan(samples).findings:
        for place in _held(finding, rows):
            reasons.setdefault(place, _reason(finding))
    return reasons


def _held(finding: Finding, rows: Sequence[Answered]) -> list[int]:
    if finding.rule in RULES:
        joined = len({rows[place].cluster for place in finding.rows}) > 1
        return list(finding.rows) if finding.sure and joined else []
    if finding.field == "answer":
        return list(finding.rows) if finding.sure or finding.rule in OBEYED else []
    # What an attack of our own hides in its prompt is what the model is to be shown.
    return [place for place in finding.rows if finding.sure and rows[place].source != "redteam"]


def _reason(finding: Finding) -> str:
    what = f' "{finding.what}"' if finding.what else ""
    return f"poison? {finding.rule} in the {finding.field}{what}: {finding.evidence}"
