"""People with a model's help and without: how long they take, and how far they agree.

Compared are the samples of one project that had the help and those that had not, and the first and the second look of
the same person at the same sample. Whoever pushed the samples decided which got help: without drawing by lot, the two
groups may differ in more than that.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from labeling.kinds import KINDS
from labeling.project import inner_kind
from labeling.quality.merge import said
from labeling.quality.rates import ROUNDS, Floats, Rate, mean, share
from labeling.quality.walk import content_of, labelled, second_looks
from labeling.store.database import Database
from labeling.store.labels import Annotation, Json, StoredSample, get_project

CHOICES = ("a", "b", "both_bad")
"""Opinions that a choice can follow; others are words."""

HELP = ("draft", "critiques")
"""What a sample may be shown with."""


@dataclass(frozen=True)
class Median:
    """Seconds for a label: the median with a bootstrap interval, over labels whose time is known."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Side:
    samples: int
    labels: int
    seconds: Median
    agreement: Rate
    """Of pairs of people asked the same; NaN where nothing was labelled twice."""


@dataclass(frozen=True)
class Help:
    """One kind of help: both groups."""

    name: str
    with_it: Side
    without: Side


@dataclass(frozen=True)
class SecondLook:
    """The same people on the same samples, before and after they saw a model's opinion."""

    project: str
    pairs: int
    agreed_before: Rate
    """How often a person's own choice was the model's."""
    agreed_after: Rate
    alike_before: Rate
    """Of pairs of people who both looked at a sample twice, how many said the same; NaN where there are none."""
    alike_after: Rate
    """How many of the same pairs then said the same."""
    followed: Rate
    """Of those who had not chosen as the model did, how many then did."""
    left: Rate
    """Of those who had, how many then did not."""
    seconds_before: Median
    seconds_after: Median


def helped(database: Database, project: str) -> list[Help]:
    """One for each kind of help that some samples had and some had not."""
    same = KINDS[inner_kind(database, get_project(database, project))].same
    groups: dict[str, tuple[_Group, _Group]] = {name: (_Group(same), _Group(same)) for name in HELP}
    with database.read() as session:
        for sample, annotations in labelled(session, project):
            valid = [one for one in annotations if one.verdict is not None]
            if valid and sample.gold is None:
                for name in HELP:
                    groups[name][not has_help(sample, name)].add(valid)
    return [
        Help(name, given.side(), withheld.side())
        for name, (given, withheld) in groups.items()
        if given.samples and withheld.samples
    ]


def second_look(database: Database, project: str) -> list[SecondLook]:
    """One for each project in which people were asked again with a model's opinion beside it."""
    return [_second_look(database, project, again.name) for again in second_looks(database, project)]


class _Group:
    def __init__(self, same: Callable[[Json, Json], bool]) -> None:
        self.same = same
        self.samples = 0
        self.labels = 0
        self.seconds: list[float] = []
        self.shares: list[float] = []

    def add(self, said: list[Annotation]) -> None:
        self.samples += 1
        self.labels += len(said)
        self.seconds += [one.seconds for one in said if one.seconds is not None]
        verdicts = [one.verdict for one in said if one.verdict is not None]
        pairs = [self.same(one, other) for place, one in enumerate(verdicts) for other in verdicts[:place]]
        if pairs:
            self.shares.append(sum(pairs) / len(pairs))

    def side(self) -> Side:
        return Side(self.samples, self.labels, median(self.seconds), mean(self.shares))


def has_help(sample: StoredSample, name: str) -> bool:
    """Whether a sample was shown with one of HELP."""
    return sample.draft is not None if name == "draft" else bool(content_of(sample).get(name))


def _second_look(database: Database, project: str, again: str) -> SecondLook:
    same = KINDS[inner_kind(database, get_project(database, project))].same
    first: dict[tuple[bytes, str], Annotation] = {}
    before, after = _Group(same), _Group(same)
    chosen: list[tuple[str, str, str]] = []
    with database.read() as session:
        for sample, annotations in labelled(session, project):
            first |= {(_question(sample), one.annotator): one for one in annotations if one.verdict is not None}
        for sample, annotations in labelled(session, again):
            opinion, question = content_of(sample).get("opinion"), _question(sample)
            then = {one.annotator: one for one in annotations if one.verdict is not None}
            twice = [(first[question, who], one) for who, one in then.items() if (question, who) in first]
            if opinion not in CHOICES or not twice:
                continue
            before.add([one for one, _ in twice])
            after.add([one for _, one in twice])
            chosen += [(said(one)["choice"], said(other)["choice"], opinion) for one, other in twice]
    own, later, model = np.array(chosen, dtype=object).reshape(-1, 3).T
    at_first, at_last = own == model, later == model
    one, other = before.side(), after.side()
    return SecondLook(
        project=again,
        pairs=len(chosen),
        agreed_before=_rate(at_first),
        agreed_after=_rate(at_last),
        alike_before=one.agreement,
        alike_after=other.agreement,
        followed=_rate(at_last[~at_first]),
        left=_rate(~at_last[at_first]),
        seconds_before=one.seconds,
        seconds_after=other.seconds,
    )


def _question(sample: StoredSample) -> bytes:
    """What both projects ask: the texts. Their samples' ids differ, since the opinion is part of one's content."""
    content = content_of(sample)
    asked = [content.get("prompt"), [answer["text"] for answer in content.get("answers", [])]]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def _rate(values: "np.typing.NDArray[np.bool_]") -> Rate:
    return share(float(values.sum()), len(values))


def median(values: Iterable[float], seed: int = 0) -> Median:
    """With a percentile bootstrap interval.

    The median of a resample is an order statistic of the values, at a place that a binomial draw gives: so a hundred
    thousand values cost one sort.
    """
    found: Floats = np.sort(np.fromiter(values, np.float64))
    if not len(found):
        return Median(float("nan"), float("nan"), float("nan"), 0)
    # The place of a resample's median: a beta-distributed quantile of the sample.
    half = (len(found) + 1) / 2
    places = np.random.default_rng(seed).beta(half, half, ROUNDS)
    low, high = np.quantile(found[np.minimum((places * len(found)).astype(np.int64), len(found) - 1)], (0.025, 0.975))
    return Median(float(np.median(found)), float(low), float(high), len(found))
