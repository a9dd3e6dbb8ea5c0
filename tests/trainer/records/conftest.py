"""What the tests of records share: rows that are good, a file of rows, and what is said of a bad one."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.records import (
    RecordsError,
    read_demonstrations,
)
from trainer.talk.conversation import Message

USER, ANSWER = {"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}
ASKED, ANSWERED = Message("user", "2 + 2?"), Message("assistant", "4")
GOOD = {"messages": [USER, ANSWER]}


def said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Rows (objects, or lines as they stand) -> a JSONL file."""

    def write(*rows: object, name: str = "data.jsonl") -> Path:
        lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
        return tmp_path / name

    return write


def complaint(path: Path, read: Any = read_demonstrations, **options: Any) -> str:
    with pytest.raises(RecordsError) as raised:
        read(path, **options)
    return str(raised.value)
