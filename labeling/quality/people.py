"""Each person of a project: how far their labels can be trusted, and what about them is not right.

A flag needs a clear case: an interval that leaves chance out, or a p that holds over all people. Below MINIMUM cases
nothing is said of anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import bdtr, bdtrc

from labeling.quality.as_shown import AsShown, as_shown
from labeling.quality.duels import Duels, duels, leanings, with_majority
from labeling.quality.phrases import Finding, find_phrases
from labeling.quality.rates import MINIMUM, Floats, Rate, known_share
from labeling.quality.runs import Run, longest_run
from labeling.quality.speed import fastest, floor_seconds
from labeling.quality.table import COMPARED, Table, read_table
from labeling.store.database import Database

BELOW_CHANCE = "against the others"
PHRASE = "chooses by a phrase"
SPEEDING = "too fast"
STRAIGHT_LINING = "one button"
POSITION = "one side"

LEVEL = 0.01
"""Of a project of honest people, the chance that any gets the flag; p is corrected for the number of people."""

BIASED = 0.1
"""How far from chance the whole interval of the share of first answers must be: of two, above 60% or below 40%."""

HASTY = 0.1
"""Share of labels given faster than they can be read, which the interval must be above: people do misclick."""

LEAST_RUN = 10
"""Equal presses from which one may speak of a row."""


@dataclass(frozen=True)
class Flag:
    """What is wrong, and the figures that say so."""

    name: str
    evidence: str


@dataclass(frozen=True)
class Person:
    name: str
    """The pseudonym."""
    labels: int
    """With a verdict; `invalid` are the others, by reason."""
    invalid: Mapping[str, int]
    seconds: float
    """Median; NaN where no time is known."""
    gold: Rate
    """Accuracy on gold questions."""
    agreement: Rate
    """How often they choose as most others do, of those asked the same."""
    as_shown: AsShown
    distance: float
    """Median distance from the draft; NaN without drafts."""
    too_fast: Rate
    """Labels faster than their task can be read."""
    fastest: Rate
    """Labels among the fastest 5% of the project."""
    run: Run
    button: str
    """Of the longest run."""
    flags: tuple[Flag, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether anything can be said."""
        return self.labels >= MINIMUM


@dataclass(frozen=True)
class Crowd:
    """Everybody, and what was measured on the way."""

    people: dict[str, Person]
    table: Table
    duels: Duels
    findings: tuple[Finding, ...]
    tested: int
    """Pairs of person and phrase."""


def people(database: Database, project: str) -> dict[str, Person]:
    """By pseudonym. Raises KeyError for no such project."""
    return crowd(database, project).people


def crowd(database: Database, project: str) -> Crowd:
    """Measures everybody. Raises KeyError for no such project."""
    table = read_table(database, project)
    found = duels(table.sample, table.person, table.ranks)
    findings, tested = find_phrases(_witnesses(table, found), table.texts, table.shown)
    if not len(found):
        found = leanings(table.sample, table.person, table.leaning)
    everyone = measure(table, found, findings)
    return Crowd({one.name: one for one in everyone}, table, found, tuple(findings), tested)


def _witnesses(table: Table, found: Duels) -> Duels:
    """The choices without those of people who choose against the others.

    What most people choose foretells what one will. Somebody who turns choices round takes that away, and then whoever
    prefers what makes an answer good ("I can't" is seldom in one) seems to follow a phrase: one of five was enough to
    have three honest people accused.
    """
    with_others = with_majority(found, len(table.sample))
    everybody = range(len(table.people))
    against = {one for one in everybody if _against(known_share(with_others[table.person == one]), len(table.people))}
    if not against:
        return found
    told = zip(table.person.tolist(), table.ranks, strict=True)
    return duels(table.sample, table.person, [() if person in against else ranks for person, ranks in told])


def measure(table: Table, found: Duels, findings: list[Finding]) -> list[Person]:
    """Everybody, in the order of the table."""
    with_others = with_majority(found, len(table.sample))
    hasty = np.where(np.isnan(table.seconds), np.nan, table.seconds < floor_seconds(table.characters))
    quick = fastest(table.seconds, table.characters)
    presses = np.bincount(table.button, minlength=len(table.buttons)).astype(np.float64)
    result = []
    for number, name in enumerate(table.people):
        mine = np.flatnonzero(table.person == number)
        mine = mine[np.argsort(table.created[mine], kind="stable")]
        run, button = _run(table, mine, presses)
        person = Person(
            name=name,
            labels=len(mine),
            invalid=dict(table.invalid.get(name, {})),
            seconds=_median(table.seconds[mine]),
            gold=known_share(table.right[mine]),
            agreement=known_share(with_others[mine]),
            as_shown=as_shown(table, mine),
            distance=_median(table.distance[mine]),
            too_fast=known_share(hasty[mine]),
            fastest=known_share(quick[mine]),
            run=run,
            button=button,
        )
        flags = _flags(person, len(table.people), [one for one in findings if one.person == number])
        result.append(Person(**{**vars(person), "flags": flags}))
    return result


def _flags(person: Person, people: int, findings: list[Finding]) -> tuple[Flag, ...]:
    flags = []
    if _against(person.agreement, people):
        flags.append(Flag(BELOW_CHANCE, f"with most others in {person.agreement}; a coin would be in half"))
    for finding in findings:
        way = "chosen" if finding.prefers else "chosen only"
        evidence = (
            f"“{finding.phrase}”: {way} {finding.chosen} of {finding.cases} times, {finding.expected:.1f} expected"
        )
        flags.append(Flag(PHRASE, evidence))
    if person.too_fast.enough and person.too_fast.low > HASTY:
        flags.append(Flag(SPEEDING, f"faster than the task can be read in {person.too_fast}"))
    if person.run.length >= LEAST_RUN and person.enough and person.run.p * people <= LEVEL:
        evidence = f"“{person.button}” {person.run.length} times running (p = {person.run.p:.1g})"
        flags.append(Flag(STRAIGHT_LINING, evidence))
    if _goes_by_place(person.as_shown, people):
        first, chance = person.as_shown.first, person.as_shown.first_chance
        what = "the answer shown first ranked best" if person.as_shown.order.count else "the answer shown on the left"
        flags.append(Flag(POSITION, f"{what} in {first}; by chance in {chance:.0%}"))
    return tuple(flags)


def _goes_by_place(found: AsShown, people: int) -> bool:
    """Whether somebody likes what stands first too often or too seldom, and not by chance.

    Where tasks show different numbers of answers, tails by the mean chance are too wide, never too narrow
    (Hoeffding 1956).
    """
    first, chance = found.first, found.first_chance
    if not first.enough or (chance - BIASED <= first.high and first.low <= chance + BIASED):
        return False
    # The interval alone would accuse an honest person of 20 choices once in 400 times: with a hundred people, often.
    times = round(first.value * first.count)
    tail = min(bdtr(times, first.count, chance), bdtrc(times - 1, first.count, chance))
    return bool(2 * tail * people <= LEVEL)


def _against(agreement: Rate, people: int) -> bool:
    """Whether somebody is with most others less often than a coin would be, and not by chance."""
    if not agreement.enough:
        return False
    agreeing = round(agreement.value * agreement.count)
    return float(bdtr(agreeing, agreement.count, 0.5)) * people <= LEVEL


def _run(table: Table, mine: np.ndarray, presses: Floats) -> tuple[Run, str]:
    pressed = table.button[mine]
    # What the others press is chance; alone, one's own habits would excuse themselves. One press more of each button
    # than there were, since what nobody else has pressed is not impossible.
    others = presses - np.bincount(pressed, minlength=len(presses))
    run = longest_run(pressed.tolist(), (others + 1) / (others + 1).sum())
    # Sides and orders are drawn by lot, documents are not: where nine in ten are poison, one reviewer says so in long
    # runs, and where nobody else has pressed anything, nothing says that this is a habit.
    if table.kind not in COMPARED and others.sum() < MINIMUM:
        run = replace(run, p=1.0)
    return run, table.buttons[run.button] if run.length else ""


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
