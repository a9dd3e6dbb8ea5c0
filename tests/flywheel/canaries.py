"""What tests of canaries have in common: the canary that current.json names, complaints, and a look."""

from datetime import datetime
from typing import Any

from flywheel.config import Config
from flywheel.promote import promote
from labeling.store.database import Database
from labeling.store.reports import Report, add_report
from tests.flywheel.rows import HOUR, NOW
from trainer.pointer import Canary, read_pointer


def canary(config: Config) -> Canary | None:
    return read_pointer(config.current).canary


def complain(database: Database, checkpoint: str, count: int, question: str = "question", **more: Any) -> None:
    for number in range(count):
        asked = [{"role": "user", "content": f"{question} {number}"}, {"role": "assistant", "content": "no"}]
        values: dict[str, Any] = {"category": "wrong", "created": NOW + HOUR}
        add_report(database, Report(checkpoint, asked, **(values | more)))


def looked_at(database: Database, config: Config, now: datetime) -> tuple[str, bool]:
    found = promote(database, config, now)
    assert found is not None
    return found.action, found.new
