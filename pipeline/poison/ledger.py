"""Reads what the poison step left of a corpus: its findings, and the texts that they point into."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.poison.rules import RULES
from pipeline.poison.visible import around
from pipeline.report.tables import Corpus

STEP = "poison"


@dataclass(frozen=True)
class Seen:
    """One finding with its text around it, all made visible; `evidence` is empty where it only repeats the text."""

    rule: str
    outcome: str
    score: float
    evidence: str
    hosts: int | None
    before: str
    span: str
    behind: str

    @property
    def meaning(self) -> str:
        """The rule in words."""
        return RULES[self.rule].meaning if self.rule in RULES else ""


def has_ledger(corpus: Corpus) -> bool:
    """Whether the corpus was looked at for poison."""
    return STEP in corpus.manifest["steps"]


def read_findings(corpus: Corpus, addresses: Iterable[int] | None = None) -> Iterator[pa.RecordBatch]:
    """The findings, of some documents or of all."""
    wanted = None if addresses is None else np.unique(np.fromiter(addresses, np.uint64))
    names = ["address", "rule", "start", "end", "score", "evidence", "hosts", "outcome"]
    for _, batch in corpus.batches(STEP, "findings", names):
        if wanted is None:
            yield batch
        else:
            yield batch.filter(pa.array(np.isin(batch.column("address").to_numpy(), wanted)))


def read_texts(corpus: Corpus, addresses: Iterable[int], columns: list[str]) -> dict[int, dict[str, Any]]:
    """Documents as the poison step read them: `columns` of each, by address."""
    wanted = np.unique(np.fromiter(addresses, np.uint64))
    found: dict[int, dict[str, Any]] = {}
    for place, batch in corpus.batches("filter", "documents", ["address"]) if len(wanted) else ():
        rows = np.flatnonzero(np.isin(batch.column("address").to_numpy(), wanted))
        if len(rows):
            table = corpus.read_group(place, ["address", *columns]).take(pa.array(rows))
            found |= {row.pop("address"): row for row in table.to_pylist()}
    return found


def see(finding: Mapping[str, Any], text: str) -> Seen:
    """A row of the ledger with the text that it points into."""
    before, span, behind = around(text, finding["start"], finding["end"])
    repeats = span and text.startswith(finding["evidence"], finding["start"])
    evidence = "" if repeats else around(finding["evidence"], 0, len(finding["evidence"]))[1]
    told = (finding["rule"], finding["outcome"], finding["score"], evidence, finding["hosts"])
    return Seen(*told, before, span, behind)
