"""Demonstrations, comparisons, verdicts and prompts: read from JSONL or Parquet, checked, split and named."""

from trainer.records.kinds import (
    Comparison,
    Demonstration,
    Prompt,
    Ranking,
    Record,
    Turns,
    Unpaired,
    sample_id,
)
from trainer.records.read import (
    Records,
    RecordsError,
    read_comparisons,
    read_demonstrations,
    read_prompts,
    read_unpaired,
)
from trainer.records.rows import Limits, Rejected
from trainer.records.split import digest, split

__all__ = [
    "Comparison",
    "Demonstration",
    "Limits",
    "Prompt",
    "Ranking",
    "Record",
    "Records",
    "RecordsError",
    "Rejected",
    "Turns",
    "Unpaired",
    "digest",
    "read_comparisons",
    "read_demonstrations",
    "read_prompts",
    "read_unpaired",
    "sample_id",
    "split",
]
