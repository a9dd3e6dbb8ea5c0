"""How much each rule found: places, documents, owners of sites, what came of them, and a few findings to show.

Counted a group of documents at a time. What is kept of a rule are EXAMPLES and a hash of each owner, 8 bytes.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.poison.ledger import READ, STEP, with_findings
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
    a few documents, by its number in the order.

    `done` counts places by (outcome, what became of the page: "kept", "held" or "removed"), for a page that another
    rule holds is not cut.
    """

    findings: int = 0
    documents: int = 0
    outcome: str = OUTCOMES[0]
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    owners: Distinct = field(default_factory=Distinct)
    shown: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


def tally(corpus: Corpus, examples: int, order: Order, rule: str | None = None) -> dict[str, Tally]:
    """The rules that found something (or one of them), in no order; each has up to `examples` findings to show."""
    found: dict[str, Tally] = {}
    gone = {kind: _addresses(corpus, kind) for kind in ("held", "removed")}
    for documents, findings in with_findings(corpus, *READ, ["address", "host"]):
        if rule is not None:
            findings = findings.filter(pc.equal(findings.column("rule"), rule))
        if findings.num_rows == 0:
            continue
        addresses, rules = findings.column("address").to_numpy(), findings.column("rule").dictionary_encode()
        owners = owner_hashes(documents.column("host"))
        codes = rules.indices.to_numpy()
        outcomes, pages = np.array(findings.column("outcome").to_pylist()), np.full(len(addresses), "kept", "<U7")
        for kind, some in gone.items():
            pages[_among(addresses, some)] = kind
        for code, name in enumerate(rules.dictionary.to_pylist()):
            mine = np.flatnonzero(codes == code)
            document, first = np.unique(addresses[mine], return_index=True)
            one = found.setdefault(name, Tally())
            one.findings += len(mine)
            one.documents += len(document)
            one.owners.add(owners[np.searchsorted(documents.column("address").to_numpy(), document)])
            one.done.update(zip(outcomes[mine].tolist(), pages[mine].tolist(), strict=True))
            one.outcome = max((outcome for outcome, _ in one.done), key=OUTCOMES.index)
            places = order(document)
            chosen = np.argsort(places)[:examples]
            rows = findings.take(pa.array(mine[first[chosen]])).to_pylist()
            one.shown += zip(places[chosen].tolist(), rows, strict=True)
            one.shown = sorted(one.shown, key=lambda pair: pair[0])[:examples]
    return found


def _addresses(corpus: Corpus, kind: str) -> UInt64s:
    """The addresses of the documents that the poison step held or removed, sorted: 8 bytes each."""
    batches = [batch.column("address").to_numpy() for _, batch in corpus.batches(STEP, kind, ["address"])]
    return np.sort(np.concatenate([np.empty(0, np.uint64), *batches]))


def _among(values: UInt64s, some: UInt64s) -> npt.NDArray[np.bool_]:
    """Which values are among the sorted ones."""
    place = np.searchsorted(some, values)
    return np.append(some, np.uint64(0))[place] == values if len(some) else np.zeros(len(values), np.bool_)
