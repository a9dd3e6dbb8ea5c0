"""Rows of training data as the detectors see them: what is read, what is learnt, and what is learnt to be worse.

A row may hold several samples (a tree of messages, say); findings are about rows, statistics about samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.records import Comparison, Demonstration, Ranking, Record, Rejected, Turns, Unpaired
from trainer.records.convert import LOOKED_AT, detect
from trainer.records.forms import FORMS, Form
from trainer.records.read import KINDS, kind_of, reject
from trainer.records.rows import DEFAULT, Limits, Row, find_files, read_rows

ANNOTATORS = ("annotators", "annotator", "annotator_id", "worker")
"""Columns that name who judged: a name, or a list of names. The first is what our label store writes."""

EXPECTED = {
    "demonstrations": (("messages",), ("conversations",), ("prompt", "completion"), ("instruction", "output")),
    "comparisons": (("prompt", "chosen", "rejected"), ("prompt", "completions", "ranks")),
    "single verdicts": (("prompt", "completion", "label"), ("messages", "label")),
}
"""Columns of which one set has to be there, but in the forms that are known by who writes them."""
AUTHORED = "Self-Instruct, GSM8K or OpenAssistant"


@dataclass(frozen=True)
class Place:
    """Where a row stands: its file, and its line (or row of Parquet), from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}, row {self.line}" if self.path.suffix == ".parquet" else f"{self.path}:{self.line}"


@dataclass
class Samples:
    """Columns of equal length, one entry a sample; `places` has one entry a row, and `row` says whose a sample is.

    `prompts` is all that people, the system and tools say before the answer; `answers` what is learnt (of a comparison
    the better answer); `others` the worse answer of a comparison; `good` the verdict of an unpaired answer.
    """

    places: list[Place] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    others: list[str | None] = field(default_factory=list)
    good: list[bool | None] = field(default_factory=list)
    annotators: list[tuple[str, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def row(self) -> npt.NDArray[np.int64]:
        """The row of each sample."""
        return np.array(self.rows, np.int64)

    @property
    def paired(self) -> npt.NDArray[np.int64]:
        """The samples that are comparisons."""
        return np.flatnonzero(np.array([other is not None for other in self.others], np.bool_))

    def take(self, chosen: npt.NDArray[np.int64]) -> "Samples":
        """Some of the samples, with the same places."""
        columns = (self.rows, self.prompts, self.answers, self.others, self.good, self.annotators)
        return Samples(self.places, self.rejected, *([column[i] for i in chosen] for column in columns))

    def add(self, record: Record | Comparison, annotators: tuple[str, ...] = ()) -> None:
        """Takes in a record of the last row. A ranking is its best answer against its worst."""
        before, answer, other, good = _parts(record)
        self.rows.append(len(self.places) - 1)
        self.prompts.append(_said(before, assistant=False))
        self.answers.append(_said(answer, assistant=True))
        self.others.append(None if other is None else _said(other, assistant=True))
        self.good.append(good)
        self.annotators.append(annotators)


def read_samples(paths: str | Path | Sequence[str | Path], limits: Limits = DEFAULT) -> Samples:
    """Rows of JSONL or Parquet, in the columns that the trainer reads or in a form that `train convert` knows.

    Rows that cannot be read are in `rejected`. Raises ValueError or OSError where a file is of no form that is known.
    """
    samples = Samples()
    for path in find_files(paths):
        form = _form(path, limits)
        for row in read_rows(path, limits):
            if isinstance(row, Rejected):
                samples.rejected.append(row)
                continue
            try:
                records = [KINDS[kind_of(columns) or ""](columns, limits) for columns in form.rewrite(row.fields)]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                fault = error if isinstance(error, ValueError | RecursionError) else ValueError("not as the others are")
                samples.rejected.append(reject(row, fault))
                continue
            samples.places.append(Place(path, row.line))
            for record in records:
                samples.add(record, _annotators(row))
    return samples


def _form(path: Path, limits: Limits) -> Form:
    """The form of a file's rows. Raises ValueError that says which columns it has, and which would do."""
    try:
        return FORMS[detect(path, limits)]
    except ValueError:
        read = (row for row in islice(read_rows(path, limits), LOOKED_AT) if isinstance(row, Row))
        if (first := next(read, None)) is None:
            raise  # no row can be read at all, and the error says why
    there = ", ".join(repr(name[:40]) for name in list(first.fields)[:12])
    wanted = "; ".join(f"{' or '.join(map(' + '.join, sets))} for {kind}" for kind, sets in EXPECTED.items())
    raise ValueError(
        f"{path}: of its columns ({there or 'none'}) no rows can be made; "
        f"expected {wanted}; or rows as {AUTHORED} has them. Rename the columns"
    )


def _parts(record: Record | Comparison) -> tuple[Turns, Turns, Turns | None, bool | None]:
    """(before, answer, worse answer, verdict); a demonstration's turns that are only read are before it."""
    if isinstance(record, Demonstration):
        learnt = [turn.role == "assistant" and turn.trained for turn in record.messages]
        pairs = list(zip(record.messages, learnt, strict=True))
        return tuple(turn for turn, yes in pairs if not yes), tuple(turn for turn, yes in pairs if yes), None, None
    if isinstance(record, Ranking):
        return record.prompt, record.completions[0], None if record.tied else record.completions[-1], None
    if isinstance(record, Comparison):
        return record.prompt, record.chosen, record.rejected, None
    if isinstance(record, Unpaired):
        return record.prompt, record.completion, None, record.good
    return record.messages, (), None, None


def _said(turns: Turns, assistant: bool) -> str:
    return "\n".join(_texts(turns, assistant))


def _texts(turns: Turns, assistant: bool) -> Iterator[str]:
    for turn in turns:
        if (turn.role == "assistant") == assistant:
            yield turn.content
            yield from (f"{call.tool} {call.input}" for call in turn.calls)


def _annotators(row: Row) -> tuple[str, ...]:
    for name in ANNOTATORS:
        value = row.fields.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return (str(value),)
        if isinstance(value, list):
            return tuple(str(one)[:100] for one in value)
    return ()
