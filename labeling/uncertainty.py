"""Which questions a model is least sure of: those to which it gives the most different answers when asked again.

Query by committee (Seung, Opper and Sompolinsky 1992), the committee being one model's samples.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

from rapidfuzz.distance import Levenshtein

from labeling.drafts import Drafter
from labeling.kinds.kind import Draft, Json, Sample

COMPARED = 2000
"""Characters of each answer that are compared; the distance takes time in their square."""


def disagreement(drafter: Drafter, times: int) -> Callable[[Sequence[Sample]], list[float]]:
    """A function that gives each sample how far `times` answers of the model are apart: 0 (all the same) to 1.

    0 too where fewer than two answers came. Raises ValueError for fewer than two times.
    """
    if times < 2:
        raise ValueError(f"uncertainty from {times} answers; expected two or more")

    def measure(samples: Sequence[Sample]) -> list[float]:
        asked = [conversation(sample.content) for sample in samples]
        rounds = [drafter.answers(asked, seed) for seed in range(times)]
        answers = ([one.text for one in each if isinstance(one, Draft)] for each in zip(*rounds, strict=True))
        return [spread(each) for each in answers]

    return measure


def spread(texts: Sequence[str]) -> float:
    """The mean of Levenshtein's distance between two of the texts, each over the length of the longer."""
    pairs = list(combinations([text[:COMPARED] for text in texts], 2))
    return sum(Levenshtein.normalized_distance(*pair) for pair in pairs) / len(pairs) if pairs else 0.0


def conversation(content: Json) -> list[Json]:
    """What a model is asked for an answer of its own: without the answer that is to be corrected or rated.

    Raises ValueError for a content without a conversation, a document under review, say.
    """
    inner: Json = content["content"] if "verdicts" in content else content
    messages: list[Json] | None = inner.get("messages", inner.get("prompt"))
    if messages is None:
        raise ValueError("there is no conversation in these samples that a model could answer")
    return messages[:-1] if messages[-1]["role"] == "assistant" else messages
