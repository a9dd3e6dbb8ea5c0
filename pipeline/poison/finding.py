"""What a detector says: one row for each place in a text that a rule points at.

Detectors are pure functions over a batch of texts; what happens to a finding (tag, strip, hold, remove) is for the
recipe to say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

EVIDENCE = 200
"""Characters of evidence that a finding keeps."""

FINDING = pa.schema(
    [
        ("document", pa.int32()),
        ("rule", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("score", pa.float32()),
        ("evidence", pa.string()),
    ]
)
"""`document` is the row in the batch; [`start`, `end`) counts code points of that document's text; `score` is the
rule's own measure, higher is worse; `evidence` is what was matched, or decoded, for a person to read."""

FOUND = pa.schema([("address", pa.uint64()), *list(FINDING)[1:]])
"""A finding as the inspect step leaves it: of a document by its address."""

LEDGER = pa.schema([*FOUND, ("hosts", pa.int32()), ("outcome", pa.string())])
"""A finding with what came of it; `hosts` is how many owners of sites share it, where that was counted."""

Row = tuple[int, str, int, int, float, str]
"""The columns of FINDING."""


@dataclass
class Findings:
    """Gathers findings row by row; `batch()` has them in order of document, start, rule."""

    rows: list[Row] = field(default_factory=list)

    def add(self, document: int, rule: str, start: int, end: int, score: float, evidence: str) -> None:
        """One finding; the evidence is cut at EVIDENCE characters."""
        self.rows.append((int(document), rule, int(start), int(end), float(score), evidence[:EVIDENCE]))

    def extend(self, others: Iterable[Row]) -> None:
        """Rows of other findings."""
        self.rows.extend(others)

    def batch(self) -> pa.RecordBatch:
        """The rows as a record batch of the schema FINDING."""
        rows = sorted(self.rows)
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [() for _ in FINDING]
        arrays = [pa.array(column, kind.type) for column, kind in zip(columns, FINDING, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=FINDING)
        return batch.sort_by([("document", "ascending"), ("start", "ascending"), ("rule", "ascending")])
