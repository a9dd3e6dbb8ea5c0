"""Misbehaviours to people, and what people answered back: samples of `corrections`, and admitted ones as corrections.

A sample carries the misbehaviour's id in its provenance. What comes back passes the labels' rule for admission
(`labeling.quality.admission`) and the search for poison (`flywheel.screen`) before it counts.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.agreed import WITHDRAWN, Admitted, Agreed, from_labels, keep
from flywheel.cases import normal
from flywheel.config import Config
from flywheel.gate_cases import DISMISSED
from flywheel.tables import Correction, Json, Misbehaviour
from labeling.client import Client
from labeling.create import create
from labeling.drafts import Drafter, DraftError, Endpoint, Messages, NoAnswer
from labeling.kinds import KINDS
from labeling.kinds.kind import Draft, InvalidSampleError, Kind, Sample
from labeling.masking import mask
from labeling.pull import Pulled, pull
from labeling.push import Pushed, push
from labeling.quality.admission import Admission, Rule, admit
from labeling.quality.people import STRAIGHT_LINING
from labeling.rows import Rejected
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.reports import ReportRow
from pipeline.report.numbers import plural

KIND = "corrections"

RULE = replace(Rule.of(KIND), excluded_flags=Rule.of(KIND).excluded_flags - {STRAIGHT_LINING})
"""Which labels count. Tasks come cluster by cluster, and within one the right button is the same again and again: who
presses it in a row has no habit of it. With the labels' own rule, 78 of 127 corrections of three honest people were
withdrawn in the third round."""

_log = logging.getLogger(__name__)

_TO_ASK = (
    Misbehaviour.cluster.is_not(None),
    Misbehaviour.consent,
    sql.not_(DISMISSED),
    sql.or_(sql.not_(Misbehaviour.held_out), Misbehaviour.check.is_(None)),
)
"""What people are asked about."""


@dataclass(frozen=True)
class Sent:
    """What a call of `send` did. `noted` misbehaviours have a sample now that had none."""

    noted: int
    pushed: Pushed


@dataclass(frozen=True)
class Waits:
    """How many misbehaviours there are of a sort, and since when the first of them is known."""

    count: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True)
class Answers:
    """What misbehaviours wait for that people are to be asked about; what is corrected or can be checked is in none."""

    unsent: Waits
    """To be sent."""
    unanswered: Waits
    """For people: fewer labels that count than the rule asks for."""
    disagreed: Waits
    """For a reviewer: people said different things, or reviewers did."""
    settled: Waits
    """For nobody: people agree that there is no problem, or on the answer that was reported."""


def send(database: Database, client: Client, config: Config) -> Sent:
    """Asks people what should have been said, with a draft by the model at `label.draft_url` where there is one.

    Sent is what belongs to a cluster, with its author's consent, and was not sent before; of held-out cases those that
    no machine can check yet, so all that users of the chat report. Larger clusters come first. A model that can't be
    asked holds up nobody: what it has not drafted is sent without. Whatever stops it, the same call goes on, and sends
    nothing twice. Raises what `labeling.create` and `labeling.push` raise.
    """
    project = config.label.project
    create(database, client, KIND, project)
    kind = KINDS[KIND]
    samples: dict[str, str] = {}
    pushed = _push(database, client, config, _samples(database, kind, samples))
    # The store has every sample that was given, though Label Studio refused some: what it refused has none.
    refused = {provenance.get("misbehaviour") for provenance, _ in pushed.refused}
    noted = {id: sample for id, sample in samples.items() if id not in refused}
    with database.write() as session:
        for id, sample in noted.items():
            session.execute(sql.update(Misbehaviour).where(Misbehaviour.id == id).values(sample=sample))
    return Sent(len(noted), pushed)


class _Willing(Drafter):
    """A drafter that drafts as long as it can: when it has failed, none of the further samples has a draft."""

    failure = ""

    def answers(self, conversations: Sequence[Messages], seed: int = 0) -> list[Draft | NoAnswer]:
        if not self.failure:
            try:
                return super().answers(conversations, seed)
            except DraftError as error:
                self.failure = str(error)
        return [NoAnswer(self.failure, failed=True) for _ in conversations]


def _push(database: Database, client: Client, config: Config, samples: Iterator[Sample | Rejected]) -> Pushed:
    """Sends the samples, with drafts as long as there is somebody who drafts; says why there is nobody."""
    project, url = config.label.project, config.label.draft_url
    if url is None:
        return push(database, client, project, samples)
    try:
        drafter = _Willing(Endpoint(Endpoint.parse(url).url, config.label.draft_model))
    except DraftError as error:
        pushed, failure = push(database, client, project, samples), str(error)
        pushed.undrafted[failure] += pushed.pushed
    else:
        with drafter:
            pushed, failure = push(database, client, project, samples, drafter), drafter.failure
    if pushed.undrafted[failure]:
        _log.warning("label: %s sent without a draft: %s", plural(pushed.undrafted[failure], "sample"), failure)
    return pushed


def fetch(database: Database, client: Client, config: Config) -> Pulled:
    """What people have said since the last time, into the store. Raises what `labeling.pull` raises."""
    return pull(database, client, config.label.project)


def admitted(database: Database, config: Config, now: datetime) -> Admitted:
    """Turns what people agree on into corrections of what is trained on, and into checks of held-out cases.

    "No problem" corrects nothing, and no more does an answer that is the reported one again. A correction counts, and
    a check of people's stands, as long as the labels say so; the search for poison looks at all that count whenever
    there is a new one.
    """
    project = config.label.project
    try:
        judged = list(admit(database, project, RULE))
    except KeyError:  # nothing was sent yet
        judged = []
    agreed: dict[str, Agreed] = {}
    with database.read() as session:
        bad_ones = _by_sample(session)
        of_project = sql.select(Correction).where(Correction.project == project)
        known = {row.id: row.refused for row in session.scalars(of_project)}
        session.expunge_all()
    for one in judged:
        verdict = one.verdict or {}
        for bad in bad_ones.get(one.sample.id, ()) if one.admitted else ():
            answer = _right(one, bad)
            if answer is None or (bad.held_out and not from_labels(bad)):
                continue
            id = correction_id(bad.id, answer)
            correction = Correction(
                id=id,
                misbehaviour=bad.id,
                project=project,
                annotations=list(one.annotations),
                answer=answer,
                category=verdict["category"],
                refusal=verdict["refusal"],
                weight=one.weight,
                admitted=now,
                refused=None,
            )
            agreed[id] = Agreed(bad, correction)
    return keep(database, agreed, known, {one.sample.id for one in judged})


def waiting(database: Database, config: Config) -> Answers:
    """What people still have to say, by what they have said; it costs as much as `admitted`."""
    try:
        judged = {one.sample.id: one for one in admit(database, config.label.project, RULE)}
    except KeyError:  # nothing was sent yet
        judged = {}
    found: dict[str, list[datetime]] = {field.name: [] for field in fields(Answers)}
    with database.read() as session:
        stands = sql.or_(Correction.refused.is_(None), Correction.refused != WITHDRAWN)
        corrected = set(session.scalars(sql.select(Correction.misbehaviour).where(stands)))
        for bad in session.scalars(sql.select(Misbehaviour).where(*_TO_ASK)):
            state = None if bad.id in corrected else _state(bad, judged.get(bad.sample or ""))
            if state is not None:
                found[state].append(bad.found)
    return Answers(**{name: Waits(len(times), min(times, default=None)) for name, times in found.items()})


def _state(bad: Misbehaviour, judged: Admission | None) -> str | None:
    """Which of `Answers` it is in; None for what people corrected just now."""
    if bad.sample is None:
        return "unsent"
    if judged is None:
        return "unanswered"
    if judged.admitted:
        return None if _right(judged, bad) else "settled"
    return "disagreed" if "disagree" in judged.reason else "unanswered"  # people, or reviewers


def _right(judged: Admission, bad: Misbehaviour) -> str | None:
    """The answer that people agree on; None where that is none, or the reported one again."""
    answer: str | None = (judged.verdict or {}).get("answer")
    return None if answer is None or normal(answer) == normal(bad.answer) else answer


def correction_id(misbehaviour: str, answer: str) -> str:
    """SHA-256, in hexadecimal, of the misbehaviour's id, a line's end, and the answer."""
    return hashlib.sha256(f"{misbehaviour}\n{answer}".encode()).hexdigest()


def _samples(database: Database, kind: Kind, samples: dict[str, str]) -> Iterator[Sample | Rejected]:
    """Each misbehaviour that is to be sent, as a sample, whose id is noted in `samples`."""
    query = (
        sql.select(Misbehaviour)
        .where(*_TO_ASK, Misbehaviour.sample.is_(None))
        .order_by(Misbehaviour.found, Misbehaviour.id)
    )
    size = sql.select(Misbehaviour.cluster, sql.func.count()).group_by(Misbehaviour.cluster)
    with database.read() as session:
        sizes = {cluster: float(count) for cluster, count in session.execute(size)}
        waiting = [(row, _wished(session, row)) for row in session.scalars(query)]
        session.expunge_all()
    for row, wished in waiting:
        report = {"category": row.category, "description": row.note, "wished_answer": wished}
        messages = [*row.prompt, {"role": "assistant", "content": row.answer}]
        content: Json = {"messages": messages, "report": report, "priority": sizes[row.cluster]}
        provenance: Json = {"misbehaviour": row.id, "source": row.source, "source_ref": row.source_ref}
        try:
            sample = make_sample(kind, content, provenance | {"checkpoint_id": row.checkpoint_id})
        except InvalidSampleError as error:
            yield Rejected(f"misbehaviour {row.id}", str(error))
            continue
        samples[row.id] = sample.id
        yield sample


def _wished(session: Session, row: Misbehaviour) -> str | None:
    """What the author of a report would have liked to read, masked; None where nobody said."""
    report = session.get(ReportRow, row.source_ref) if row.source == "chat" else None
    if report is None or report.wished_answer is None:
        return None
    return report.wished_answer if report.masked else mask(report.wished_answer)


def _by_sample(session: Session) -> dict[str, list[Misbehaviour]]:
    found: dict[str, list[Misbehaviour]] = {}
    for row in session.scalars(sql.select(Misbehaviour).where(Misbehaviour.sample.is_not(None))):
        found.setdefault(row.sample or "", []).append(row)
    return found
