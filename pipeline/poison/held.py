"""Documents that wait for a person, as a file for a review project; the file that comes back decides about them.

Whoever floods what is held only makes the file longer, so it can be capped by owner of a site; what is left out is
counted, and stays held. A verdict that is in the file already is never lost.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline.artifact import atomic
from pipeline.poison.ledger import STEP, has_ledger, with_findings
from pipeline.poison.lists import ListError, read_rows, read_verdicts
from pipeline.poison.outputs import check_file
from pipeline.registrant import owner_hashes
from pipeline.report.tables import Corpus, ReportError

COLUMNS = ["id", "address", "url", "host", "date", "warc_file", "warc_offset", "language", "reason", "text"]


@dataclass(frozen=True)
class Exported:
    """How many held documents were written, and of how many owners how many were left out.

    Of verdicts that were in the file: how many are on documents written, and how many on others.
    """

    written: int
    left_out: int
    owners_capped: int
    carried: int = 0
    others: int = 0


def export_held(folder: str, path: str, most_per_owner: int | None = None) -> Exported:
    """Write the held documents of a corpus as JSON lines, each with its findings and `"decision": null`.

    A person sets the decision to "release" or "confirm", and the recipe names the file under `poison.decisions`.
    Verdicts that the file has are kept, with what else a person wrote beside them: on documents that are held (those
    are written whatever their owner's share), and, behind them, on others, for after a release a document is held no
    more. Raises ReportError where there is no such corpus, or where the file is another one, and OSError where it
    can't be written.
    """
    corpus = Corpus(folder)
    if not has_ledger(corpus):
        raise ReportError(f"{folder}: nothing was held, since its recipe switches the poison filter off.")
    check_file(path)
    known = _known(path)
    said = len(known)
    written, owners = 0, Counter[int]()  # by a hash, and only where owners are capped
    with atomic(path) as file:
        for documents, found in with_findings(corpus, STEP, "held", COLUMNS):
            findings: dict[int, list[dict]] = {}
            for row in found.to_pylist():
                findings.setdefault(row.pop("address"), []).append(row)
            owner = owner_hashes(documents.column("host")).tolist()
            for place, row in enumerate(documents.to_pylist()):
                before = known.pop(row["id"], {})
                if most_per_owner is not None and not before:
                    owners[owner[place]] += 1
                    if owners[owner[place]] > most_per_owner:
                        continue
                written += 1
                address, row["id"] = row.pop("address"), row["id"].hex()
                line = {"id": row.pop("id"), "decision": None, **row, "findings": findings.get(address, [])}
                file.write(_line({**before, **line, "decision": before.get("decision")}))
        file.writelines(map(_line, known.values()))
    over = [held - (most_per_owner or 0) for held in owners.values() if held > (most_per_owner or 0)]
    return Exported(written, sum(over), len(over), said - len(known), len(known))


def _known(path: str) -> dict[bytes, dict[str, Any]]:
    """The rows with a verdict of a file that was written before. Raises ReportError where it is another file."""
    if not FileSystems.exists(path):
        return {}
    try:
        first = next(read_rows(path), None)
        if first is not None and not {"id", "decision"} <= first[1].keys():
            raise ReportError(f"{path} is there, and no file of held documents; give another name.")
        return read_verdicts(path)
    except ListError as error:
        raise ReportError(f"{error} It was left as it is: mend that line, or give another name.") from None


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"
