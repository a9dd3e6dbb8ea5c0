"""What a kind of labelling project is: how a sample looks to a labeller, and what the labeller's click means.

Label Studio stores whatever it is sent, so a kind is also the judge of results: `verdict` gives what a person said in
the sample's own order, or says why it can't be that person's answer to this task.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]

Order = tuple[int, ...]
"""What is shown where: place p on the page shows answer `order[p]` of the sample. Empty where nothing is shuffled."""

LIMIT = 200_000
"""Most characters of a text that is sent to a labeller or accepted from one."""


class InvalidSampleError(ValueError):
    """A row that is no sample of this kind, in one sentence."""


class InvalidResultError(ValueError):
    """An annotation that does not answer its task, in one sentence: it is set aside with this as the reason."""


@dataclass(frozen=True)
class Sample:
    """What people are asked about. `content` is in its kind's own form, and labellers never see it as it is."""

    id: str
    """SHA-256 of the kind's name and the content: the same question is never asked twice."""
    content: Json
    gold: Json | None = None
    """The right verdict, of a question that is mixed in to see how well people do."""
    priority: float = 0.0
    """Greater comes first."""
    provenance: Json = field(default_factory=dict)
    """Where it is from: file and line, report id, document id. Never shown."""


@dataclass(frozen=True)
class Draft:
    """A model's proposal of an answer, which the labeller may correct. The model's name is never shown."""

    text: str
    model: str


class Kind(Protocol):
    """One of the modules beside this one; `labeling.kinds.KINDS` lists them by name."""

    name: str
    title: str
    """The project's title in Label Studio."""
    overlap: int
    """How many people are asked the same, where nobody says otherwise."""
    untouched: bool
    """Whether Label Studio may let its page be submitted before anything was chosen: it takes a text that is still in
    its box for nothing, and an order that was found for a choice."""

    def config(self) -> str:
        """Label Studio's XML. Controls have fixed names; texts are shown by `Text` or `Paragraphs`, never as HTML."""

    def content(self, row: Json) -> Json:
        """A row of a file as this kind's content, without what it has no use for. Raises InvalidSampleError."""

    def shuffled(self, content: Json) -> int:
        """How many answers change places from task to task; 0 where none do."""

    def task(self, content: Json, order: Order) -> Json:
        """The task's `data`: what a labeller may see, answers in this order, no name of a model in it."""

    def prediction(self, content: Json, draft: Draft) -> list[Json] | None:
        """The draft as a Label Studio result that fills the answer's box in; None for a kind that has no such box."""

    def verdict(self, result: Sequence[Json], content: Json, order: Order) -> Json:
        """What the annotation says, in the content's order. Raises InvalidResultError."""

    def result(self, verdict: Json, content: Json, order: Order) -> list[Json]:
        """What the page saves where a person says this: `verdict` read backwards. For tests and simulations."""

    def words(self, verdict: Json, content: Json, order: Order) -> str:
        """The verdict in words, with the letters of a page in this order, for somebody who decides between several."""

    def same(self, first: Json, second: Json) -> bool:
        """Whether two verdicts agree, as far as admission to training is concerned."""


def sample_id(kind: str, content: Json) -> str:
    """SHA-256, in hexadecimal, of the JSON list [kind, content]: keys sorted, no spaces, no \\u escapes."""
    spelt = json.dumps([kind, content], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(spelt.encode("utf-8", "surrogatepass")).hexdigest()
