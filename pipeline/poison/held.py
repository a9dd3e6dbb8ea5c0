"""Documents that wait for a person, as a file for a review project; the file that comes back decides about them.

Whoever floods what is held only makes the file longer, so it can be capped by owner of a site; what is left out is
counted, and stays held.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.artifact import atomic
from pipeline.crawl.registrant import registrant
from pipeline.poison.ledger import STEP, has_ledger, read_findings
from pipeline.report.tables import Corpus, ReportError

COLUMNS = ["id", "address", "url", "host", "date", "warc_file", "warc_offset", "language", "reason", "text"]


@dataclass(frozen=True)
class Exported:
    """How many held documents were written, and of how many owners how many were left out."""

    written: int
    left_out: int
    owners_capped: int


def export_held(folder: str, path: str, most_per_owner: int | None = None) -> Exported:
    """Write the held documents of a corpus as JSON lines, each with its findings and `"decision": null`.

    A person sets the decision to "release" or "confirm", and the recipe names the file under `poison.decisions`.
    Raises ReportError where there is no such corpus.
    """
    corpus = Corpus(folder)
    if not has_ledger(corpus):
        raise ReportError(f"{folder}: nothing was held, since its recipe switches the poison filter off.")
    findings: dict[int, list[dict[str, Any]]] = {}
    held: set[int] = set()
    for _, batch in corpus.batches(STEP, "held", ["address"]):
        held.update(batch.column("address").to_pylist())
    for batch in read_findings(corpus, held):
        for row in batch.to_pylist():
            findings.setdefault(row.pop("address"), []).append(row)
    owners, left_out = Counter[str](), Counter[str]()
    with atomic(path) as file:
        for _, batch in corpus.batches(STEP, "held", COLUMNS):
            for row in batch.to_pylist():
                owner = registrant(row["host"] or "")
                if most_per_owner is not None and owners[owner] >= most_per_owner:
                    left_out[owner] += 1
                    continue
                owners[owner] += 1
                address, row["id"] = row.pop("address"), row["id"].hex()
                line = {"id": row.pop("id"), "decision": None, **row, "findings": findings.get(address, [])}
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    return Exported(owners.total(), left_out.total(), len(left_out))
