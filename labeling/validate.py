"""What an annotation from Label Studio says, or why it says nothing.

Label Studio checks no result (a choice that the project doesn't offer is stored like any other), its users may edit
tasks and configurations in the page, and whoever has a token may write what they like: so all is checked here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rapidfuzz.distance import Levenshtein

from labeling.kinds.kind import InvalidResultError, Json, Kind
from labeling.storable import storable_json
from labeling.store.labels import StoredSample

LARGEST = 1_000_000
"""Most bytes of a result that are looked at and stored; a larger one is set aside without its contents."""

COMPARED = 20_000
"""Most characters of a draft and an answer that are compared at once: quadratic, 9 ms for two such texts."""

DEEPEST = 50
"""Most levels of lists and objects in a result, of which a page's own has five: Label Studio takes 800, and Python ends
a program near 1,000."""

SKIPPED = "skipped"


@dataclass(frozen=True)
class Raw:
    """The parts of an annotation that are used, with the types they must have."""

    id: int
    annotator: int
    result: list[Any]
    skipped: bool
    seconds: float | None
    created: datetime
    updated: datetime


@dataclass(frozen=True)
class Judged:
    """A verdict, or the reason why there is none."""

    result: list[Any]
    verdict: Json | None
    reason: str | None
    draft_distance: float | None


def read(annotation: Mapping[str, Any]) -> Raw:
    """Raises ValueError for what is no annotation at all: no id, no time, nobody who made it."""
    try:
        by = annotation["completed_by"]
        seconds = annotation.get("lead_time")
        result = annotation.get("result") or []
        return Raw(
            id=int(annotation["id"]),
            annotator=int(by["id"] if isinstance(by, Mapping) else by),
            result=result if isinstance(result, list) else [result],
            skipped=bool(annotation.get("was_cancelled")),
            seconds=None if seconds is None else float(seconds),
            created=moment(annotation["created_at"]),
            updated=moment(annotation["updated_at"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"an annotation without a usable id, annotator or time ({type(error).__name__})") from None


def judge(kind: Kind, sample: StoredSample | None, raw: Raw, data: Mapping[str, Any]) -> Judged:
    """What `raw` says of `sample`; `data` is the task's, as Label Studio has it now."""
    if _deep(raw.result):
        return Judged([], None, f"a result of more than {DEEPEST} levels", None)
    size = len(json.dumps(raw.result, ensure_ascii=True))
    if size > LARGEST:
        return Judged([], None, f"a result of {size:,} bytes; at most {LARGEST:,} are accepted", None)
    result = storable_json(raw.result)
    if raw.skipped:
        return Judged(result, None, SKIPPED, None)
    if sample is None:
        return Judged(result, None, "the task was not pushed from here, so nobody knows what was asked", None)
    if _edited(kind, sample, data):
        return Judged(result, None, "the task's text was changed in Label Studio after it was pushed", None)
    try:
        verdict = kind.verdict(result, sample.content, sample.order)
    except InvalidResultError as error:
        return Judged(result, None, str(error), None)
    return Judged(result, verdict, None, draft_distance(sample.draft, verdict.get("answer")))


def draft_distance(draft: str | None, answer: str | None) -> float | None:
    """Levenshtein's distance over the length of the longer text: 0 for a draft kept as it was, and for no other.

    Of texts longer than COMPARED it is the sum over their pieces of that length, which is the distance or more. None
    without a draft.
    """
    if draft is None or answer is None:
        return None
    if draft == answer:
        return 0.0
    longer = max(len(draft), len(answer))
    pieces = (slice(start, start + COMPARED) for start in range(0, longer, COMPARED))
    return sum(Levenshtein.distance(draft[piece], answer[piece]) for piece in pieces) / longer


def moment(text: str) -> datetime:
    """A time as Label Studio writes it. Raises ValueError where it has no zone."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return time


def _edited(kind: Kind, sample: StoredSample, data: Mapping[str, Any]) -> bool:
    sent = storable_json(kind.task(sample.content, sample.order))
    return _deep(data) or any(storable_json(data.get(name)) != value for name, value in sent.items())


def _deep(value: object) -> bool:
    """Whether there are more than DEEPEST levels."""
    level: list[object] = [value]
    for _ in range(DEEPEST):
        lists = [one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list)]
        level = [inner for one in lists for inner in one]
    return any(isinstance(one, Mapping | list) for one in level)
