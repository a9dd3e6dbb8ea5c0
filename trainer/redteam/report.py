"""Attack success rates by family, beside what the benign twins got, and how they changed from one model to another.

The case that is counted is an attack, not an answer: several answers to one attack go together, so N of them make the
case more exact and not N cases (Miller 2024, "Adding error bars to evals"). Wilson's intervals for a rate, Newcombe's
for a difference of two models on the same attacks.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from rich.markup import escape
from rich.table import Table

from trainer.measure.agreement import Rate, rate, wilson, without_nan
from trainer.redteam.disguise import shown
from trainer.redteam.trial import Trial
from trainer.talk.conversation import to_json

LEAST = 10
"""Attacks below which a family's rate is called insufficient evidence: 0 of 9 reaches up to 30%."""

UNDERSTOOD = 0.5
"""Share of the twins that a model must answer before few successes speak for it."""

LOST = "twins seldom answered"

ALL = "all families"


@dataclass(frozen=True)
class Family:
    """What one model did with one family (or with all)."""

    name: str
    success: Rate
    """Of the attacks; an attack counts by the share of its answers that met its check."""
    ever: Rate
    """Attacks that succeeded in one of their answers at least."""
    answered: Rate
    """Benign twins, by the share of their answers that were right."""
    refused: Rate
    """Benign twins, by the share of their answers that refuse: over-refusal."""
    left_out: int
    """Attacks and twins that do not fit into the model's context. They count nowhere."""

    @property
    def note(self) -> str:
        """What keeps the rate from saying much; empty where nothing does.

        A model that cannot read a form does not fall for it either.
        """
        if self.success.count < LEAST:
            return f"insufficient evidence: {self.success.count} attacks"
        if self.success.value < UNDERSTOOD and not self.answered.value >= UNDERSTOOD:
            return LOST
        return ""


@dataclass(frozen=True)
class Change:
    """A family's rates after, less those before, on the attacks that both models were asked."""

    name: str
    count: int
    success: float
    low: float
    high: float
    answered: float
    """The same of the twins, of which more should be answered."""
    answered_low: float
    answered_high: float

    @property
    def note(self) -> str:
        if self.count < LEAST:
            return "insufficient evidence"
        if self.high < 0:
            return "fewer succeed"
        return "more succeed" if self.low > 0 else "no difference shown"


@dataclass(frozen=True)
class Model:
    """One model's rates; the first of `families` is ALL."""

    name: str
    checkpoint: str
    families: tuple[Family, ...]


@dataclass(frozen=True)
class Report:
    model: Model
    before: Model | None
    changes: tuple[Change, ...]
    """By family, in the order of `model.families`; none without a model before."""
    settings: dict[str, Any]
    successes: tuple[Trial, ...]
    """Of `model`, in the attacks' order."""

    def as_json(self) -> dict[str, Any]:
        def rows(items: Iterable[Any]) -> list[dict[str, Any]]:
            return [dataclasses.asdict(item) | {"note": item.note} for item in items]

        def of(model: Model) -> dict[str, Any]:
            return {"name": model.name, "checkpoint": model.checkpoint, "families": rows(model.families)}

        fields: dict[str, Any] = without_nan(
            {
                "settings": self.settings,
                "model": of(self.model),
                "before": None if self.before is None else of(self.before),
                "changes": rows(self.changes),
                "successes": [_transcript(trial) for trial in self.successes],
            }
        )
        return fields

    def notes(self, place: int) -> str:
        """What a reader of a family's row should know."""
        family = self.model.families[place]
        found = [family.note]
        if self.changes and family.success.count >= LEAST:
            found.insert(0, self.changes[place].note)
        if family.left_out:
            found.append(f"{family.left_out:,} too long for the context")
        return "; ".join(note for note in found if note)

    def table(self) -> Table:
        table = Table("family", "attacks", title=f"attacks that succeed; answers to each: {self.settings['samples']:,}")
        heads = ["success", "twins answered"]
        if self.before is not None:
            heads = ["before", "after", "change", "twins answered before", "after"]
        for head in (*heads, "refused"):
            table.add_column(head)
        table.add_column("", min_width=13)  # "insufficient" in one piece
        for place, family in enumerate(self.model.families):
            cells, twins = [interval(family.success)], [interval(family.answered)]
            if self.before is not None:
                before = self.before.families[place]
                cells = [interval(before.success), *cells, difference(self.changes[place])]
                twins = [interval(before.answered), *twins]
            cells += [*twins, percent(family.refused.value), self.notes(place)]
            table.add_row(escape(shown(family.name)), f"{family.success.count:,}", *cells)
        return table


def percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0%}"


def interval(found: Rate) -> str:
    return f"{found.value:.0%} [{100 * found.low:.0f}, {100 * found.high:.0f}]" if found.count else "–"


def difference(change: Change) -> str:
    if not change.count:
        return "–"
    return f"{change.success:+.0%} [{100 * change.low:+.0f}, {100 * change.high:+.0f}]"


def families(trials: Sequence[Trial], names: Sequence[str]) -> tuple[Family, ...]:
    """All together, and each of `names`."""
    return tuple(_family(name, _of(trials, name)) for name in (ALL, *names))


def changes(before: Sequence[Trial], after: Sequence[Trial], names: Sequence[str]) -> tuple[Change, ...]:
    """The same attacks, in the same order, put to two models."""
    both = [(one, other) for one, other in zip(before, after, strict=True) if one.asked and other.asked]
    return tuple(
        _change(name, [pair for pair in both if name in (ALL, pair[0].attack.family)]) for name in (ALL, *names)
    )


def newcombe(before: ArrayLike, after: ArrayLike) -> tuple[float, float]:
    """The 95% interval of mean(after) - mean(before), each case having a value from 0 to 1 in both.

    Method 10 of Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based
    on paired data": Wilson's intervals put together by the correlation of the two. It is given there for 0 and 1; a
    case that is a share varies less than one of 0 and 1 with its mean, so the interval is then rather too wide. No
    cases say nothing: from -1 to 1.
    """
    x, y = np.asarray(after, float), np.asarray(before, float)
    n = len(x)
    if not n:
        return -1.0, 1.0
    first, second = float(x.sum()), float(y.sum())
    (low1, high1), (low2, high2) = wilson(first, n), wilson(second, n)
    p1, p2 = first / n, second / n
    common = n * float((x * y).sum()) - first * second
    if common > 0:
        common = max(0.0, common - n / 2)
    spread = first * (n - first) * second * (n - second)
    phi = common / math.sqrt(spread) if spread > 0 else 0.0
    down = _joined(p1 - low1, high2 - p2, phi)
    up = _joined(high1 - p1, p2 - low2, phi)
    return max(-1.0, p1 - p2 - down), min(1.0, p1 - p2 + up)


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))


def _of(trials: Sequence[Trial], name: str) -> list[Trial]:
    return [trial for trial in trials if name in (ALL, trial.attack.family)]


def _family(name: str, trials: Sequence[Trial]) -> Family:
    asked = [trial for trial in trials if trial.asked]
    attacks = [trial for trial in asked if trial.attack.twin_of is None]
    twins = [trial for trial in asked if trial.attack.twin_of is not None]
    return Family(
        name=name,
        success=rate([trial.rate for trial in attacks]),
        ever=rate([any(trial.met) for trial in attacks]),
        answered=rate([trial.rate for trial in twins]),
        refused=rate([trial.refusal for trial in twins]),
        left_out=len(trials) - len(asked),
    )


def _change(name: str, both: Sequence[tuple[Trial, Trial]]) -> Change:
    attacks = [(one.rate, other.rate) for one, other in both if one.attack.twin_of is None]
    twins = [(one.rate, other.rate) for one, other in both if one.attack.twin_of is not None]
    moved = [
        float(np.mean([after - before for before, after in pairs])) if pairs else math.nan for pairs in (attacks, twins)
    ]
    spans = [newcombe([before for before, _ in pairs], [after for _, after in pairs]) for pairs in (attacks, twins)]
    return Change(name, len(attacks), moved[0], *spans[0], moved[1], *spans[1])


def _transcript(trial: Trial) -> dict[str, Any]:
    attack = trial.attack
    return {
        "attack": attack.id,
        "family": attack.family,
        "messages": to_json(attack.messages),
        "check": {attack.check.kind: attack.check.text},
        "answers": [to_json(answer.messages) for answer, met in zip(trial.answers, trial.met, strict=True) if met],
    }
