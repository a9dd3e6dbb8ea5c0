"""What people decided about held documents, as the file that a recipe names under `poison: decisions:`."""

import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from labeling.kinds.kind import Json
from labeling.quality.admission import Rule, admit
from labeling.store.database import Database
from labeling.store.labels import get_project

KIND = "poison-review"

_WEIGHT = {None: 0, "release": 1, "confirm": 2}

MOST_NEEDED = 2
"""People who must say the same, however many the project asks."""


@dataclass(frozen=True)
class Decided:
    """How many documents go where; `waiting` ones stand in the file too, undecided."""

    released: int
    confirmed: int
    waiting: int


def write_decisions(database: Database, name: str, path: Path) -> Decided:
    """Writes a JSON line for each document of a project of poison reviews, by id: id, decision, reason, annotators.

    A decision is what as many people say as the project asks (two at most are needed), if they agree, or a reviewer.
    The others stand there with null, which leaves their documents held; of a document that was asked about twice, it
    is poison where one of the samples is. Raises KeyError for no such project, ValueError for one of another kind,
    OSError. The file appears whole or not at all.
    """
    project = get_project(database, name)
    if project.kind != KIND:
        raise ValueError(f"{name} is a project of {project.kind}; decisions come from one of {KIND}")
    rule = replace(Rule.of(KIND), min_overlap=min(project.overlap, MOST_NEEDED))
    decided: dict[str, Json] = {}
    for admission in admit(database, name, rule):
        decision = admission.verdict["decision"] if admission.admitted and admission.verdict else None
        document = admission.sample.content["document"]
        if document not in decided or _WEIGHT[decision] > _WEIGHT[decided[document]["decision"]]:
            row = {"id": document, "decision": decision, "reason": admission.reason}
            decided[document] = row | {"annotators": list(admission.annotators)}
    counts = Counter(row["decision"] for row in decided.values())
    part = path.with_name(f".{path.name}.part")
    # Half a surrogate pair, from a file of samples say, as JSON spells it: \ud800.
    with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{json.dumps(decided[document], ensure_ascii=False)}\n" for document in sorted(decided))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return Decided(counts["release"], counts["confirm"], counts[None])
