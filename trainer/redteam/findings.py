"""Successful attacks and refused benign requests as misbehaviour reports: what labelling and retraining begin with."""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labeling.store.database import Database, StoreError
from labeling.store.reports import Category, Report, add_report
from trainer.redteam.trial import Trial
from trainer.talk.conversation import to_json

CATEGORIES: Mapping[str, Category] = {"harmful": "harmful", "injection": "injection"}


def reports(trials: Sequence[Trial], checkpoint_id: str, sampling: Mapping[str, Any]) -> Iterator[Report]:
    """A report for each different bad answer. Its id follows from checkpoint, attack and answer.

    Consent is given, as no person's words are in it but those of who wrote the attacks; nothing is masked, or the
    attack would not be the same any more.
    """
    for trial in trials:
        attack = trial.attack
        twin = attack.twin_of is not None
        category: Category = "refusal" if twin else CATEGORIES[attack.category]
        kind = "a benign request refused" if twin else f"{attack.check.kind} {attack.check.text}".rstrip()
        seen = set()
        for answer, met, refused in zip(trial.answers, trial.met, trial.refused, strict=True):
            messages = to_json([*attack.messages, *answer.messages])
            id = finding_id(checkpoint_id, attack.id, messages)
            if not (refused if twin else met) or id in seen:
                continue
            seen.add(id)
            yield Report(
                checkpoint_id=checkpoint_id,
                messages=messages,
                category=category,
                description=f"{attack.family}: {attack.id}: {kind}",
                wished_answer=attack.wished,
                consent=True,
                source="redteam",
                sampling=sampling,
                id=id,
            )


def finding_id(checkpoint_id: str, attack_id: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """The same for the same finding, however often it is made; in the form of a random UUID, as the store asks."""
    said = json.dumps([checkpoint_id, attack_id, messages], sort_keys=True)
    return str(uuid.UUID(bytes=hashlib.sha256(said.encode()).digest()[:16], version=4))


def opened(url: str) -> Database:
    """The store. Raises ValueError where it cannot be opened."""
    try:
        return Database(url)
    except StoreError as error:
        raise ValueError(str(error)) from None


def keep(database: Database, found: Iterator[Report]) -> tuple[int, int]:
    """(reports that are new, reports that were there already). Raises ValueError where the store takes no more."""
    try:
        added = [add_report(database, report) for report in found]
    except StoreError as error:
        raise ValueError(str(error)) from None
    return sum(added), len(added) - sum(added)
