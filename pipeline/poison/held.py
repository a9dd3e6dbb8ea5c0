"""Documents that wait for a person, as a file for a review project; the file that comes back decides about them.

Whoever floods what is held only makes the file longer, so it can be capped by owner of a site; what is left out is
counted, and stays held. A verdict that is in the file already is never lost.
"""

import json
from collections import Counter
from collections.abc import Container, Iterator
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
    written, shares = 0, Shares(most_per_owner)
    with atomic(path) as file:
        for id, row in held_documents(corpus, shares, known):
            before = known.pop(id, {})
            written += 1
            line = {"id": row["id"], "decision": None, **row}
            file.write(_line({**before, **line, "decision": before.get("decision")}))
        file.writelines(map(_line, known.values()))
    return Exported(written, shares.left_out, shares.owners_capped, said - len(known), len(known))


class Shares:
    """How many documents each owner of a site has, of whom `most` are looked at; without, all are."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._owners = Counter[int]()  # by a hash, and only where they are capped

    def takes(self, owner: int) -> bool:
        """Whether one more document of this owner is looked at."""
        if self.most is None:
            return True
        self._owners[owner] += 1
        return self._owners[owner] <= self.most

    @property
    def left_out(self) -> int:
        return sum(self._over())

    @property
    def owners_capped(self) -> int:
        return len(self._over())

    def _over(self) -> list[int]:
        most = self.most or 0
        return [count - most for count in self._owners.values() if count > most]


def held_documents(
    corpus: Corpus, shares: Shares, known: Container[bytes] = ()
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """(id, row with its findings) of each document that waits for a person, in the corpus's order.

    Those of `known` ids come whatever their owner's share. Raises ReportError.
    """
    for documents, found in with_findings(corpus, STEP, "held", COLUMNS):
        findings: dict[int, list[dict[str, Any]]] = {}
        for row in found.to_pylist():
            findings.setdefault(row.pop("address"), []).append(row)
        owner = owner_hashes(documents.column("host")).tolist()
        for place, row in enumerate(documents.to_pylist()):
            id, address = row["id"], row.pop("address")
            if id in known or shares.takes(owner[place]):
                yield id, {**row, "id": id.hex(), "findings": findings.get(address, [])}


def _known(path: str) -> dict[bytes, dict[str, Any]]:
    """The rows with a verdict of a file that was written before. Raises ReportError where it is another file."""
    if not FileSystems.exists(path):
        return {}
    try:
        first = next(read_rows(path), None)
        if first is not None and not {"id", "decision"} <= first[1].keys():
            raise ReportError(f"{path} is there, and no file of held documents; give another name.")
        return read_verdicts([path])
    except ListError as error:
        raise ReportError(f"{error} It was left as it is: mend that line, or give another name.") from None


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"
