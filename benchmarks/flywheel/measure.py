"""What is read off a loop's store, and off a checkpoint that the examiner asks: rates with Wilson's 95% intervals."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import sqlalchemy as sql

from benchmarks.flywheel.model import Assistant
from benchmarks.flywheel.rounds import Loop
from benchmarks.flywheel.texts import USERS_WORDINGS, Question, questions
from flywheel.label import RULE
from flywheel.tables import Cluster, Correction, Dataset, Misbehaviour, Run, Verdict
from labeling.kinds.kind import Json
from labeling.quality.admission import admit, funnel
from trainer.measure.agreement import wilson


def rate(bad: Sequence[bool]) -> Json:
    low, high = wilson(sum(bad), len(bad)) if bad else (0.0, 1.0)
    return {"bad": sum(bad), "of": len(bad), "rate": sum(bad) / len(bad) if bad else None, "low": low, "high": high}


def examine(assistant: Assistant, topics: Sequence[str], count: int) -> dict[str, Json]:
    """Each topic's failure rate on questions that nobody else asks; `new wordings` of ways to ask that no user has."""
    found = {}
    for name in topics:
        answered = assistant.answer(questions(name, "examiner", count))
        new = [not one.right for one in answered if one.question.wording >= USERS_WORDINGS]
        found[name] = rate([not one.right for one in answered]) | {"new wordings": rate(new)}
    return found


def clusters(loop: Loop, known: Mapping[str, Question]) -> dict[str, Json]:
    """By cluster: its name, the topics of its misbehaviours, how many of them are cases, and how they were found."""
    found: dict[str, Json] = {}
    with loop.database.read() as session:
        topics: defaultdict[str, Counter[str]] = defaultdict(Counter)
        sources: defaultdict[str, Counter[str]] = defaultdict(Counter)
        cases: Counter[str] = Counter()
        for row in session.scalars(sql.select(Misbehaviour).where(Misbehaviour.cluster.is_not(None))):
            id = str(row.cluster)
            question = known.get(row.prompt[-1]["content"])
            topics[id][question.topic if question else "?"] += 1
            sources[id][row.source] += 1
            cases[id] += row.held_out
        for cluster in session.scalars(sql.select(Cluster)):
            found[cluster.id] = {
                "name": cluster.name,
                "topic": topics[cluster.id].most_common(1)[0][0],
                "topics": dict(topics[cluster.id]),
                "found": topics[cluster.id].total(),
                "held out": cases[cluster.id],
                "by": dict(sources[cluster.id]),
            }
    return found


def newest_verdict(loop: Loop) -> Json:
    """The last run: its corrections, and what the gate said."""
    with loop.database.read() as session:
        row = session.execute(
            sql.select(Verdict, Run, Dataset)
            .join(Run, Run.id == Verdict.run)
            .join(Dataset, Dataset.id == Run.dataset)
            .order_by(Verdict.made.desc(), Verdict.id)
            .limit(1)
        ).first()
        if row is None:
            return {"passed": None, "reason": "nothing was trained", "groups": []}
        verdict, run, dataset = row.tuple()
        return {
            "run": run.id,
            "state": run.state,
            "corrections": len(dataset.corrections),
            "replayed": dataset.replay,
            "passed": verdict.passed,
            "reason": verdict.reason,
            "groups": verdict.figures["groups"],
        }


def corrections(loop: Loop) -> Json:
    """How many count, and how many were refused, by reason."""
    with loop.database.read() as session:
        rows = list(session.scalars(sql.select(Correction.refused)))
    return {"count": rows.count(None), "refused": dict(Counter(one for one in rows if one is not None))}


def admission(loop: Loop) -> Json:
    """What the labels' rule admits of the project, and why it refuses the others: counts by reason."""
    return funnel(admit(loop.database, loop.config.label.project, RULE))
