"""Misbehaviours from everywhere into one table: what people and the red team report, failed evaluations, monitors.

Files are JSON Lines. An evaluation, as `corpuscle train evaluate` leaves it in failed.jsonl, and the loop's own in
EVALUATED: {"prompt" or "messages", "answer", "expected" (a text) or "check" (`flywheel.cases`), "id"?, "category"?,
"checkpoint_id"?, "consent"?}; rows that are right are passed over. `flywheel.sampled` has those of traffic.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from flywheel.cases import check_fault, held_out, misbehaviour_id, still_bad
from flywheel.cluster import cluster
from flywheel.config import Config
from flywheel.monitors import NEW_PHRASE, Suspicion, shift, watch
from flywheel.sampled import Exchange, distinct, exchange, files, read, rows, split
from flywheel.tables import Misbehaviour
from labeling.kinds.kind import InvalidSampleError
from labeling.kinds.texts import checked, conversation, prompt
from labeling.masking import mask, mask_json
from labeling.rows import Rejected, Row, read_rows, reject, write_rejected
from labeling.store.database import Database
from labeling.store.reports import CATEGORIES, Report, mask_report, read_reports

Json = dict[str, Any]
Source = Literal["chat", "redteam", "evaluation", "monitor"]

BATCH = 1000
"""Rows in a statement (SQLite takes 32,766 variables)."""

EVALUATED = "evaluated.jsonl"
"""In the loop's folder: the current checkpoint's answers to the general questions, which `flywheel.evaluate` leaves."""

EXAMPLES = 20
"""Answers told of a phrase that is new by itself: as many as a trace of their cluster looks at. A checkpoint that has
learnt to begin each answer in another way would fill the store with them."""

UNUSABLE = "unusable.jsonl"
"""What the last collection could not use: {"place", "reason", "raw"} in each line."""
_LISTED = ("place", "reason", "raw")

_REDTEAM = re.compile(r".+?: (?P<attack>\S+): (?P<kind>leaks|writes|says|complies)(?: (?P<text>.+))?", re.DOTALL)
"""A description by `trainer.redteam.findings`; a successful attack's check."""


@dataclass(frozen=True)
class Found:
    """A misbehaviour as a source tells it; `Misbehaviour` says what the fields mean."""

    source: Source
    source_ref: str
    checkpoint_id: str
    prompt: list[Json]
    answer: str
    category: str
    note: str
    consent: bool
    check: Json | None


@dataclass(frozen=True)
class Collected:
    """What a collection brought."""

    new: dict[str, int]
    """Misbehaviours that were not known, by source."""
    known: int
    """Those that were found again."""
    clusters: int
    """Clusters that began."""
    rejected: tuple[Rejected, ...]
    """Rows and reports that can't be used, and files that can't be read: where, and why."""
    untold: tuple[Rejected, ...] = ()
    """Those of them that the collection before did not meet."""


def collect(database: Database, config: Config, now: datetime) -> Collected:
    """Stores what is new, and puts it into clusters. Again, it changes nothing. Raises StoreError.

    What can't be used is listed in `UNUSABLE` in the loop's folder, so that it is told once. A misbehaviour that was
    found before, or that several suspect, keeps what was said of it first: source, category, check and consent.
    """
    rejected: list[Rejected] = []
    found: list[Found] = []
    for one in _everything(database, config):
        if isinstance(one, Rejected):
            rejected.append(one)
        else:
            found.append(one)
    new = _keep(database, found, config.gate.held_out, now)
    begun = cluster(database, now)
    untold = _list(config.folder / UNUSABLE, rejected)
    return Collected(dict(new), len(found) - new.total(), begun, tuple(rejected), tuple(untold))


def reported(database: Database) -> Iterator[Found | Rejected]:
    """What the chat's users and the red team reported as bad, and nobody dismissed."""
    with database.read() as session:
        for report in read_reports(session):
            found = from_report(report)
            if found is not None:
                yield found


def from_report(report: Report) -> Found | Rejected | None:
    """What a report complains of; None where it complains of nothing, or was dismissed.

    People's words are masked, the red team's are not: a masked attack would be another.
    """
    redteam = report.source == "redteam"
    if report.status == "dismissed" or (report.category is None and report.rating != -1):
        return None
    told = report if redteam or report.masked else mask_report(report)
    try:
        messages = conversation(told.messages, "messages")
        if messages[-1]["role"] != "assistant":
            raise InvalidSampleError("its messages do not end with an answer; expected what it is about last")
        asked, answer = prompt(messages[:-1], "messages before the answer"), messages[-1]["content"]
    except InvalidSampleError as error:
        return Rejected(f"report {report.id}", str(error))
    return Found(
        source="redteam" if redteam else "chat",
        source_ref=report.id,
        checkpoint_id=report.checkpoint_id,
        prompt=asked,
        answer=answer,
        category=told.category or "other",
        note=told.description,
        consent=told.consent,
        # What a user wishes is the user's own, and goes to people with the report: see `flywheel.agreed`.
        check=_attack_check(told, answer) if redteam else None,
    )


def failed(path: Path) -> Iterator[Found | Rejected]:
    """The rows of an evaluation whose answers are wrong.

    Without its own "consent" a question only counts: who trains on the questions of an evaluation spoils it.
    """
    for row in rows(path):
        if isinstance(row, Rejected):
            yield row
            continue
        try:
            one = exchange(row)
            check = row.fields.get("check")
            if check is None:
                check = {"kind": "matches", "answer": checked(row.fields.get("expected"), "expected")}
            category = row.fields.get("category") or "wrong"
            if category not in CATEGORIES:
                raise InvalidSampleError(f"category is {category!r:.60}; expected one of {', '.join(CATEGORIES)}")
            if fault := check_fault(check):
                raise InvalidSampleError(fault)
        except InvalidSampleError as error:
            yield reject(row, error)
            continue
        if still_bad(check, one.prompt, one.answer):
            note = str(row.fields.get("note") or "")
            yield _found("evaluation", one, category, note, check)


def monitored(
    traffic: Iterable[Path],
    reference: Path | None = None,
    newest: str | None = None,
    told: Mapping[str, Set[str]] = MappingProxyType({}),
) -> Iterator[Found | Rejected]:
    """What the monitors suspect in sampled traffic, masked: a leak that is collected would be another.

    Phrases are compared with the `reference`; without one, what the checkpoint `newest` says with what is usual
    (`flywheel.sampled.split`). Of such a phrase EXAMPLES answers are told, those first that were `told` before (ids, by
    phrase), and they have no check: nobody has chosen what is usual, and what the loop has mended is new too, so a case
    that forbids it might forbid the right answer.
    """
    exchanges: list[Exchange] = []
    before: list[Exchange] = []
    for path in traffic:
        yield from _read(path, exchanges)
    if exchanges and reference is not None:
        yield from _read(reference, before)
    for suspicion in watch(distinct(exchanges), distinct(before)):
        yield _suspected(suspicion)
    if reference is None and newest is not None:
        now, usual = split(exchanges, newest)
        found: defaultdict[str, dict[str, Found]] = defaultdict(dict)
        for suspicion in shift(distinct(now), distinct(usual)):
            one = _suspected(replace(suspicion, check=None))
            found[_phrase(one.note)][misbehaviour_id(one.prompt, one.answer)] = one
        for phrase, same in found.items():
            known = told.get(phrase, frozenset())
            further = sorted(same.keys() - known)[: max(0, EXAMPLES - len(known))]
            yield from (same[id] for id in (*sorted(same.keys() & known), *further))


def _everything(database: Database, config: Config) -> Iterator[Found | Rejected]:
    yield from reported(database)
    own = [path for path in (config.folder / EVALUATED,) if path.exists()]
    for path in dict.fromkeys([*own, *config.collect.evaluations]):
        yield from failed(path)
    if traffic := files(config):
        newest = _newest(database)
        yield from monitored(traffic, config.collect.reference, newest, _told(database, newest))


def _newest(database: Database) -> str | None:
    """The checkpoint that people talk to; a canary's, while there is one, beside which the other is what is usual."""
    from flywheel.live import live  # and with it torch, for which a loop without traffic need not wait

    with database.read() as session:
        found = live(session)
        row = found.canary or found.current
        return None if row is None else row.checkpoint_id


def _told(database: Database, checkpoint: str | None) -> dict[str, set[str]]:
    """The answers of a checkpoint that were collected for a new phrase, by phrase."""
    query = sql.select(Misbehaviour.id, Misbehaviour.note).where(
        Misbehaviour.source == "monitor",
        Misbehaviour.source_ref == NEW_PHRASE,
        Misbehaviour.checkpoint_id == checkpoint,
    )
    told: defaultdict[str, set[str]] = defaultdict(set)
    with database.read() as session:
        for id, note in session.execute(query).tuples():
            told[_phrase(note)].add(id)
    return told


def _phrase(note: str) -> str:
    """The phrase that a note of the monitor of phrases quotes, without its counts, which change."""
    return note.partition('": in ')[0]


def _read(path: Path, exchanges: list[Exchange]) -> Iterator[Rejected]:
    """Adds a file's exchanges, and tells of its bad rows."""
    for one in read(path):
        if isinstance(one, Rejected):
            yield one
        else:
            exchanges.append(one)


def _suspected(suspicion: Suspicion) -> Found:
    seen = replace(
        suspicion.exchange, prompt=mask_json(suspicion.exchange.prompt), answer=mask(suspicion.exchange.answer)
    )
    note = f"{suspicion.monitor}: {mask(suspicion.note)} ({seen.ref})"
    return replace(_found("monitor", seen, suspicion.category, note, suspicion.check), source_ref=suspicion.monitor)


def _keep(database: Database, found: Sequence[Found], share: float, now: datetime) -> Counter[str]:
    """Stores those that are not there; how many those were, by source."""
    insert = postgresql.insert if database.dialect == "postgresql" else sqlite.insert
    rows: dict[str, Json] = {}
    for one in found:
        id = misbehaviour_id(one.prompt, one.answer)
        kept = vars(one) | {"id": id, "found": now, "held_out": held_out(one.prompt, share)}
        rows.setdefault(id, kept)
    values = list(rows.values())
    new: Counter[str] = Counter()
    with database.write() as session:
        for start in range(0, len(values), BATCH):
            statement = insert(Misbehaviour).on_conflict_do_nothing(index_elements=["id"])
            added = session.execute(statement.returning(Misbehaviour.source), values[start : start + BATCH])
            new.update(added.scalars())
    return new


def _list(path: Path, rejected: Sequence[Rejected]) -> list[Rejected]:
    """Writes what can't be used, and returns what of it is not in the file yet. Without any, there is no file."""
    known = set()
    if path.exists():
        rows = (row.fields for row in read_rows(path) if isinstance(row, Row))
        known = {tuple(row.get(name) for name in _LISTED) for row in rows}
    listed = [tuple(getattr(one, name) for name in _LISTED) for one in rejected]
    if not rejected:
        path.unlink(missing_ok=True)
    elif set(listed) != known:
        write_rejected(path, rejected)
    return [one for one, values in zip(rejected, listed, strict=True) if values not in known]


def _attack_check(report: Report, answer: str) -> Json | None:
    """The attack's own check, as its description has it, if that tells that this answer is bad.

    What an attack got from a tool's call, or in an earlier turn of the answer, the last text alone does not tell.
    """
    if report.category == "refusal":
        check: Json = {"kind": "answers"}
    elif match := _REDTEAM.fullmatch(report.description):
        met = {match["kind"]: match["text"] or ""}
        check = {"kind": "redteam", "attack": match["attack"], "check": met}
    else:
        return None
    return check if check_fault(check) is None and still_bad(check, [], answer) else None


def _found(source: Source, exchange: Exchange, category: str, note: str, check: Json | None) -> Found:
    return Found(
        source=source,
        source_ref=exchange.ref,
        checkpoint_id=exchange.checkpoint_id,
        prompt=exchange.prompt,
        answer=exchange.answer,
        category=category,
        note=note,
        consent=exchange.consent,
        check=check,
    )
