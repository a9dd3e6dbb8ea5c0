"""A loop in a store: rows as its steps leave them, of one round from three reports to a promoted checkpoint."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flywheel.tables import Cluster, Correction, Dataset, Decision, Misbehaviour, Promotion, Run, Verdict
from labeling.quality.simulate import annotation, project, stored
from labeling.store.database import Database
from labeling.store.labels import add_project, add_samples, put_annotations
from labeling.store.reports import Report, add_report

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUESTIONS = ("How do I boil an egg?", "How do I fry an egg?", "How do I poach an egg?")
ANSWER = "I can't talk about eggs."


def report(number: int) -> str:
    return f"00000000-0000-4000-8000-00000000000{number}"


def misbehaviour(id: str, **more: Any) -> Misbehaviour:
    values: dict[str, Any] = {
        "found": NOW - 3 * DAY,
        "source": "chat",
        "source_ref": report(0),
        "checkpoint_id": "c0" * 32,
        "prompt": [{"role": "user", "content": QUESTIONS[0]}],
        "answer": ANSWER,
        "category": "refusal",
        "note": "",
        "consent": True,
        "check": None,
        "cluster": None,
        "held_out": False,
        "sample": None,
    }
    return Misbehaviour(id=id, **values | more)


def run_of(id: str, dataset: str, decision: int, **more: Any) -> Run:
    values: dict[str, Any] = {
        "base": "models/first",
        "path": f"models/{id[:6]}",
        "checkpoint_id": None,
        "began": NOW - 2 * HOUR,
        "ended": None,
        "state": "training",
        "note": "",
    }
    return Run(id=id, dataset=dataset, decision=decision, **values | more)


def add_round(database: Database) -> None:
    """Reports 0 and 1 are corrected, 2 is held out; the corrections make dataset d, run e, checkpoint f, verdict, and
    promotion 1."""
    asked = [[{"role": "user", "content": question}] for question in QUESTIONS]
    for number, prompt in enumerate(asked):
        messages = [*prompt, {"role": "assistant", "content": ANSWER}]
        told = Report("c0" * 32, messages, "refusal", "it should know eggs", consent=True, id=report(number))
        add_report(database, told)
    add_project(database, project("corrections", "corrections", 1))
    samples = [
        stored("corrections", {"messages": one}, task_id=n + 7, sent=NOW - DAY) for n, one in enumerate(asked[:2])
    ]
    add_samples(database, "corrections", samples)
    with database.write() as session:
        said = [annotation(n, sample.id, "amber", {"answer": "In hot water."}) for n, sample in enumerate(samples)]
        put_annotations(session, "corrections", said)
        session.add(Cluster(id="a0" * 32, name="eggs", made=NOW - 3 * DAY))
        session.flush()
        for number, prompt in enumerate(asked):
            sample = samples[number].id if number < 2 else None
            more: dict[str, Any] = {"source_ref": report(number), "prompt": prompt, "sample": sample}
            if number == 2:
                more |= {"held_out": True, "check": {"kind": "answers"}}
            session.add(misbehaviour(f"a{number}" * 32, cluster="a0" * 32, **more))
        session.flush()
        for number in range(2):
            session.add(
                Correction(
                    id=f"b{number}" * 32,
                    misbehaviour=f"a{number}" * 32,
                    project="corrections",
                    annotations=[number],
                    answer="In hot water.",
                    category="refusal",
                    refusal="",
                    weight=1.0,
                    admitted=NOW - 5 * HOUR,
                    refused=None,
                )
            )
        session.add(Decision(id=1, made=NOW - 4 * HOUR, retrain=True, reason="2 new corrections", counts={"new": 2}))
        both = ["b0" * 32, "b1" * 32]
        session.add(Dataset(id="d0" * 32, made=NOW - 3 * HOUR, path="datasets/d0.jsonl", corrections=both, replay=2))
        session.flush()
        done = {"checkpoint_id": "f0" * 32, "state": "promoted", "ended": NOW - HOUR}
        session.add(run_of("e0" * 32, "d0" * 32, 1, **done))
        session.flush()
        session.add(
            Verdict(
                id="v0" * 32,
                run="e0" * 32,
                made=NOW - HOUR,
                passed=True,
                reason="eggs improved",
                figures={},
                page="verdicts/e0.html",
            )
        )
        session.flush()
        session.add(promotion(1, "f0" * 32, "v0" * 32))


def promotion(id: int, checkpoint: str, verdict: str | None, action: str = "promote") -> Promotion:
    return Promotion(
        id=id,
        made=NOW - HOUR,
        action=action,
        path=f"models/{checkpoint[:6]}",
        checkpoint_id=checkpoint,
        previous=None,
        verdict=verdict,
        reason="passed the gate" if verdict else "worse than before",
    )
