"""More reports, and what two people say of them."""

from datetime import datetime

import sqlalchemy as sql

from flywheel.tables import Misbehaviour
from labeling.kinds import KINDS
from labeling.quality.simulate import annotation
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import StoredSample, add_samples, put_annotations
from labeling.store.reports import Report, add_report
from tests.flywheel.round import BAD, GOOD, PROMPTS, REPORTED, asked
from tests.flywheel.rows import NOW

BEHIND = 10_000
"""Numbers of tasks and annotations that are not taken yet."""


def report_more(database: Database, count: int) -> None:
    """Reports of prompts that nobody has reported."""
    for number, prompt in enumerate(PROMPTS[REPORTED : REPORTED + count], REPORTED):
        messages = [*asked(prompt), {"role": "assistant", "content": BAD}]
        id = f"00000000-0000-4000-8000-{number:012}"
        add_report(database, Report("c0", messages, "wrong", wished_answer=GOOD, consent=True, id=id, created=NOW))


def correct_more(database: Database, at: datetime) -> int:
    """What `label` and two people leave for all that has no sample yet; how many that are."""
    kind = KINDS["corrections"]
    query = sql.select(Misbehaviour).where(Misbehaviour.sample.is_(None))
    stored = []
    with database.write() as session:
        for number, bad in enumerate(session.scalars(query.order_by(Misbehaviour.id)), BEHIND):
            messages = [*bad.prompt, {"role": "assistant", "content": bad.answer}]
            provenance = {"misbehaviour": bad.id}
            sample = make_sample(kind, {"messages": messages}, provenance)
            bad.sample = sample.id
            stored.append(
                StoredSample(
                    id=sample.id,
                    content=sample.content,
                    provenance=provenance,
                    gold=None,
                    draft=None,
                    draft_model=None,
                    priority=0.0,
                    order=(),
                    added=at,
                    sent=at,
                    task_id=number,
                )
            )
    add_samples(database, "corrections", stored)
    verdict = {"category": "wrong", "answer": GOOD, "refusal": "none"}
    said = [
        annotation(BEHIND + 2 * number + person, sample.id, name, verdict, 20.0)
        for number, sample in enumerate(stored)
        for person, name in enumerate(("amber", "birch"))
    ]
    with database.write() as session:
        put_annotations(session, "corrections", said)
    return len(stored)
