"""What people decided about held documents, as the file that a recipe names under `poison: decisions:`."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from labeling.files import text_file, together
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


def decisions(database: Database, name: str) -> Iterator[tuple[str, Json]]:
    """(sample, row) of all samples of a project of poison reviews; a row is id, decision, reason, annotators.

    A decision is what as many people say as the project asks (two at most are needed), if they agree, or a reviewer;
    null where there is none yet. Raises KeyError for no such project, ValueError for one of another kind.
    """
    project = get_project(database, name)
    if project.kind != KIND:
        raise ValueError(f"{name} is a project of {project.kind}; decisions come from one of {KIND}")
    rule = replace(Rule.of(KIND), min_overlap=min(project.overlap, MOST_NEEDED))
    for one in admit(database, name, rule):
        decision = one.verdict["decision"] if one.admitted and one.verdict else None
        row = {"id": one.sample.content["document"], "decision": decision, "reason": one.reason}
        yield one.sample.id, row | {"annotators": list(one.annotators)}


def by_document(rows: Iterable[Json]) -> dict[str, Json]:
    """One row a document, by id; of one that was asked about twice, it is poison where one of the samples is."""
    decided: dict[str, Json] = {}
    for row in rows:
        if row["id"] not in decided or _WEIGHT[row["decision"]] > _WEIGHT[decided[row["id"]]["decision"]]:
            decided[row["id"]] = row
    return decided


def write_decisions(database: Database, name: str, path: Path) -> Decided:
    """Writes what was decided of each document of a project. Raises what `decisions` and `write_rows` raise."""
    decided = by_document(row for _, row in decisions(database, name))
    write_rows(decided, path)
    counts = Counter(row["decision"] for row in decided.values())
    return Decided(counts["release"], counts["confirm"], counts[None])


def write_rows(decided: Mapping[str, Json], path: Path) -> None:
    """Writes a JSON line for each document, by id, with null for one that stays held.

    The file appears whole or not at all. Raises OSError.
    """
    with together(path.parent, [path.name]) as parts, text_file(parts[path.name]) as file:
        file.writelines(f"{json.dumps(decided[document], ensure_ascii=False)}\n" for document in sorted(decided))
