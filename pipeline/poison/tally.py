"""How much each rule found: places, documents, owners of sites, and a few findings to show.

Counted a group of documents at a time. What is kept of a rule are EXAMPLES and a hash of each owner, 8 bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.poison.ledger import READ, with_findings
from pipeline.poison.rules import OUTCOMES
from pipeline.registrant import owner_hashes
from pipeline.report.tables import Corpus

UInt64s = npt.NDArray[np.uint64]
Order = Callable[[UInt64s], UInt64s]
"""Addresses -> numbers; the documents with the smallest ones are shown."""


class Distinct:
    """Counts different hashes: a sorted array, and those since it was sorted."""

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.uint64)
        self._new: list[UInt64s] = []
        self._waiting = 0

    def add(self, hashes: UInt64s) -> None:
        self._new.append(np.unique(hashes))
        self._waiting += len(self._new[-1])
        if self._waiting > 10_000 + len(self._sorted) // 2:  # seldom, as sorting takes all of them
            self._sort()

    def __len__(self) -> int:
        self._sort()
        return len(self._sorted)

    def _sort(self) -> None:
        self._sorted = np.unique(np.concatenate([self._sorted, *self._new]))
        self._new, self._waiting = [], 0


@dataclass
class Tally:
    """Of one rule: places, documents, owners of their hosts, the most severe outcome; and the first finding in each of
    a few documents, by its number in the order."""

    findings: int = 0
    documents: int = 0
    outcome: str = OUTCOMES[0]
    owners: Distinct = field(default_factory=Distinct)
    shown: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


def tally(corpus: Corpus, examples: int, order: Order, rule: str | None = None) -> dict[str, Tally]:
    """The rules that found something (or one of them), in no order; each has up to `examples` findings to show."""
    found: dict[str, Tally] = {}
    for documents, findings in with_findings(corpus, *READ, ["address", "host"]):
        if rule is not None:
            findings = findings.filter(pc.equal(findings.column("rule"), rule))
        if findings.num_rows == 0:
            continue
        addresses, rules = findings.column("address").to_numpy(), findings.column("rule").dictionary_encode()
        owners = owner_hashes(documents.column("host"))
        codes = rules.indices.to_numpy()
        for code, name in enumerate(rules.dictionary.to_pylist()):
            mine = np.flatnonzero(codes == code)
            document, first = np.unique(addresses[mine], return_index=True)
            one = found.setdefault(name, Tally())
            one.findings += len(mine)
            one.documents += len(document)
            one.owners.add(owners[np.searchsorted(documents.column("address").to_numpy(), document)])
            outcomes = pc.unique(findings.column("outcome").take(pa.array(mine))).to_pylist()
            one.outcome = max(one.outcome, *outcomes, key=OUTCOMES.index)
            places = order(document)
            chosen = np.argsort(places)[:examples]
            rows = findings.take(pa.array(mine[first[chosen]])).to_pylist()
            one.shown += zip(places[chosen].tolist(), rows, strict=True)
            one.shown = sorted(one.shown, key=lambda pair: pair[0])[:examples]
    return found
