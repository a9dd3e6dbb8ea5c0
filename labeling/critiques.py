"""A model's remarks on each of two answers, shown beside them: people find more faults with such help (Saunders et al.
2022, "Self-critiquing models for assisting human evaluators").

Remarks are part of the question, so a sample with them is another than without. What a model was asked to remark on
once it is not asked again: it would say something else, and people would be asked twice.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from labeling.drafts import Drafter
from labeling.kinds.kind import Draft, Json, Sample, sample_id
from labeling.rows import Known, Rejected

ASKED = 16
"""Samples whose answers are remarked on together."""

CRITIC = (
    "Below are a conversation and an answer to it. Say in one or two sentences what is wrong with the answer or "
    "missing from it. If nothing is, say so."
)


def with_critiques(
    found: Iterable[Sample | Rejected | Known], kind: str, critic: Drafter, before: Collection[str] = ()
) -> Iterator[Sample | Rejected | Known]:
    """The samples of comparisons with the critic's remarks; gold, and those that have remarks already, as they are.

    `before` are the `asked` of earlier pushes (`store.sending.asked_before`): those samples are known. A remark that
    the model did not end is none. Raises DraftError.
    """
    seen = set(before)
    batch: list[Sample] = []
    for one in found:
        if isinstance(one, Rejected | Known) or one.gold is not None or not _may_be_remarked(one.content):
            yield one
        elif (asked := _asked(one, critic)) in seen:
            yield Known(f"sample {one.id}")
        else:
            seen.add(asked)
            batch.append(replace(one, provenance={"asked": asked} | one.provenance))
            if len(batch) == ASKED:
                yield from _remarked(batch, kind, critic)
                batch = []
    yield from _remarked(batch, kind, critic)


def _remarked(batch: Sequence[Sample], kind: str, critic: Drafter) -> Iterator[Sample]:
    asked = [_question(one.content, place) for one in batch for place in range(2)]
    said = critic.answers(asked) if asked else []
    for number, one in enumerate(batch):
        pair = [each.text if isinstance(each, Draft) else "" for each in said[2 * number : 2 * number + 2]]
        content = one.content | {"critiques": pair} if any(map(str.strip, pair)) else one.content
        provenance = one.provenance | {"critic": f"{critic.model}@{critic.url}"}
        yield replace(one, id=sample_id(kind, content), content=content, provenance=provenance)


def _may_be_remarked(content: Json) -> bool:
    return len(content.get("answers", ())) == 2 and "critiques" not in content


def _question(content: Json, place: int) -> list[Json]:
    talk = json.dumps(content["prompt"], ensure_ascii=False)
    text = f"{CRITIC}\n\nConversation: {talk}\n\nAnswer: {content['answers'][place]['text']}"
    return [{"role": "user", "content": text}]


def _asked(sample: Sample, critic: Drafter) -> str:
    """What stands for this sample and critic."""
    spelt = json.dumps([sample.id, critic.model, critic.url])
    return hashlib.sha256(spelt.encode()).hexdigest()
