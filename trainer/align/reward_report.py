"""What a reward model's scores are worth on comparisons that it has not learnt from: figures, and a table of them.

Beside its accuracy stands what is had for nothing: a rule that looks at lengths alone (Singhal et al. 2023, "A long way
to go", found such a rule behind much of what reward models learn), and what people agree on among themselves.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from trainer.measure.agreement import (
    Calibration,
    Difference,
    Rate,
    correlation,
    paired_difference,
    preference_calibration,
    rate,
    verdicts,
    without_nan,
)
from trainer.records import Ranking
from trainer.records.kinds import Turns

GRADES = {
    1.0: "significantly better",
    2 / 3: "better",
    1 / 3: "slightly better",
    0.0: "negligibly better",
}
"""The margins of the four-grade scale (Touvron et al. 2023, Llama 2, section 3.2.2 and table 27, "small")."""
UNGRADED = "ungraded"


@dataclass(frozen=True)
class Report:
    """Everything over pairs: of a ranking of K answers all that do not tie."""

    prompts: int
    pairs: int
    nll: float
    """Mean -ln sigmoid(score of the preferred - score of the other); ln 2 = 0.693 is what knowing nothing gets."""
    accuracy: Rate
    by_grade: dict[str, Rate]
    length_rule: str
    """"shorter" or "longer": whichever wins more often in the comparisons for training."""
    length_accuracy: Rate
    """That rule's, on these comparisons."""
    over_length: Difference
    calibration: Calibration
    length_correlation: float
    """Pearson's, of the scores and the answers' lengths in characters."""
    prefers_longer: Rate
    """How often the model scores the longer answer higher."""
    people_prefer_longer: Rate
    annotators: Rate
    """How often two people say the same of the same pair, where several judged one."""

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = without_nan(dataclasses.asdict(self))
        return fields

    def table(self) -> Table:
        table = Table("", "", title=f"{self.pairs:,} pairs of {self.prompts:,} prompts held out", title_justify="left")
        table.add_row("accuracy", str(self.accuracy))
        for name, found in self.by_grade.items():
            table.add_row(f"  {name}", str(found))
        table.add_row(f"the {self.length_rule} answer wins", str(self.length_accuracy))
        table.add_row("  the model less that", str(self.over_length))
        table.add_row("two people agree", str(self.annotators))
        table.add_row("loss (nothing known: 0.693)", f"{self.nll:.3f}")
        table.add_row("calibration", f"ECE {self.calibration.ece:.3f}, Brier {self.calibration.brier:.3f}")
        table.add_row(
            "longer answer preferred", f"{self.prefers_longer} (people: {self.people_prefer_longer.value:.1%})"
        )
        table.add_row("score and length", f"r = {self.length_correlation:+.2f}")
        return table


def length(completion: Turns) -> int:
    """What an assistant says in an answer, in characters."""
    return sum(len(turn.content) for turn in completion if turn.role == "assistant")


def length_rule(train: Sequence[Ranking]) -> str:
    """ "shorter" or "longer", whichever wins more often here."""
    return "longer" if longer_wins(train).mean() > 0.5 else "shorter"


def longer_wins(rankings: Sequence[Ranking]) -> NDArray[np.float64]:
    """For all pairs, ranking after ranking: 1 where the longer answer was preferred, 0 where the shorter, 1/2 else."""
    lengths = [[length(completion) for completion in ranking.completions] for ranking in rankings]
    return pair_verdicts(lengths, rankings)


def pair_verdicts(scores: Sequence[Sequence[float]], rankings: Sequence[Ranking]) -> NDArray[np.float64]:
    """Scores of each ranking's completions -> for all its pairs 1 where they are in people's order, 0, or 1/2."""
    pairs = [
        (scored[better], scored[worse])
        for scored, ranking in zip(scores, rankings, strict=True)
        for better, worse in ranking.pairs()
    ]
    return verdicts([better for better, _ in pairs], [worse for _, worse in pairs])


def grade(margin: float | None) -> str:
    """The name of the nearest margin of the scale; a margin beyond the scale is no grade."""
    if margin is None or margin > 1:
        return UNGRADED
    return GRADES[min(GRADES, key=lambda known: abs(known - margin))]


def judge(scores: Sequence[Sequence[float]], held_out: Sequence[Ranking], rule: str, annotators: Rate) -> Report:
    """Scores of each ranking's completions, and the rankings; there must be at least one."""
    pairs = [
        (ranking, scored[better], scored[worse])
        for ranking, scored in zip(held_out, scores, strict=True)
        for better, worse in ranking.pairs()
    ]
    better, worse = np.array([pair[1] for pair in pairs]), np.array([pair[2] for pair in pairs])
    right = pair_verdicts(scores, held_out)
    longer = longer_wins(held_out)
    by_rule = longer if rule == "longer" else 1 - longer
    uneven = longer != 0.5
    grades = [grade(ranking.margin) for ranking, *_ in pairs]
    names = [name for name in (*GRADES.values(), UNGRADED) if name in grades]
    lengths = [length(completion) for ranking in held_out for completion in ranking.completions]
    prompts = [ranking.prompt for ranking, *_ in pairs]
    return Report(
        prompts=len(set(prompts)),
        pairs=len(pairs),
        nll=float(np.logaddexp(0, worse - better).mean()),
        accuracy=rate(right),
        by_grade={name: rate(right[[name == other for other in grades]]) for name in names},
        length_rule=rule,
        length_accuracy=rate(by_rule),
        over_length=paired_difference(right, by_rule, prompts),
        calibration=preference_calibration(better - worse),
        length_correlation=correlation([score for scored in scores for score in scored], lengths),
        prefers_longer=rate(np.where(longer == 1, right, 1 - right)[uneven]),
        people_prefer_longer=rate(longer[uneven]),
        annotators=annotators,
    )
