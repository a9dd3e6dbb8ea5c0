"""Review: where annotators disagreed, somebody who knows the instructions well decides, having read what they said.

Whoever said what stays unknown, and the order in which it stands says nothing either.
"""

import random
from collections.abc import Sequence
from typing import Protocol

from labeling.kinds import page
from labeling.kinds.kind import Draft, InvalidSampleError, Json, Kind, Order, sample_id
from labeling.kinds.texts import harmless, text


class Inner(Kind, Protocol):
    """A kind whose page a review can add to."""

    above: str
    controls: str
    style: str


class Review(page.Page):
    """Content: {"project", "sample", "content": the inner kind's, "verdicts": [its own, ...]}; verdict: its own."""

    name = "review"
    overlap = 1

    def __init__(self, inner: Inner) -> None:
        self.inner = inner
        self.title = f"Decide: {inner.title[0].lower()}{inner.title[1:]}"
        said = [page.header("What annotators said"), page.notes("said")]
        self.above = "\n".join([inner.above, *said])
        self.controls, self.style, self.untouched = inner.controls, inner.style, inner.untouched

    def content(self, row: Json) -> Json:
        inner, verdicts = row.get("content"), row.get("verdicts")
        if not isinstance(inner, dict) or not isinstance(verdicts, list) or not verdicts:
            raise InvalidSampleError(
                "content or verdicts are missing; expected a sample and what annotators said of it"
            )
        content = self.inner.content(inner)
        return {
            "project": text(row, "project"),
            "sample": text(row, "sample"),
            "content": content,
            "verdicts": [self._checked(verdict, content) for verdict in verdicts],
        }

    def shuffled(self, content: Json) -> int:
        return self.inner.shuffled(content["content"])

    def task(self, content: Json, order: Order) -> Json:
        verdicts = sorted(content["verdicts"], key=lambda verdict: sample_id(self.name, verdict))
        random.Random(sample_id(self.name, content)).shuffle(verdicts)
        said = [
            {"who": "One annotator", "text": harmless(self.inner.words(verdict, content["content"], order))}
            for verdict in verdicts
        ]
        return self.inner.task(content["content"], order) | {"said": said}

    def prediction(self, content: Json, draft: Draft) -> list[Json] | None:
        return self.inner.prediction(content["content"], draft)

    def verdict(self, result: Sequence[Json], content: Json, order: Order) -> Json:
        return self.inner.verdict(result, content["content"], order)

    def result(self, verdict: Json, content: Json, order: Order) -> list[Json]:
        return self.inner.result(verdict, content["content"], order)

    def words(self, verdict: Json, content: Json, order: Order) -> str:
        return self.inner.words(verdict, content["content"], order)

    def same(self, first: Json, second: Json) -> bool:
        return self.inner.same(first, second)

    def _checked(self, verdict: object, content: Json) -> Json:
        """The verdict, if it is one of this kind: put into a result and read again."""
        order = tuple(range(self.inner.shuffled(content)))
        try:
            if not isinstance(verdict, dict):
                raise TypeError
            if self.inner.verdict(self.inner.result(verdict, content, order), content, order) != verdict:
                raise ValueError
            return verdict
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise InvalidSampleError(f"a verdict that is none of {self.inner.name}") from None


def of(kind: Inner) -> Review:
    """The review of a kind's disagreements."""
    return Review(kind)
