"""What three people are asked in each kind of project but comparisons, what each says, and how far they then agree.

The figures were worked out by hand. Where a scale allows it, what is said is chosen so that another statistic gives
another figure: nominal alpha for ordinal, or Spearman's rho for Kendall's tau.
"""

from dataclasses import dataclass
from fractions import Fraction

from labeling.kinds.kind import Json
from labeling.quality.alpha import Level
from tests.labeling.crowd import FOODS, QUESTIONS, asked


@dataclass(frozen=True)
class Agreed:
    """On one scale."""

    level: Level
    pairs: Fraction
    """Of two people, the share that say the same."""
    alpha: Fraction | None
    """Krippendorff's; None where all say the same everywhere."""


@dataclass(frozen=True)
class Questions:
    rows: list[Json]
    said: list[tuple[Json, Json, Json]]
    """Of each row, by the three people."""
    agreement: dict[str, Agreed]


def _all(verdict: Json) -> tuple[Json, Json, Json]:
    return verdict, verdict, verdict


def _helped(*helpful: int, truthful: int) -> tuple[Json, Json, Json]:
    one, two, three = (
        {"helpful": grade, "truthful": truthful, "harmless": 6, "flags": ["task_not_done"]} for grade in helpful
    )
    return one, two, three


def _corrected(good: str, *categories: str) -> tuple[Json, Json, Json]:
    one, two, three = ({"category": category, "answer": good, "refusal": "none"} for category in categories)
    return one, two, three


_BASE, _NEIGHBOURS, _REVERSED = ({"ranks": ranks} for ranks in ([3, 1, 2], [2, 1, 3], [1, 3, 2]))
_RELEASE, _CONFIRM = {"decision": "release"}, {"decision": "confirm"}

TAU = Fraction(5, 9)
"""Of rankings: the mean of 1, 1, (1 + 1/3 + 1/3) / 3 and (1 - 1 - 1) / 3. Spearman's rho would be 7/12."""

QUESTIONS_OF: dict[str, Questions] = {
    "demonstrations": Questions(
        [{"messages": asked(question)} for question, _, _ in QUESTIONS[::5]],
        [
            ({"answer": good}, {"answer": f"{good} I hope that helps."}, {"answer": f"{good} Do you need more?"})
            for _, good, _ in QUESTIONS[::5]
        ],
        {},  # two people never write the same
    ),
    "rankings": Questions(
        [
            {"prompt": asked(question), "answers": [{"text": bad}, {"text": good}, {"text": "I don't know."}]}
            for question, good, bad in QUESTIONS[:4]
        ],
        [_all(_BASE), _all(_BASE), (_BASE, _BASE, _NEIGHBOURS), (_BASE, _BASE, _REVERSED)],
        # Twelve answers ranked by three; each rank 12 times, and so 12 labels between neighbours. In units of 12²:
        # 4 answers are ranked otherwise by one, two of them by a neighbour (2 · 1 each), two by the farthest
        # (2 · 4 each): 20. By chance 2 · 12 · 12 · (1 + 1 + 4) / 35. Nominal: 0.68.
        {"order": Agreed("ordinal", (TAU + 1) / 2, 1 - Fraction(20 * 35, 1728))},
    ),
    "corrections": Questions(
        [
            {
                "messages": [*asked(question), {"role": "assistant", "content": bad}],
                "report": {"category": "wrong", "description": "That can't be.", "wished_answer": None},
            }
            for question, _, bad in QUESTIONS[4:8]
        ],
        [
            _corrected(QUESTIONS[4][1], *3 * ["wrong"]),
            _corrected(QUESTIONS[5][1], *3 * ["harmful"]),
            _corrected(QUESTIONS[6][1], *3 * ["format"]),
            _corrected(QUESTIONS[7][1], "wrong", "wrong", "format"),
        ],
        # 5 wrong, 3 harmful, 4 format: by chance (12² - 5² - 3² - 4²) / 11 = 94 / 11. Ordinal: 0.59.
        {
            "category": Agreed("nominal", Fraction(5, 6), 1 - Fraction(2 * 11, 94)),
            "refusal": Agreed("nominal", Fraction(1), None),
        },
    ),
    "ratings": Questions(
        [{"prompt": asked(question), "answer": {"text": bad}} for question, _, bad in QUESTIONS[:4]],
        [
            _helped(2, 2, 3, truthful=3),
            _helped(2, 2, 2, truthful=3),
            _helped(6, 6, 7, truthful=5),
            _helped(6, 6, 6, truthful=5),
        ],
        # Helpful: 5 twos, a three, 5 sixes, a seven. Labels between two and three (and six and seven) 3, three and six
        # 3, two and six 6, three and seven 6, two and seven 9. Apart: 2 · 3² twice. By chance: 2 · 1476 / 11.
        # Nominal: 0.52; interval: 0.96.
        {
            "helpful": Agreed("ordinal", Fraction(2, 3), 1 - Fraction(2 * 2 * 9 * 11, 2 * 1476)),
            "truthful": Agreed("ordinal", Fraction(1), Fraction(1)),
            "harmless": Agreed("ordinal", Fraction(1), None),
        },
    ),
    "poison-review": Questions(
        [
            {"id": f"{number:032x}", "url": f"https://{food}.example/", "text": f"All about {food}. {said}"}
            | {"findings": [{"rule": "instructions", "start": 0, "end": 9, "score": 0.9, "evidence": "All about"}]}
            for number, (food, said) in enumerate(zip(FOODS[:2], ("Buy it.", "It grows."), strict=True))
        ],
        [_all(_CONFIRM), (_RELEASE, _RELEASE, _CONFIRM)],
        # 4 confirm, 2 release: by chance 2 · 4 · 2 / 5.
        {"decision": Agreed("nominal", Fraction(2, 3), 1 - Fraction(2 * 5, 16))},
    ),
}
