"""log.jsonl: one line a training step, in order, none twice, however often the run was stopped and resumed."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TextIO

from trainer.checkpoint import write_whole


@dataclass(frozen=True)
class Record:
    """A finished step. Losses are means in nats a token; the validation's are null at steps that did not evaluate."""

    step: int
    """How many steps are done, this one included: 1 is the first."""
    loss: float
    """Of this step's batch, before its update."""
    grad_norm: float
    """Before clipping."""
    lr: float
    tokens_per_second: float
    """Of this step alone, without evaluation and saving."""
    seconds: float
    """Since the run began, the time in which it was stopped left out."""
    val_loss: float | None = None
    bits_per_byte: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """What a stage counts besides: accuracy, reward, KL, ..."""


class Log:
    """Appends records to a file; opening it drops what lies behind `step`, and a last line that was cut short."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.records = [record for record in read_log(path) if record.step <= step]
        write_whole(path, "".join(_line(record) for record in self.records))
        self._file: TextIO = path.open("a")

    def append(self, record: Record) -> None:
        self._file.write(_line(record))
        self._file.flush()

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_log(path: Path) -> list[Record]:
    """The records of a log.jsonl; none where there is no file. A half-written last line is left out."""
    if not path.exists():
        return []
    whole_lines = path.read_text().split("\n")[:-1]
    return [Record(**json.loads(line)) for line in whole_lines]


def _line(record: Record) -> str:
    return json.dumps(dataclasses.asdict(record)) + "\n"
