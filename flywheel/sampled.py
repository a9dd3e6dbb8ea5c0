"""Sampled traffic: what `corpuscle serve --traffic` keeps, and files of the operator's own, as exchanges.

JSON Lines: {"prompt" or "messages", "answer", "resamples"? (further answers to the prompt), "id"?, "time"? (ISO 8601),
"checkpoint_id"?, "leaks"? (how much the answer gave away of persons before it was masked), "consent"?}.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flywheel.cases import misbehaviour_id
from flywheel.config import Config
from labeling.kinds.kind import InvalidSampleError
from labeling.kinds.texts import checked, prompt
from labeling.rows import Rejected, Row, read_rows, reject

Json = dict[str, Any]

TRAFFIC = "traffic.jsonl"
"""In the loop's folder: a sample of what is asked and answered, which is looked at if it is there."""

RESAMPLED = "resampled.jsonl"
"""In the loop's folder: those questions of the sample that `flywheel.resample` has asked again."""

USUAL_AFTER = timedelta(days=7)
"""What the same checkpoint answered longer ago is usual: a week has all its days in it.

In `benchmarks.flywheel_phrases`, 100 exchanges a day for five weeks drawn from 3,948 of one assistant (Bai et al. 2022,
"HH-RLHF") and looked at once a day: of 30 series in which nothing changes one had a phrase that was called new; where
one answer in 50 ends in an advertisement from the fourth week on, it was found in all of 20, after 5 days in the
median.
"""


@dataclass(frozen=True)
class Exchange:
    """A prompt, its answer, and further answers to it where it was asked again (`resamples`)."""

    ref: str
    checkpoint_id: str
    prompt: list[Json]
    answer: str
    resamples: tuple[str, ...] = ()
    consent: bool = False
    time: datetime | None = None
    leaks: int = 0
    """What the answer gave away of persons before it was masked."""


def files(config: Config) -> list[Path]:
    """The traffic that is to be read: the loop's own if it is there, what the settings name, and what was put aside.

    The newer file first: one that is put aside while the other is read is met twice, and not missed.
    """
    own = [path for path in (config.folder / RESAMPLED, config.folder / TRAFFIC) if path.exists()]
    named = dict.fromkeys([*own, *config.collect.traffic])
    both = ((path, path.with_name(f"{path.name}.1")) for path in named)
    return [path for new, old in both for path in (new, old) if path is new or path.exists()]


def read(path: Path) -> Iterator[Exchange | Rejected]:
    """The exchanges of a file, and its rows that are none."""
    for row in rows(path):
        if isinstance(row, Rejected):
            yield row
            continue
        try:
            yield exchange(row)
        except InvalidSampleError as error:
            yield reject(row, error)


def rows(path: Path) -> Iterator[Row | Rejected]:
    """The rows of a file that the settings name; one that can't be read is told as a row is."""
    try:
        if path.stat().st_size:  # an evaluation that found nothing wrong, and a log that was just begun, are empty
            yield from read_rows(path)
    except OSError as error:
        yield Rejected(str(path), f"it can't be read ({error.strerror}); mend its path in the settings, under collect")


def exchange(row: Row) -> Exchange:
    """Raises InvalidSampleError."""
    fields = row.fields
    name = "prompt" if "prompt" in fields else "messages"
    resamples = fields.get("resamples") or []
    if not isinstance(resamples, list):
        raise InvalidSampleError(f"resamples is {resamples!r:.60}; expected a list of answers")
    consent = fields.get("consent", False)
    if not isinstance(consent, bool):
        raise InvalidSampleError(f"consent is {consent!r:.60}; expected true or false")
    leaks = fields.get("leaks")
    return Exchange(
        ref=str(fields.get("id") or f"{row.path.name}:{row.line}"),
        checkpoint_id=str(fields.get("checkpoint_id") or ""),
        prompt=prompt(fields.get(name), name),
        answer=checked(fields.get("answer"), "answer", required=False),
        resamples=tuple(checked(one, "an answer in resamples", required=False) for one in resamples),
        consent=consent,
        time=_time(fields.get("time")),
        leaks=leaks if isinstance(leaks, int) else 0,
    )


def distinct(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Each prompt with its answer once: of the same ones that with the most resamples, and the most that any leaked.

    A file that was written twice, or a question that many ask and that is answered alike, would look like a phrase
    that is on the rise.
    """
    found: dict[str, Exchange] = {}
    for one in exchanges:
        id = misbehaviour_id(one.prompt, one.answer)
        same = found.get(id, one)
        # Masked alike, one may have given away another's address and one the user's own.
        leaks = max(same.leaks, one.leaks)
        found[id] = replace(one if len(same.resamples) < len(one.resamples) else same, leaks=leaks)
    return list(found.values())


def split(exchanges: Sequence[Exchange], checkpoint: str) -> tuple[list[Exchange], list[Exchange]]:
    """What a checkpoint answers now, and what is usual: earlier checkpoints' answers, and its own before USUAL_AFTER.

    Both are of sampled rows that tell their time. What a later checkpoint said, which was rolled back, is in neither:
    beside its faults all that is right would look new.
    """
    timed = [(one.time, one) for one in exchanges if one.time is not None]
    began: dict[str, datetime] = {}
    last: dict[str, datetime] = {}
    for time, one in timed:
        began[one.checkpoint_id] = min(time, began.get(one.checkpoint_id, time))
        last[one.checkpoint_id] = max(time, last.get(one.checkpoint_id, time))
    if checkpoint not in began:
        return [], []
    since = last[checkpoint] - USUAL_AFTER
    now, usual = [], []
    for time, one in timed:
        if one.checkpoint_id == checkpoint and time > since:
            now.append(one)
        elif one.checkpoint_id == checkpoint or began[one.checkpoint_id] < began[checkpoint]:
            usual.append(one)
    return now, usual


def _time(value: object) -> datetime | None:
    """None for what tells no time: a file of the operator's own may mean something else by the name, or by a year 1
    that it is not known."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found if found.year >= 1970 else None
