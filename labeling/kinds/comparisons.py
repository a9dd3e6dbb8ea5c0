"""Comparisons: which of two answers is better, and by how much, in Llama 2's four grades (Touvron et al. 2023, 3.1).

"Both bad" is beside them, since a forced choice between two answers that nobody should get teaches nothing.
"""

from collections.abc import Sequence

from labeling.kinds import page
from labeling.kinds.kind import Draft, InvalidSampleError, Json, Order
from labeling.kinds.results import Control, read
from labeling.kinds.texts import answer, checked, prompt, remarks, seen, shown, text

MARGINS = {"significantly": 1.0, "better": 2 / 3, "slightly": 1 / 3, "negligibly": 0.0}
"""By how much the better answer's reward should be greater (Touvron et al. 2023, appendix A.3.3, small margins)."""

ROUNDED = 0.01
"""How far a margin that somebody wrote may be from one of these: 0.67 is 2/3."""

_WORDS = {"significantly": "significantly better", "slightly": "slightly better", "negligibly": "negligibly better"}
BOTH_BAD = "both_bad"

_LEFT = [("A", grade) for grade in MARGINS]
_RIGHT = [("B", grade) for grade in reversed(MARGINS)]
GRADES = {f"{side.lower()}_{grade}": f"{side} {_WORDS.get(grade, grade)}" for side, grade in _LEFT + _RIGHT}
"""Of A, which is on the left of the page, and B, on its right: from the left to the right. Hot-keys 1 to 8."""

OPTIONS = GRADES | {BOTH_BAD: "Both bad"}
GRADE = Control("grade", "prompt", "choices", tuple(OPTIONS))


class Comparisons(page.Page):
    """Content: {"prompt": [...], "answers": [{"text", "model"?}, ...], "critiques": [str, str]?, "opinion": str?}.

    Verdict: {"choice": "a", "b" or "both_bad", "margin": 1, 2/3, 1/3, 0 or null}, where a is the content's first
    answer, wherever the page showed it.
    """

    name = "comparisons"
    title = "Which answer is better?"
    overlap = 3
    above = "\n".join(
        [
            page.talk("prompt", "The conversation"),
            f'<View className="pair">{page.text("left", "Answer A")}{page.text("right", "Answer B")}</View>',
            page.notes(),
        ]
    )
    controls = page.choices(
        *("grade", "prompt"),
        [(value, words, str(key)) for key, (value, words) in enumerate(OPTIONS.items(), 1)],
        "Which answer is better, and by how much? (keys 1 to 9)",
    )
    style = (
        ".controls .lsf-choices { display: grid; grid-template-columns: repeat(9, minmax(0, 1fr)); }\n"
        ".controls .lsf-choice__item { height: 100%; } .talk { max-height: 26vh; }\n"
    )

    def content(self, row: Json) -> Json:
        answers = row.get("answers")
        if not isinstance(answers, list) or len(answers) != 2:
            raise InvalidSampleError("answers are not two; expected a list of two answers")
        content: Json = {
            "prompt": prompt(row.get("prompt", row.get("messages")), "prompt"),
            "answers": [answer(one, f"answer {place}") for place, one in enumerate(answers, 1)],
        }
        if content["answers"][0]["text"].split() == content["answers"][1]["text"].split():
            raise InvalidSampleError("both answers are the same; there is nothing to choose")
        critiques = row.get("critiques")
        if critiques is not None:
            if not isinstance(critiques, list) or len(critiques) != 2:
                raise InvalidSampleError("critiques are not two; expected one for each answer")
            content["critiques"] = [checked(each, "a critique", required=False) for each in critiques]
        if opinion := text(row, "opinion", required=False):
            content["opinion"] = opinion
        return content

    def shuffled(self, content: Json) -> int:
        return 2

    def task(self, content: Json, order: Order) -> Json:
        left, right = (seen(content["answers"][place]["text"]) for place in order)
        said = []
        for side, place in zip("AB", order, strict=True):
            if "critiques" in content and content["critiques"][place].strip():
                said.append((f"A model's remarks on answer {side}", content["critiques"][place]))
        if "opinion" in content:
            said.append(("A model's own choice", self._opinion(content["opinion"], order)))
        return {"prompt": shown(content["prompt"]), "left": left, "right": right, "notes": remarks(said)}

    def prediction(self, content: Json, draft: Draft) -> list[Json] | None:
        return None

    def verdict(self, result: Sequence[Json], content: Json, order: Order) -> Json:
        grade = read(result, [GRADE])["grade"]
        if grade == BOTH_BAD:
            return {"choice": BOTH_BAD, "margin": None}
        side, degree = grade.split("_")
        return {"choice": "ab"[order["ab".index(side)]], "margin": MARGINS[degree]}

    def result(self, verdict: Json, content: Json, order: Order) -> list[Json]:
        if verdict["choice"] == BOTH_BAD:
            return [GRADE.item([BOTH_BAD])]
        side = "ab"[order.index("ab".index(verdict["choice"]))]
        degree = min(MARGINS, key=lambda name: abs(MARGINS[name] - verdict["margin"]))
        if abs(MARGINS[degree] - verdict["margin"]) > ROUNDED:
            raise ValueError(f"margin is {verdict['margin']}; expected 1, 2/3, 1/3 or 0")
        return [GRADE.item([f"{side}_{degree}"])]

    def words(self, verdict: Json, content: Json, order: Order) -> str:
        return OPTIONS[self.result(verdict, content, order)[0]["value"]["choices"][0]]

    def same(self, first: Json, second: Json) -> bool:
        """The same answer chosen, or both times none, by whatever margin: what InstructGPT's 72.6% count."""
        return bool(first["choice"] == second["choice"])

    def _opinion(self, opinion: str, order: Order) -> str:
        """In the page's letters where it is a choice; a text is shown as it is."""
        if opinion not in ("a", "b"):
            return "Both are bad." if opinion == BOTH_BAD else opinion
        return f"Answer {'AB'[order.index('ab'.index(opinion))]} is better."
