"""A project's labels as columns of numbers, read in one pass: of the texts their words stay, as numbers."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labeling.kinds import KINDS
from labeling.project import inner_kind
from labeling.quality.foretell import Shown
from labeling.quality.ngrams import Texts
from labeling.quality.rates import Floats, Ints
from labeling.quality.scales import WRITTEN, Scale, button, first, leaning, ranks, scales, untouched
from labeling.quality.together import HELP, has_help
from labeling.quality.walk import characters, content_of, labelled
from labeling.store.database import Database
from labeling.store.labels import Annotation, StoredSample, get_project

NEWER = "the same person's newer one counts"

COMPARED = frozenset({"comparisons", "rankings"})
"""Kinds in which answers are put in order."""


@dataclass(frozen=True)
class Table:
    """Columns have one row for each label that has a verdict, by sample and time; NaN is "has none"."""

    kind: str
    scales: tuple[Scale, ...]
    samples: list[str]
    """All of the project, by id; `sample` counts in it."""
    gold_samples: Ints
    """(samples,) 1 for gold questions."""
    people: list[str]
    """Pseudonyms; `person` counts in it."""
    buttons: list[str]
    invalid: dict[str, Counter[str]]
    """Of each person, how many annotations have no verdict, by reason."""

    sample: Ints
    person: Ints
    id: Ints
    created: Floats
    seconds: Floats
    characters: Ints
    distance: Floats
    """From the model's draft, 0 to 1."""
    first: Floats
    """1 where the answer shown first was liked best, 0 where another."""
    untouched: Floats
    """1 where a ranking was handed in as it was shown, 0 where another."""
    answers: Ints
    """How many answers were put in order."""
    right: Floats
    """1 where a gold question was answered right, 0 where wrong; of what is written, neither."""
    button: Ints
    leaning: Ints
    values: Floats
    """(labels, scales)."""
    ranks: list[tuple[int, ...]]
    """The order of the answers; empty where a label says none."""

    texts: Texts
    """Of the answers that were compared, in labelled samples."""
    shown: dict[int, Shown]
    """How they stood on the page."""
    helped: dict[str, int]
    """How many labelled samples had each kind of help."""

    @property
    def measured(self) -> "np.typing.NDArray[np.bool_]":
        """Labels by which agreement is measured: gold questions, being easy, would flatter it."""
        return self.gold_samples[self.sample] == 0 if len(self.sample) else np.zeros(0, bool)


def read_table(database: Database, project: str) -> Table:
    """Raises KeyError for no such project."""
    reader = _Reader(inner_kind(database, get_project(database, project)))
    with database.read() as session:
        for sample, annotations in labelled(session, project):
            reader.take(sample, annotations)
    return reader.table()


class _Reader:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.same: Callable[..., bool] = KINDS[kind].same
        self.scales = scales(kind)
        self.samples: list[str] = []
        self.gold: list[int] = []
        self.people: dict[str, int] = {}
        self.buttons: dict[str, int] = {}
        self.invalid: dict[str, Counter[str]] = {}
        self.ranks: list[tuple[int, ...]] = []
        self.rows: list[tuple[float, ...]] = []
        self.texts = Texts()
        self.shown: dict[int, Shown] = {}
        self.helped = dict.fromkeys(HELP, 0)

    def take(self, sample: StoredSample, annotations: list[Annotation]) -> None:
        place = len(self.samples)
        self.samples.append(sample.id)
        self.gold.append(sample.gold is not None)
        if any(one.verdict is not None for one in annotations):
            self._take_content(place, sample)
        long = characters(sample.content) if annotations else 0
        newest = {one.annotator: one.remote_id for one in annotations if one.verdict is not None}
        for one in annotations:
            person = self.people.setdefault(one.annotator, len(self.people))
            verdict = one.verdict
            if verdict is None:
                self.invalid.setdefault(one.annotator, Counter())[one.reason or "no verdict"] += 1
                continue
            if newest[one.annotator] != one.remote_id:  # asked twice: its task is in Label Studio a second time
                self.invalid.setdefault(one.annotator, Counter())[NEWER] += 1
                continue
            pressed = button(self.kind, verdict, sample.order)
            self.ranks.append(ranks(self.kind, verdict))
            self.rows.append(
                (
                    place,
                    person,
                    one.remote_id,
                    one.created.timestamp(),
                    math.nan if one.seconds is None else one.seconds,
                    long,
                    math.nan if one.draft_distance is None else one.draft_distance,
                    _number(first(self.kind, verdict, sample.order)),
                    _number(untouched(self.kind, verdict, sample.order)),
                    math.nan if sample.gold is None or self.kind in WRITTEN else self.same(verdict, sample.gold),
                    self.buttons.setdefault(pressed, len(self.buttons)),
                    leaning(self.kind, verdict),
                    len(sample.order),
                    *(_number(scale.read(verdict)) for scale in self.scales),
                )
            )

    def _take_content(self, place: int, sample: StoredSample) -> None:
        for name in HELP:
            self.helped[name] += has_help(sample, name)
        if self.kind in COMPARED:
            answers = [str(answer["text"]) for answer in content_of(sample)["answers"]]
            self.texts.add(place, answers)
            places = tuple(sample.order.index(number) for number in range(len(answers)))
            self.shown[place] = Shown(tuple(map(len, answers)), places)

    def table(self) -> Table:
        data = np.array(self.rows, np.float64).reshape(len(self.rows), 13 + len(self.scales))
        whole = [data[:, column].astype(np.int64) for column in (0, 1, 2, 5, 10, 11, 12)]
        return Table(
            kind=self.kind,
            scales=self.scales,
            samples=self.samples,
            gold_samples=np.array(self.gold, np.int64),
            people=list(self.people),
            buttons=list(self.buttons),
            invalid=self.invalid,
            sample=whole[0],
            person=whole[1],
            id=whole[2],
            created=data[:, 3],
            seconds=data[:, 4],
            characters=whole[3],
            distance=data[:, 6],
            first=data[:, 7],
            untouched=data[:, 8],
            right=data[:, 9],
            button=whole[4],
            leaning=whole[5],
            answers=whole[6],
            values=data[:, 13:],
            ranks=self.ranks,
            texts=self.texts,
            shown=self.shown,
            helped=self.helped,
        )


def _number(value: float | bool | None) -> float:
    return math.nan if value is None else float(value)
