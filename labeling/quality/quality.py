"""Everything that is said about a project's labels: measured once, for the page and for JSON alike."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import sqlalchemy as sql

from labeling.project import inner_kind
from labeling.quality.admission import Admission, Rule, admit, funnel
from labeling.quality.agreement import ANCHORS, kendall_within, pairwise
from labeling.quality.alpha import Alpha, Level, alpha
from labeling.quality.as_shown import AsShown, as_shown
from labeling.quality.people import Crowd, Person, crowd
from labeling.quality.phrases import Finding
from labeling.quality.rates import Rate, known_share
from labeling.quality.sure import Together, together
from labeling.quality.table import Table
from labeling.quality.together import Help, SecondLook, helped, second_look
from labeling.quality.walk import content_of
from labeling.store.database import Database
from labeling.store.labels import Json, Project, SampleRow, StoredSample, get_project

EXAMPLES = 3
"""Of each finding."""

SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
"""Where the bars of the histogram of times meet; the last one is open."""


@dataclass(frozen=True)
class Agreement:
    """On one scale of the verdicts."""

    scale: str
    level: Level
    pairs: Rate
    """Of two people asked the same; the count is of samples that two or more labelled."""
    alpha: Alpha


@dataclass(frozen=True)
class Histogram:
    name: str
    bars: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Example:
    """A sample of a finding."""

    sample: str
    answers: tuple[str, ...]
    chosen: int
    """By the person who is accused: the number of the answer."""


@dataclass(frozen=True)
class Quality:
    project: Project
    kind: str
    rule: Rule
    samples: int
    gold_samples: int
    labelled: int
    """Samples with a label."""
    twice: int
    """Samples that two people or more labelled."""
    labels: int
    invalid: dict[str, int]
    agreement: tuple[Agreement, ...]
    kendall: Rate | None
    """Of rankings alone."""
    together: tuple[Together, ...]
    grades: tuple[Histogram, ...]
    seconds: Histogram
    gold: Rate
    as_shown: AsShown
    people: tuple[Person, ...]
    findings: tuple[Finding, ...]
    examples: tuple[tuple[Example, ...], ...]
    """Of each finding."""
    tested: int
    funnel: dict[str, dict[str, int]]
    helped: tuple[Help, ...]
    second_looks: tuple[SecondLook, ...]

    def json(self) -> Json:
        """What the page shows, with null for what is not measurable."""
        project = {name: getattr(self.project, name) for name in ("name", "instruction_version", "overlap", "reviews")}
        values = {name: value for name, value in vars(self).items() if name not in ("project", "rule", "people")}
        found = {name: _plain(value) for name, value in values.items()}
        for finding, one in zip(found["findings"], self.findings, strict=True):
            finding["person"] = self.people[one.person].name
        rule = {**asdict(self.rule), "excluded_flags": sorted(self.rule.excluded_flags)}
        anchors = [{"who": who, "value": value, "standard_error": error} for who, value, error in ANCHORS]
        people = [_plain(person) for person in self.people]
        return {"project": project, "rule": rule, "anchors": anchors, **found, "people": people}


def measure_quality(database: Database, project: str, rule: Rule | None = None) -> Quality:
    """Raises KeyError for no such project."""
    found = get_project(database, project)
    kind = inner_kind(database, found)
    rule = rule or Rule.of(kind)
    measured = crowd(database, project)
    table = measured.table
    per_sample = np.bincount(table.sample, minlength=len(table.samples))
    admissions: Iterable[Admission] = admit(database, project, rule, measured.people)
    mixed = any(0 < count < len(table.samples) for count in table.helped.values())
    invalid: Counter[str] = sum(table.invalid.values(), Counter())
    return Quality(
        project=found,
        kind=kind,
        rule=rule,
        samples=len(table.samples),
        gold_samples=int(table.gold_samples.sum()),
        labelled=int((per_sample > 0).sum()),
        twice=int((per_sample > 1).sum()),
        labels=len(table.sample),
        invalid=dict(invalid.most_common()),
        agreement=(*_agreement(table), *_without_flagged(measured)),
        kendall=_kendall(table) if kind == "rankings" else None,
        together=together(table),
        grades=_grades(table),
        seconds=_seconds(table),
        gold=known_share(table.right),
        as_shown=as_shown(table, np.arange(len(table.sample))),
        people=tuple(measured.people.values()),
        findings=measured.findings,
        examples=_examples(database, project, measured),
        tested=measured.tested,
        funnel=funnel(admissions),
        helped=tuple(helped(database, project)) if mixed else (),
        second_looks=tuple(second_look(database, project)),
    )


def _agreement(table: Table) -> tuple[Agreement, ...]:
    kept = table.measured
    if table.kind == "rankings":
        return _ranked(table)
    found = []
    for column, scale in enumerate(table.scales):
        units, values = table.sample[kept], table.values[kept, column]
        found.append(Agreement(scale.name, scale.level, pairwise(units, values), alpha(units, values, scale.level)))
    return tuple(found)


def _without_flagged(measured: Crowd) -> tuple[Agreement, ...]:
    """What the first scale's agreement would be without the labels of people who are flagged."""
    table = measured.table
    flagged = {place for place, name in enumerate(table.people) if measured.people[name].flags}
    if not flagged:
        return ()
    rows = np.flatnonzero(~np.isin(table.person, list(flagged)))
    columns = {name: getattr(table, name)[rows] for name in ("sample", "person", "values")}
    kept = replace(table, **columns, ranks=[table.ranks[row] for row in rows.tolist()])
    return tuple(replace(one, scale=f"{one.scale}, without the flagged") for one in _agreement(kept)[:1])


def _ranked(table: Table) -> tuple[Agreement, ...]:
    """Of rankings: pairs of answers that two people put in the same order; alpha of the ranks, answer by answer."""
    tau = _kendall(table)
    pairs = Rate((tau.value + 1) / 2, tau.count, (tau.low + 1) / 2, (tau.high + 1) / 2)
    units: list[int] = []
    ranks: list[int] = []
    for row in np.flatnonzero(table.measured):
        order = table.ranks[row]
        units += [int(table.sample[row]) * 16 + answer for answer in range(len(order))]
        ranks += order
    return (Agreement("order", "ordinal", pairs, alpha(units, ranks, "ordinal")),)


def _kendall(table: Table) -> Rate:
    rows = np.flatnonzero(table.measured)
    return kendall_within(table.sample[rows], [table.ranks[row] for row in rows])


def _grades(table: Table) -> tuple[Histogram, ...]:
    found = []
    for column, scale in enumerate(table.scales):
        known = table.values[:, column]
        counts = np.bincount(known[~np.isnan(known)].astype(np.int64), minlength=len(scale.values))
        found.append(Histogram(scale.name, tuple(zip(scale.values, counts.tolist(), strict=True))))
    return tuple(found)


def _seconds(table: Table) -> Histogram:
    known = table.seconds[~np.isnan(table.seconds)]
    counts = np.bincount(np.searchsorted(SECONDS, known, "right"), minlength=len(SECONDS) + 1)
    names = [f"< {_time(SECONDS[0])}", *(_time(second) for second in SECONDS)]
    return Histogram("seconds", tuple(zip(names, counts.tolist(), strict=True)))


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"


def _examples(database: Database, project: str, measured: Crowd) -> tuple[tuple[Example, ...], ...]:
    table = measured.table
    return tuple(
        tuple(
            _example(one, finding.person, table)
            for one in _samples(
                database, project, [table.samples[place] for place in islice(finding.samples, EXAMPLES)]
            )
        )
        for finding in measured.findings
    )


def _samples(database: Database, project: str, ids: list[str]) -> list[StoredSample]:
    query = sql.select(SampleRow).where(SampleRow.project == project, SampleRow.id.in_(ids)).order_by(SampleRow.id)
    with database.read() as session:
        return [
            StoredSample(**{name: getattr(row, name) for name in StoredSample.__dataclass_fields__})
            for row in session.scalars(query)
        ]


def _example(sample: StoredSample, person: int, table: Table) -> Example:
    place = table.samples.index(sample.id)
    rows = np.flatnonzero((table.sample == place) & (table.person == person))
    order = next(table.ranks[row] for row in rows if table.ranks[row])
    answers = tuple(str(answer["text"]) for answer in content_of(sample)["answers"])
    return Example(sample.id, answers, order.index(1))


def _plain(value: Any) -> Any:
    """As JSON can hold it: null for NaN, objects for dataclasses."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
