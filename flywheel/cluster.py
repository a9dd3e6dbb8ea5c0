"""Misbehaviours that are alike, together: one after another each joins the nearest cluster, or begins one.

What alike means is in `flywheel.likeness`; only those of one category are compared. Leader clustering (Hartigan 1975,
chapter 3) by the members' sums, so a later one moves no earlier one. Names are key phrases by tf-idf (Sparck Jones
1972). Two labelled sets of short questions (benchmarks/flywheel_clusters.py), five orders of each; before were shared
words, by MinHash and single linkage:

    230 in 8 kinds of 25 and 30 singles: 142 -> 42 clusters, V-measure 0.72 -> 0.88, adjusted Rand index 0.29 -> 0.76,
    purity 0.93 -> 0.90; of a kind, 35% -> 84% are in the cluster with most of it
    96 in 8 kinds of 12, on which nothing was chosen: 76 -> 18, 0.66 -> 0.81, 0.13 -> 0.65, 1.00 -> 0.84; 25% -> 78%
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.likeness import Kinds, parts_of
from flywheel.tables import Cluster, Misbehaviour
from labeling.store.database import Database
from pipeline.dedup.shingles import words

ALIKE = 0.22
"""Likeness from which a misbehaviour joins a cluster. At 0.20 fewer kinds are torn, and more are mixed; at 0.25 fewer
are mixed (purity 0.89, 0.95 of the first set) and more are torn (88%, 78% in the largest cluster)."""

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


@dataclass(frozen=True)
class _Plan:
    """Where the misbehaviours that have no cluster go."""

    joins: dict[str, str]
    """Misbehaviour to cluster."""
    names: dict[str, str]
    """Of the clusters that grow."""


def cluster(database: Database, now: datetime) -> int:
    """Puts each misbehaviour that has no cluster into one; how many clusters began. Again, it does nothing.

    They are taken in the order in which they were found, so that the same misbehaviours make the same clusters. What
    takes long (0.7 s of processor where 2,000 are placed, of which writing is 3 ms) is done while others may write, and
    done again where another one has placed some meanwhile.
    """
    while True:
        with database.read() as session:
            if session.scalar(sql.select(Misbehaviour.id).where(Misbehaviour.cluster.is_(None)).limit(1)) is None:
                return 0
            rows = list(session.scalars(sql.select(Misbehaviour).order_by(Misbehaviour.found, Misbehaviour.id)))
            session.expunge_all()
        plan = _planned(rows)
        with database.write() as session:
            if _holds(session, plan):
                return _carry_out(session, plan, now)


def _planned(rows: Sequence[Misbehaviour]) -> _Plan:
    """All that takes long: what each is made of, where it goes, and what its cluster is called then."""
    kinds: dict[str, Kinds] = {}  # by category
    members: dict[str, list[str]] = {}
    joins: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row.cluster is None):  # those that have one first
        own, parts, to = kinds.setdefault(row.category, Kinds()), parts_of(row), row.cluster
        if to is None:
            nearest = own.nearest(parts)
            to = joins[row.id] = nearest[0] if nearest is not None and nearest[1] >= ALIKE else row.id
        own.add(to, parts)
        members.setdefault(to, []).append(exchange(row))
    return _Plan(joins, _names(members, set(joins.values())))


def _holds(session: Session, plan: _Plan) -> bool:
    """Whether nobody has placed any since it was made: who does, places all that wait, and so the plan's own too."""
    waiting = sql.select(Misbehaviour.id).where(Misbehaviour.cluster.is_(None))
    return plan.joins.keys() <= set(session.scalars(waiting))


def _carry_out(session: Session, plan: _Plan, now: datetime) -> int:
    begun = [id for id, cluster in plan.joins.items() if id == cluster]
    if begun:
        session.execute(sql.insert(Cluster), [{"id": id, "name": plan.names[id], "made": now} for id in begun])
    if grown := plan.names.keys() - set(begun):
        session.execute(sql.update(Cluster), [{"id": id, "name": plan.names[id]} for id in sorted(grown)])
    session.execute(sql.update(Misbehaviour), [{"id": id, "cluster": to} for id, to in plan.joins.items()])
    return len(begun)


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


def _names(members: Mapping[str, Sequence[str]], grown: Iterable[str]) -> dict[str, str]:
    """Names of the clusters that grew; `members`: what was said in each."""
    everywhere = Counter(phrase for texts in members.values() for text in texts for phrase in phrases(text))
    count = sum(map(len, members.values()))
    return {
        id: ", ".join(key_phrases(members[id], everywhere, count)) or members[id][0].strip()[:60] or id[:12]
        for id in grown
    }
