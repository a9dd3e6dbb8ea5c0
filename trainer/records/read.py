"""Reads what a model is taught with: each row checked, each bad one named with its line and what to do about it.

The columns are those of TRL's dataset formats, and the ones that our label store writes.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from trainer.records import kinds
from trainer.records.kinds import Demonstration, Prompt, Ranking, Record, Unpaired
from trainer.records.rows import DEFAULT, EXCERPT, Limits, Rejected, Row, find_files, read_rows
from trainer.records.turns import answer_turns, hh_turns, prompt_turns, turns
from trainer.talk.conversation import Message

T = TypeVar("T", bound=Record)
Columns = Mapping[str, Any]
Paths = str | Path | Sequence[str | Path]

READ = (
    *("messages", "prompt", "completion", "chosen", "rejected", "margin", "completions", "ranks", "label"),
    *("answer", "solution", "weight"),
)
"""The columns that are read."""

KNOWN = (
    *("sample_id", "id", "source", "tools"),
    *("admission_reason", "annotators", "instruction_version", "provenance"),
)
"""Others that may be there, and are left alone."""

SHOWN = 20
"""Errors that a message lists."""


ALIKE = 5
"""So many errors that are all the same are listed as one."""


class RecordsError(ValueError):
    """Rows that cannot be used: all of them in `rejected`, the first 20 in the message."""

    def __init__(self, rejected: Sequence[Rejected], good: int) -> None:
        self.rejected = tuple(rejected)
        if len(rejected) == 1:
            super().__init__(str(rejected[0]))
            return
        listed = [str(row) for row in rejected[:SHOWN]]
        if len(rejected) > SHOWN:
            listed.append(f"... and {len(rejected) - SHOWN:,} more")
        if len(rejected) >= ALIKE and len({row.reason for row in rejected}) == 1:  # a file of the wrong kind, say
            listed = [str(rejected[0]), f"and {len(rejected) - 1:,} more for the same reason"]
        head = f"{len(rejected):,} of {len(rejected) + good:,} records cannot be used; correct them or leave them out:"
        super().__init__("\n  ".join([head, *listed]))


@dataclass(frozen=True)
class Records(Sequence[T], Generic[T]):
    """What was read: a sequence of the good records in the files' order, each of them once."""

    good: tuple[T, ...]
    rejected: tuple[Rejected, ...] = ()
    duplicates: int = 0
    """How many more rows had the id of one before."""
    notes: tuple[str, ...] = field(default=())
    """What a person should know: columns that are likely misspelt, rankings without a winner."""

    def __len__(self) -> int:
        return len(self.good)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.good[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self.good)


def read_demonstrations(path: Paths, skip_bad: bool = False, limits: Limits = DEFAULT) -> Records[Demonstration]:
    """`messages`, or `prompt` and `completion`; `weight`.

    `path` is a file (JSONL or Parquet), a folder of such, or several. Raises RecordsError with all bad rows; with
    `skip_bad` they are in the result's `rejected`, and it is raised only where no good row is left.
    """
    return _read(path, demonstration, skip_bad, limits)


def read_comparisons(path: Paths, skip_bad: bool = False, limits: Limits = DEFAULT) -> Records[Ranking]:
    """`prompt` with `chosen` and `rejected` (`margin`) or with `completions` and `ranks`; `weight`.

    Without `prompt`, chosen and rejected are whole conversations, as lists or as HH-RLHF's text, and the prompt is what
    they share. Rankings in which all are equal have nothing to say, and are left out with a note. Else as
    `read_demonstrations`.
    """
    return _read(path, comparison, skip_bad, limits)


def read_unpaired(path: Paths, skip_bad: bool = False, limits: Limits = DEFAULT) -> Records[Unpaired]:
    """`prompt` and `completion`, or `messages`, and `label`: true for good; `weight`. Else as `read_demonstrations`."""
    return _read(path, unpaired, skip_bad, limits)


def read_prompts(
    path: Paths, skip_bad: bool = False, limits: Limits = DEFAULT, check: Callable[[Prompt], None] | None = None
) -> Records[Prompt]:
    """`prompt`, and `answer` or `solution` where there is a right one; `weight`. Else as `read_demonstrations`.

    `check` raises ValueError for a prompt that can't be used, whose row is then a bad one.
    """
    return _read(path, prompt, skip_bad, limits, check)


def demonstration(row: Columns, limits: Limits = DEFAULT) -> Demonstration:
    """One row's columns -> a record. Raises ValueError without the place; so do the three below."""
    if isinstance(row.get("label"), bool):
        raise ValueError(
            "it has a label, good or bad: a row of unpaired, not of demonstrations, or bad ones are learnt"
        )
    if _has(row, "messages"):
        messages = _column(row, "messages", turns, limits)
    elif _has(row, "prompt", "completion"):
        read = kinds.as_prompt(_column(row, "prompt", prompt_turns, limits))
        messages = [*read, *_column(row, "completion", answer_turns, limits)]
    else:
        raise ValueError(_missing(row, 'expected "messages", or "prompt" and "completion"', "demonstrations"))
    return kinds.demonstration(messages, _weight(row))


def comparison(row: Columns, limits: Limits = DEFAULT) -> Ranking:
    if _has(row, "prompt", "completions", "ranks"):
        completions, ranks = row["completions"], row["ranks"]
        if not isinstance(completions, list) or not isinstance(ranks, list):
            raise ValueError("completions or ranks is no list; expected one of each, equally long")
        if len(completions) > limits.messages:
            raise ValueError(f"{len(completions):,} completions; at most {limits.messages:,} are read")
        if not all(type(rank) is int for rank in ranks):
            raise ValueError(f"ranks {ranks}; expected whole numbers, 1 for the best")
        read = _column(row, "prompt", prompt_turns, limits)
        answers = [_column({"completions": one}, "completions", answer_turns, limits) for one in completions]
        return kinds.ranking(read, answers, ranks, _margin(row), _weight(row))
    if not _has(row, "chosen", "rejected"):
        expected = 'expected "chosen" and "rejected" (and "prompt"), or "prompt", "completions" and "ranks"'
        raise ValueError(_missing(row, expected, "comparisons"))
    if _has(row, "prompt"):
        read = _column(row, "prompt", prompt_turns, limits)
        pair = [_behind(read, _column(row, name, answer_turns, limits), name) for name in ("chosen", "rejected")]
    else:
        read, *pair = _part(*(_column(row, name, _conversation, limits) for name in ("chosen", "rejected")))
    return kinds.ranking(read, pair, (1, 2), _margin(row), _weight(row))


def unpaired(row: Columns, limits: Limits = DEFAULT) -> Unpaired:
    whole = _has(row, "messages", "label")
    if not (whole or _has(row, "prompt", "completion", "label")):
        raise ValueError(_missing(row, 'expected "prompt" and "completion" (or "messages"), and "label"', "unpaired"))
    if not isinstance(row["label"], bool):
        raise ValueError(f"label is {row['label']!r:.60}; expected true (good) or false (bad)")
    if whole:
        read, answer = _last_answer(_column(row, "messages", turns, limits))
    else:
        read = _column(row, "prompt", prompt_turns, limits)
        answer = _column(row, "completion", answer_turns, limits)
    return kinds.unpaired(read, answer, row["label"], _weight(row))


def prompt(row: Columns, limits: Limits = DEFAULT) -> Prompt:
    if not _has(row, "prompt"):
        raise ValueError(_missing(row, 'expected "prompt"', "prompts"))
    answer = row.get("answer") if row.get("answer") is not None else row.get("solution")
    if answer is not None and (isinstance(answer, bool) or not isinstance(answer, str | int | float)):
        raise ValueError(f"answer is {answer!r:.60}; expected text or a number")
    read = _column(row, "prompt", prompt_turns, limits)
    return kinds.prompt(read, None if answer is None else str(answer), _weight(row))


KINDS: dict[str, Callable[[Columns, Limits], Record]] = {
    "demonstrations": demonstration,
    "comparisons": comparison,
    "unpaired": unpaired,
    "prompts": prompt,
}


READERS: dict[str, Callable[..., Records[Any]]] = {
    "demonstrations": read_demonstrations,
    "comparisons": read_comparisons,
    "unpaired": read_unpaired,
    "prompts": read_prompts,
}


def kind_of(row: Columns) -> str | None:
    """Which of KINDS a row's columns make it, the one that says most; None for none of them."""
    if _has(row, "chosen", "rejected") or _has(row, "prompt", "completions", "ranks"):
        return "comparisons"
    if isinstance(row.get("label"), bool) and (_has(row, "messages") or _has(row, "prompt", "completion")):
        return "unpaired"
    if _has(row, "messages") or _has(row, "prompt", "completion"):
        return "demonstrations"
    return "prompts" if _has(row, "prompt") else None


def _read(
    path: Paths,
    make: Callable[[Columns, Limits], T],
    skip_bad: bool,
    limits: Limits,
    check: Callable[[T], None] | None = None,
) -> Records[T]:
    good: dict[str, T] = {}
    rejected: list[Rejected] = []
    duplicates = ties = 0
    strange: Counter[str] = Counter()
    for file in find_files(path):
        for row in read_rows(file, limits, READ):
            if isinstance(row, Rejected):
                rejected.append(row)
                continue
            strange.update(name for name in row.fields if name not in READ and name not in KNOWN)
            try:
                record = make(row.fields, limits)
                if check is not None:
                    check(record)
            except (ValueError, RecursionError) as error:
                rejected.append(reject(row, error))
                continue
            duplicates += record.id in good
            ties += isinstance(record, Ranking) and record.tied
            good.setdefault(record.id, record)
    kept = tuple(record for record in good.values() if not (isinstance(record, Ranking) and record.tied))
    if rejected and not (skip_bad and kept):
        raise RecordsError(rejected, len(good) + duplicates)
    notes = [
        f'the column {name[:40]!r} of {count:,} rows is not read; did you mean "{near[0]}"?'
        for name, count in strange.items()
        if (near := _near(name))
    ]
    if ties:
        notes.append(f"{ties:,} rankings are left out: all their answers are equal, so there is nothing to learn")
    return Records(kept, tuple(rejected), duplicates, tuple(notes))


def reject(row: Row, error: Exception) -> Rejected:
    """The row as one that cannot be used for this reason."""
    if isinstance(error, RecursionError):
        return Rejected(row.path, row.line, "nested too deeply; expected text and lists of messages", row.raw)
    return Rejected(row.path, row.line, str(error), row.raw or str(row.fields)[:EXCERPT])


def _has(row: Columns, *names: str) -> bool:
    return all(row.get(name) is not None for name in names)


def _near(name: str) -> list[str]:
    return difflib.get_close_matches(name.lower(), READ, 1, 0.75)


def _missing(row: Columns, expected: str, kind: str) -> str:
    there = [name for name in row if row[name] is not None or name not in READ]
    message = f"{expected}; found {', '.join(repr(name[:40]) for name in there[:12]) or 'no column'}"
    for name in there:
        if name not in READ and name not in KNOWN and (near := _near(name)):
            return f'{message}: rename {name[:40]!r} to "{near[0]}"'
    other = kind_of(row)
    if other and other != kind:
        return f"{message}: that is a row of {other}, not of {kind}"
    return f"{message}. `corpuscle train convert` rewrites ShareGPT, Alpaca and others"


Parse = Callable[[object, int], list[Message]]


def _column(row: Columns, name: str, parse: Parse, limits: Limits) -> list[Message]:
    try:
        return parse(row[name], limits.messages)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _conversation(value: object, most: int) -> list[Message]:
    return hh_turns(value, most) if isinstance(value, str) else turns(value, most)


def _behind(read: list[Message], answer: list[Message], name: str) -> list[Message]:
    """The answer without the prompt, which some sets repeat in it (UltraFeedback's, for one)."""
    if not answer or answer[0].role == "assistant":
        return answer
    if answer[: len(read)] != read:
        raise ValueError(f"{name}: it begins with the {answer[0].role}, but not with the prompt; expected the answer")
    return answer[len(read) :]


def _last_answer(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """(everything up to the last user's message, what stands behind it)."""
    asked = max((place for place, turn in enumerate(messages) if turn.role == "user"), default=-1)
    if asked < 0:
        raise ValueError("messages: none is a user's; expected a question and its answer")
    return messages[: asked + 1], messages[asked + 1 :]


def _part(chosen: list[Message], rejected: list[Message]) -> tuple[list[Message], list[Message], list[Message]]:
    """(what both share up to a user's message or a tool's result, the rest of each)."""
    shared = 0
    for first, second in zip(chosen, rejected, strict=False):
        if first != second:
            break
        shared += 1
    while shared and (chosen[shared - 1].role not in ("user", "tool") or shared in (len(chosen), len(rejected))):
        shared -= 1
    if not shared:
        raise ValueError('chosen and rejected share no beginning; expected "prompt", or conversations that begin alike')
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _margin(row: Columns) -> float | None:
    return _number(row["margin"], "margin") if row.get("margin") is not None else None


def _weight(row: Columns) -> float:
    return _number(row["weight"], "weight") if row.get("weight") is not None else 1.0


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r:.60}; expected a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is larger than any number that is computed with; expected a smaller one") from None
