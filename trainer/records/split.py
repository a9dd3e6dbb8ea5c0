"""Train and held-out parts of a set of records, split by prompt; and the digest that names a set."""

import hashlib
from collections.abc import Iterable
from itertools import takewhile
from typing import TypeVar

from trainer.records.kinds import Demonstration, Prompt, Record, Turns

T = TypeVar("T", bound=Record)


def split(records: Iterable[T], share: float, seed: int = 0) -> tuple[list[T], list[T]]:
    """(train, held out). About `share` of the prompts is held out: those whose hash says so.

    So it depends neither on the order nor on what else is in the set, and a prompt lies on the same side in the
    demonstrations, the comparisons and next month's labels. What counts is how a conversation opens, up to the first
    answer and without the system message: the later turns of one conversation must not tell a test about its first.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share to hold out is {share}; expected 0 or more, and less than 1")
    sides: tuple[list[T], list[T]] = ([], [])
    for record in records:
        digest = hashlib.sha256(f"{seed}\n{_opening(_read(record))}".encode()).digest()
        sides[int.from_bytes(digest[:8]) < share * 2**64].append(record)
    return sides


def digest(records: Iterable[Record]) -> str:
    """SHA-256, in hexadecimal, of all that training reads of the records; their order does not matter."""
    lines = sorted(f"{record.id} {record.weight!r} {getattr(record, 'margin', None)!r}\n" for record in records)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read(record: Record) -> Turns:
    return record.messages if isinstance(record, Demonstration | Prompt) else record.prompt


def _opening(turns: Turns) -> str:
    """What is said before the first answer, in small letters and with single spaces: near twins count as one."""
    said = takewhile(lambda turn: turn.role != "assistant", turns)
    return "\n".join(" ".join(turn.content.split()).casefold() for turn in said if turn.role != "system")
