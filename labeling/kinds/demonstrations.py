"""Demonstrations: people write the ideal answer to a conversation, or mend a draft of it (Ouyang et al. 2022, 3.4)."""

from collections.abc import Sequence

from labeling.kinds import page
from labeling.kinds.kind import Draft, InvalidSampleError, Json, Order
from labeling.kinds.results import Control, read
from labeling.kinds.texts import harmless, prompt, remarks, shown, text
from labeling.storable import storable

ANSWER = Control("answer", "prompt", "textarea")


class Demonstrations(page.Page):
    """Content: {"messages": [...], "critique": str?}; verdict: {"answer": str}."""

    name = "demonstrations"
    title = "Write the ideal answer"
    overlap = 1
    above = "\n".join([page.talk("prompt", "The conversation"), page.notes()])
    controls = page.box("answer", "prompt", "The ideal answer", "What should the assistant say next?")

    def content(self, row: Json) -> Json:
        # Two people never write the same: by equality with a right answer everybody would be wrong.
        if row.get("gold") is not None:
            raise InvalidSampleError(
                "gold is given, but what people write is not right or wrong by its words, so it can measure nobody; "
                "leave it out, or ask a gold question with choices, such as one of comparisons or corrections"
            )
        content: Json = {"messages": prompt(row.get("messages", row.get("prompt")), "messages")}
        if critique := text(row, "critique", required=False):
            content["critique"] = critique
        return content

    def shuffled(self, content: Json) -> int:
        return 0

    def task(self, content: Json, order: Order) -> Json:
        said = [("Remarks on the draft", content["critique"])] if "critique" in content else []
        return {"prompt": shown(content["messages"]), "notes": remarks(said)}

    def prediction(self, content: Json, draft: Draft) -> list[Json] | None:
        return [ANSWER.item([harmless(storable(draft.text))])]

    def verdict(self, result: Sequence[Json], content: Json, order: Order) -> Json:
        return {"answer": read(result, [ANSWER])["answer"]}

    def result(self, verdict: Json, content: Json, order: Order) -> list[Json]:
        return [ANSWER.item([verdict["answer"]])]

    def words(self, verdict: Json, content: Json, order: Order) -> str:
        return str(verdict["answer"])

    def same(self, first: Json, second: Json) -> bool:
        """Word for word, whatever the white space."""
        return bool(first["answer"].split() == second["answer"].split())
