"""Samples that come from labels: disagreements for a reviewer, and a second look with a model's own choice in sight.

Label Studio can't hide a text until a person has chosen, so the model's choice is shown in a second project. How far it
moves people is measured by `labeling.quality.together`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from labeling.drafts import Drafter
from labeling.kinds.kind import Draft, InvalidSampleError, Json, Kind, Sample
from labeling.quality.admission import disagreements
from labeling.quality.walk import labelled
from labeling.rows import Known, Rejected
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import Annotation, Project, StoredSample, get_project
from labeling.store.sending import asked_before

JUDGE = (
    "Below are a conversation and two answers to its last message. Which one is more helpful, truthful and harmless? "
    "Reply with one letter, A or B, and nothing else."
)


class AgainError(Exception):
    """A project that can't be filled from another one's labels, and what to do."""


def to_review(database: Database, project: Project, kind: Kind) -> Iterator[Sample | Rejected | Known]:
    """The disagreements of the project that `project` reviews, with what was said and not by whom, each once."""
    if project.reviews is None:
        raise AgainError(f"{project.name} reviews no project; create one with `corpuscle label create review`")
    before = asked_before(database, project.name)
    for found in disagreements(database, project.reviews):
        if found.sample.id in before:
            yield Known(f"sample {found.sample.id}")
            continue
        row: Json = {
            "project": project.reviews,
            "sample": found.sample.id,
            "content": found.sample.content,
            "verdicts": list(found.verdicts),
        }
        try:
            yield make_sample(kind, row, {"asked": found.sample.id}, second_look=True)
        except InvalidSampleError as error:
            yield Rejected(f"sample {found.sample.id}", str(error))


def second_look(
    database: Database, project: Project, kind: Kind, judge: "Judge | None" = None
) -> Iterator[Sample | Rejected | Known]:
    """Comparisons of the project that `project` looks at again, with a model's choice, each once.

    Only those that as many people have chosen in as the first project asks: nobody shall see the model's choice before
    having made one. The choice is the file's `opinion`, or the judge's. Raises AgainError, DraftError.
    """
    if project.reviews is None or kind.name != "comparisons":
        raise AgainError(f"{project.name} is no second look at comparisons; create one that reviews their project")
    first = get_project(database, project.reviews)
    before = asked_before(database, project.name)
    with database.read() as session:
        for sample, annotations in labelled(session, first.name):
            if sample.gold is not None or len(_people(annotations)) < first.overlap:
                continue
            if sample.id in before:
                yield Known(f"sample {sample.id}")
                continue
            opinion = sample.provenance.get("opinion") or (judge.choice(sample) if judge else None)
            if opinion is None:
                yield Rejected(f"sample {sample.id}", "no model has an opinion on it, or not the same twice")
                continue
            row = sample.content | {"opinion": opinion}
            yield make_sample(kind, row, {"asked": sample.id}, second_look=True)


@dataclass(frozen=True)
class Judge:
    """A model that chooses between two answers."""

    model: Drafter

    def choice(self, sample: StoredSample) -> str | None:
        """ "a" or "b", where it says so in either order of the answers: many models prefer a place (Zheng et al. 2023,
        "Judging LLM-as-a-judge", section 3.3)."""
        first, second = (answer["text"] for answer in sample.content["answers"])
        talk = json.dumps(sample.content["prompt"], ensure_ascii=False)
        said = []
        for pair in ((first, second), (second, first)):
            text = f"{JUDGE}\n\nConversation: {talk}\n\nAnswer A: {pair[0]}\n\nAnswer B: {pair[1]}"
            answer = self.model.answer([{"role": "user", "content": text}])
            said.append(answer.text.strip(" .\n").upper() if isinstance(answer, Draft) else "")
        return {("A", "B"): "a", ("B", "A"): "b"}.get((said[0], said[1]))


def _people(annotations: list[Annotation]) -> set[str]:
    return {one.annotator for one in annotations if one.verdict is not None}
