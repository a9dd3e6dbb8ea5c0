"""Misbehaviours that people were asked about, as rows of a store: what Label Studio would have brought there."""

import hashlib
from dataclasses import replace
from datetime import datetime

from flywheel.tables import Cluster, Json, Misbehaviour
from labeling.kinds import KINDS
from labeling.quality.simulate import annotation, project, stored
from labeling.store.database import Database
from labeling.store.labels import add_project, add_samples, get_project, put_annotations
from tests.flywheel.rows import NOW, misbehaviour

Verdict = tuple[str, str | None]
"""A category, and the right answer."""

COUNTRIES = (
    "Norway Kenya Chile Laos Spain Ghana Nepal Peru Cuba Fiji Iran Iraq Mali Oman Togo Chad Italy Japan Qatar Syria "
    "Yemen Benin Gabon Haiti India Libya Malta Niger Palau Samoa"
).split()


def add_bad(
    database: Database, prompt: str, answer: str = "No idea.", cluster: str = "capitals", **more: object
) -> str:
    """A misbehaviour in a cluster; its id."""
    id = hashlib.sha256(f"{prompt}\n{answer}".encode()).hexdigest()
    with database.write() as session:
        if session.get(Cluster, cluster) is None:
            session.add(Cluster(id=cluster, name=f"about {cluster}", made=NOW))
            session.flush()
        asked = [{"role": "user", "content": prompt}]
        session.add(misbehaviour(id, prompt=asked, answer=answer, cluster=cluster, **more))
    return id


def add_said(database: Database, bad: str, *verdicts: Verdict | None, at: datetime = NOW) -> None:
    """What person-1, person-2, ... said of a misbehaviour, in the place of what they said before; None: deleted."""
    try:
        get_project(database, "corrections")
    except KeyError:
        add_project(database, project("corrections", "corrections"))
    with database.read() as session:
        row = session.get_one(Misbehaviour, bad)
        content = KINDS["corrections"].content(
            {"messages": [*row.prompt, {"role": "assistant", "content": row.answer}]}
        )
    sample = stored("corrections", content, task_id=1, sent=NOW)
    add_samples(database, "corrections", [sample])
    said = []
    for person, verdict in enumerate(verdicts, 1):
        number = int(bad[:6], 16) * 10 + person
        meant: Json | None = None
        if verdict is not None:
            meant = {"category": verdict[0], "answer": verdict[1], "refusal": "none"}
        one = annotation(person, sample.id, f"person-{person}", meant, reason=None if meant else "deleted", created=at)
        said.append(replace(one, remote_id=number))
    with database.write() as session:
        put_annotations(session, "corrections", said)
        session.get_one(Misbehaviour, bad).sample = sample.id


def add_capitals(database: Database, count: int, begin: int = 0) -> list[str]:
    """Misbehaviours about so many countries, each corrected by two people."""
    ids = []
    for country in COUNTRIES[begin : begin + count]:
        ids.append(add_bad(database, f"What is the capital of {country}?"))
        add_said(database, ids[-1], *2 * [("wrong", f"Its capital is {country[::-1].title()}.")])
    return ids


def add_cases(database: Database, count: int = 2, cluster: str = "capitals") -> list[str]:
    """Held-out misbehaviours of a cluster, which a machine can check without anybody's labels."""
    own = {"source": "evaluation", "check": {"kind": "answers"}}
    asks = [f"Which town is the {cluster} one in region {number}?" for number in range(count)]
    return [add_bad(database, ask, cluster=cluster, held_out=True, **own) for ask in asks]
