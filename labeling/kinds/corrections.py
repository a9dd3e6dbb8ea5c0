"""Corrections: an answer that somebody reported, what is wrong with it, and what to say instead."""

from collections.abc import Sequence

from labeling.kinds import page
from labeling.kinds.kind import Draft, InvalidResultError, InvalidSampleError, Json, Order
from labeling.kinds.results import Control, read
from labeling.kinds.texts import conversation, harmless, prompt, remarks, shown, text
from labeling.storable import storable
from labeling.store.reports import CATEGORIES

NO_PROBLEM = "no_problem"
_WORDS = {
    "wrong": "Wrong or made up",
    "harmful": "Harmful",
    "refusal": "Refused or evaded",
    "format": "Wrong form or length",
    "repetition": "Repeats itself",
    "injection": "Obeyed a text, not the user",
    "other": "Another problem",
}
PROBLEMS = {category: _WORDS.get(category, category) for category in CATEGORIES} | {NO_PROBLEM: "No problem"}
REFUSALS = {"none": "It did not refuse", "right": "It refused, rightly", "wrong": "It refused, wrongly"}

CATEGORY = Control("category", "prompt", "choices", tuple(PROBLEMS))
REFUSAL = Control("refusal", "prompt", "choices", tuple(REFUSALS))
ANSWER = Control("answer", "prompt", "textarea", required=False)


class Corrections(page.Page):
    """Content: {"messages": [... the assistant's answer], "report": {"category", "description", "wished_answer"}?}.

    Verdict: {"category": a category of reports or "no_problem", "answer": str (null with "no_problem" alone),
    "refusal": "right", "wrong" or "none"}.
    """

    name = "corrections"
    title = "Correct a reported answer"
    overlap = 2
    above = "\n".join([page.talk("prompt", "The conversation; its last answer was reported"), page.notes()])
    controls = "\n".join(
        [
            page.choices(
                *("category", "prompt"),
                [(value, words, str(key)) for key, (value, words) in enumerate(PROBLEMS.items(), 1)],
                "What is wrong with the last answer? (keys 1 to 8)",
            ),
            page.choices(
                *("refusal", "prompt"),
                [(value, words, key) for (value, words), key in zip(REFUSALS.items(), "qwe", strict=True)],
                "Did it refuse, and was that right? (keys Q, W, E)",
            ),
            f'<View visibleWhen="choice-unselected" whenTagName="category" whenChoiceValue="{NO_PROBLEM}">',
            page.box("answer", "prompt", "The right answer", "What should the assistant have said?"),
            "</View>",
        ]
    )

    def content(self, row: Json) -> Json:
        messages = conversation(row.get("messages"), "messages")
        if messages[-1]["role"] != "assistant":
            last = messages[-1]["role"]
            raise InvalidSampleError(f"messages end with the {last}; expected the assistant's answer to correct")
        prompt(messages[:-1], "messages before the answer")
        content: Json = {"messages": messages}
        report = row.get("report")
        if report is not None:
            if not isinstance(report, dict):
                raise InvalidSampleError("report is no object; expected category, description, wished_answer")
            names = ("category", "description", "wished_answer")
            content["report"] = {name: said for name in names if (said := text(report, name, required=False)).strip()}
        return content

    def shuffled(self, content: Json) -> int:
        return 0

    def task(self, content: Json, order: Order) -> Json:
        turns = shown(content["messages"])
        turns[-1]["who"] = "Reported answer"
        report = content.get("report", {})
        said = []
        if category := report.get("category"):
            said.append(("Reported as", PROBLEMS.get(category, category)))
        if "description" in report:
            said.append(("What the person wrote", report["description"]))
        if "wished_answer" in report:
            said.append(("Answer they wished for", report["wished_answer"]))
        return {"prompt": turns, "notes": remarks(said)}

    def prediction(self, content: Json, draft: Draft) -> list[Json] | None:
        return [ANSWER.item([harmless(storable(draft.text))])]

    def verdict(self, result: Sequence[Json], content: Json, order: Order) -> Json:
        found = read(result, [CATEGORY, REFUSAL, ANSWER])
        if found["category"] == NO_PROBLEM:  # the box is hidden then: what is in it, a draft say, nobody meant
            return {"category": NO_PROBLEM, "answer": None, "refusal": found["refusal"]}
        if "answer" not in found:
            raise InvalidResultError("a problem, and no right answer")
        return {"category": found["category"], "answer": found["answer"], "refusal": found["refusal"]}

    def result(self, verdict: Json, content: Json, order: Order) -> list[Json]:
        chosen = [CATEGORY.item([verdict["category"]]), REFUSAL.item([verdict["refusal"]])]
        return chosen if verdict["answer"] is None else [*chosen, ANSWER.item([verdict["answer"]])]

    def words(self, verdict: Json, content: Json, order: Order) -> str:
        said = f"{PROBLEMS[verdict['category']]}. {REFUSALS[verdict['refusal']]}."
        return said if verdict["answer"] is None else f"{said}\n\n{verdict['answer']}"

    def same(self, first: Json, second: Json) -> bool:
        """The same problem, and the same of the refusal; the answers may differ."""
        return all(first[name] == second[name] for name in ("category", "refusal"))
