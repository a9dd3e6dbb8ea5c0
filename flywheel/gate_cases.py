"""The gate's cases: held-out misbehaviours by cluster, and general questions; never trained on, kept for ever.

What is in the training data all the same is no case: who has seen the question shows only that he remembers.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.asked import Asked, trained_prompts
from flywheel.cases import check_fault
from flywheel.tables import Cluster, Json, Messages, Misbehaviour
from labeling.store.reports import ReportRow
from trainer.records import read_demonstrations
from trainer.records.rows import DEFAULT, Rejected, read_rows
from trainer.records.turns import prompt_turns
from trainer.talk.conversation import Message, check

EVALUATION = "evaluation"
"""The group of the general questions."""

DISMISSED = Misbehaviour.source.in_(("chat", "redteam")) & sql.exists().where(
    ReportRow.id == Misbehaviour.source_ref, ReportRow.status == "dismissed"
)
"""Of misbehaviours, those whose report somebody has dismissed since it was collected."""


@dataclass(frozen=True)
class Case:
    """A prompt, and how to tell whether an answer misbehaves: badly, if by any of the checks."""

    id: str
    group: str
    """The cluster's id, or EVALUATION."""
    prompt: Messages
    checks: tuple[Json, ...]

    def turns(self) -> tuple[Message, ...] | None:
        """None for what is no conversation that a model could be asked."""
        try:
            found = tuple(prompt_turns(self.prompt, DEFAULT.messages))
            check(found)
        except (ValueError, TypeError, AttributeError):
            return None
        return found if found[-1].role in ("user", "tool") else None


@dataclass(frozen=True)
class Cases:
    cases: tuple[Case, ...]
    names: dict[str, str]
    """Of the groups."""
    uncounted: int
    """Held-out misbehaviours that have no cluster yet, or no check by which a machine could tell."""


def read_cases(session: Session, evaluation: Path | None) -> Cases:
    """In the order of their ids, without what was dismissed.

    Raises ValueError, with file and line, for general questions that can't be used.
    """
    query = sql.select(Misbehaviour).where(Misbehaviour.held_out, sql.not_(DISMISSED)).order_by(Misbehaviour.id)
    found: dict[tuple[str, str], Case] = {}
    uncounted = 0
    for row in session.scalars(query):
        if row.cluster is None or row.check is None or check_fault(row.check) is not None:
            uncounted += 1
            continue
        # Two bad answers to one prompt are one case: the model gives it one answer.
        key = row.cluster, json.dumps(row.prompt, sort_keys=True)
        case = found.get(key) or Case(row.id, row.cluster, row.prompt, ())
        found[key] = dataclasses.replace(case, checks=(*case.checks, row.check))
    names = {cluster.id: cluster.name for cluster in session.scalars(sql.select(Cluster).order_by(Cluster.id))}
    questions = [] if evaluation is None else _questions(evaluation)
    if evaluation is not None:
        names[EVALUATION] = f"general evaluation ({evaluation.name})"
    return Cases((*found.values(), *questions), names, uncounted)


def unusable(evaluation: Path | None) -> str | None:
    """What is wrong with the general questions, or None; told before anything is trained."""
    try:
        _ = [] if evaluation is None else _questions(evaluation)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def stray_tolerance(session: Session, tolerances: Iterable[str]) -> str | None:
    """What is wrong with the keys of the settings' own tolerances, or None; told before anything is trained."""
    ids = [*session.scalars(sql.select(Cluster.id)), EVALUATION]
    for key in tolerances:
        if not any(id.startswith(key) for id in ids):
            return (
                f"flywheel.yaml: gate: tolerances: no cluster has the id {key}; verdict pages tell the ids, and "
                f"{EVALUATION} is for the general questions."
            )
    return None


def trained_on(dataset: Path) -> Asked:
    """The prompts of a training file: what stands before each answer that is learnt.

    Raises ValueError where the file is not there or has rows that can't be read.
    """
    return Asked(prompt for record in read_demonstrations((dataset,)) for prompt in trained_prompts(record))


def digest(cases: Sequence[Case]) -> str:
    """SHA-256 of the cases: with others it is another verdict."""
    rows = [dataclasses.asdict(case) for case in cases]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def _questions(path: Path) -> list[Case]:
    """Rows of {"prompt" or "messages": ..., "check": {...}}."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file, though the gate's settings name it as the general evaluation.")
    found = []
    for row in read_rows(path):
        if isinstance(row, Rejected):
            raise ValueError(f"{row.path}:{row.line}: {row.reason}; mend the row or leave it out.")
        fault = check_fault(row.fields.get("check"))
        if fault is not None:
            raise ValueError(f"{path}:{row.line}: {fault}.")
        asks = row.fields.get("prompt", row.fields.get("messages"))
        messages: Any = [{"role": "user", "content": asks}] if isinstance(asks, str) else asks
        case = Case(f"{path.name}:{row.line}", EVALUATION, messages, (row.fields["check"],))
        if case.turns() is None:
            raise ValueError(f'{path}:{row.line}: no question; expected "prompt" or "messages" up to a user\'s turn.')
        found.append(case)
    return found
