"""Misbehaviours that are alike, together: one after another each joins the nearest cluster, or begins one.

Alike are those of one category that share words, estimated by MinHash (Broder 1997; pipeline/dedup/minhash.py); the
nearest misbehaviour decides (single linkage), and a later one moves no earlier one. Names are key phrases by tf-idf
(Sparck Jones 1972).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.tables import Cluster, Misbehaviour
from labeling.store.database import Database
from pipeline.dedup.minhash import Signer, estimate
from pipeline.dedup.shingles import UInt32s, shingle, words

ALIKE = 0.2
"""Share of words, of the exchange's or of the answer's alone, from which two are alike. 187 misbehaviours of five
kinds, each in several wordings, and 15 of no kind: three draws of them made 21 to 22 clusters, none of them mixed; at
0.25 a kind was torn apart. With ordinary words counted too, 15% to 18% were in a wrong one."""
PERMUTATIONS = 256
"""Values of a signature: an estimate of 0.2 is within 0.025 (one standard deviation); with 128, a kind was torn."""
FEWEST = 2
"""Words that are not ordinary from which answers are compared by themselves."""

PHRASE = 3
"""Words of a key phrase at most."""
NAMED_BY = 3
"""Key phrases in a name."""

_ORDINARY = frozenset(
    """
    a an and are as at be but by can d do for from had has have he her his how i if in is it its ll m me my no not of
    on or please re s she so t that the their them there they this to ve was we were what when where which who why
    will with would yes you your
    """.split()
)
"""English words, and what an apostrophe leaves of them, that make nothing alike, and with which no key phrase begins or
ends. In other languages all words count."""


def cluster(database: Database, now: datetime) -> int:
    """Puts each misbehaviour that has no cluster into one; how many clusters began. Again, it does nothing.

    They are taken in the order in which they were found, so that the same misbehaviours make the same clusters.
    """
    with database.write() as session:
        new = list(
            session.scalars(
                sql.select(Misbehaviour)
                .where(Misbehaviour.cluster.is_(None))
                .order_by(Misbehaviour.found, Misbehaviour.id)
                .with_for_update()  # on PostgreSQL a second one waits here, and then finds them placed
            )
        )
        if not new:
            return 0
        placed = list(
            session.scalars(
                sql.select(Misbehaviour)
                .where(Misbehaviour.cluster.is_not(None))
                .order_by(Misbehaviour.found, Misbehaviour.id)
            )
        )
        rows = [*placed, *new]
        both, alone = _signatures(rows)
        alike: dict[str, list[int]] = {}  # the places of those that have a cluster, by category
        for place, row in enumerate(placed):
            alike.setdefault(row.category, []).append(place)
        begun = 0
        for place, row in enumerate(new, len(placed)):
            same = alike.setdefault(row.category, [])
            nearest = _nearest(same, place, both, alone)
            if nearest is None:
                session.add(Cluster(id=row.id, name="", made=now))
                session.flush()
                begun += 1
            row.cluster = row.id if nearest is None else rows[nearest].cluster
            same.append(place)
        session.flush()
        _name(session, {row.cluster for row in new if row.cluster is not None})
    return begun


def key_phrases(texts: Sequence[str], others: Mapping[str, int], count: int) -> list[str]:
    """Phrases that stand in many of the texts and in few of all.

    `others` says in how many of all `count` texts, these included, a phrase stands.
    """
    here = Counter(phrase for text in texts for phrase in phrases(text))
    weight = {
        phrase: often * (1 + math.log((1 + count) / (1 + others.get(phrase, often)))) * (1 + phrase.count(" ") / 2)
        for phrase, often in here.items()
    }
    chosen: list[str] = []
    for phrase in sorted(weight, key=lambda each: (-weight[each], each)):
        if not any(set(phrase.split()) & set(one.split()) for one in chosen):
            chosen.append(phrase)
        if len(chosen) == NAMED_BY:
            break
    return chosen


def phrases(text: str) -> set[str]:
    """Phrases of up to PHRASE words that neither begin nor end with an ordinary one, numbers as 0."""
    found = words(text)
    return {
        " ".join(found[at : at + length])
        for length in range(1, PHRASE + 1)
        for at in range(len(found) - length + 1)
        if not {found[at], found[at + length - 1]} & _ORDINARY
    }


def exchange(row: Misbehaviour) -> str:
    """What was asked last, and the answer."""
    asked = [message["content"] for message in row.prompt if message["role"] == "user"][-1:]
    return "\n".join([*asked, row.answer])


def _signatures(rows: Sequence[Misbehaviour]) -> tuple[UInt32s, UInt32s]:
    """(rows, PERMUTATIONS) of exchanges, and of the answers alone; an answer that is too short is like none."""
    signer = Signer(PERMUTATIONS, 1)
    both = [telling(exchange(row)) or words(exchange(row)) for row in rows]
    alone = [found if len(found) >= FEWEST else [] for found in (telling(row.answer) for row in rows)]
    first, second = (
        signer.sign(shingle(pa.array([" ".join(found) for found in texts], pa.string()), ngram=1))
        for texts in (both, alone)
    )
    return first, second


def telling(text: str) -> list[str]:
    """A text's words that are not ordinary, numbers as 0."""
    return [word for word in words(text) if word not in _ORDINARY]


def _nearest(candidates: Sequence[int], place: int, both: UInt32s, alone: UInt32s) -> int | None:
    """The candidate that is most alike, the earliest of several; None where none is alike."""
    if not candidates:
        return None
    empty = np.iinfo(np.uint32).max
    likeness = np.maximum(
        estimate(both[candidates], both[place]) * (both[place, 0] != empty),
        estimate(alone[candidates], alone[place]) * (alone[place, 0] != empty),
    )
    best = int(np.argmax(likeness))
    return candidates[best] if likeness[best] >= ALIKE else None


def _name(session: Session, changed: Iterable[str]) -> None:
    """Gives the clusters that grew their names anew."""
    members: dict[str, list[str]] = {}
    for row in session.scalars(sql.select(Misbehaviour).where(Misbehaviour.cluster.is_not(None))):
        members.setdefault(str(row.cluster), []).append(exchange(row))
    everywhere = Counter(phrase for texts in members.values() for text in texts for phrase in phrases(text))
    count = sum(map(len, members.values()))
    for id in sorted(changed):
        found = session.get_one(Cluster, id)
        found.name = ", ".join(key_phrases(members[id], everywhere, count)) or members[id][0].strip()[:60] or id[:12]
