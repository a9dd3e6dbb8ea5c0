"""What the poison step found -> all that the report shows of it."""

from collections import defaultdict

import numpy as np
import pyarrow.compute as pc

from pipeline.crawl.registrant import registrant
from pipeline.poison.ledger import STEP, has_ledger, read_findings, read_texts, see
from pipeline.poison.rules import OUTCOMES, RULES
from pipeline.report.data import Pointed, Poison, PoisonFound
from pipeline.report.tables import Corpus

EXAMPLES = 3
MIX = np.uint64(0x9E3779B97F4A7C15)
"""Odd: addresses times this modulo 2^64 are in no order that a crawl has, so examples are of several archives."""


def read_poison(corpus: Corpus) -> Poison | None:
    """The findings by rule, the most severe outcome first; None where the recipe has the filter off."""
    if not has_ledger(corpus):
        return None
    findings: dict[str, int] = defaultdict(int)
    documents: dict[str, set[int]] = defaultdict(set)
    chosen: dict[str, dict[int, dict]] = defaultdict(dict)
    outcomes: dict[str, str] = {}
    for batch in read_findings(corpus):
        for row in batch.to_pylist():
            rule, address = row["rule"], row["address"]
            findings[rule] += 1
            documents[rule].add(address)
            outcomes[rule] = max(outcomes.get(rule, row["outcome"]), row["outcome"], key=OUTCOMES.index)
            if address not in chosen[rule]:
                chosen[rule][address] = row
                if len(chosen[rule]) > EXAMPLES:
                    del chosen[rule][max(chosen[rule], key=_mixed)]
    everyone = set[int]().union(*documents.values()) if documents else set()
    texts = read_texts(corpus, {address for rows in chosen.values() for address in rows}, ["url", "text"])
    hosts = {address: registrant(row["host"] or "") for address, row in read_texts(corpus, everyone, ["host"]).items()}
    found = [
        PoisonFound(
            rule,
            RULES[rule].meaning if rule in RULES else "",
            outcomes[rule],
            findings[rule],
            len(documents[rule]),
            len({hosts.get(address, "") for address in documents[rule]}),
            tuple(
                _pointed(row, texts[address])
                for address, row in sorted(chosen[rule].items(), key=lambda item: _mixed(item[0]))
                if address in texts
            ),
        )
        for rule in findings
    ]
    found.sort(key=lambda one: (-OUTCOMES.index(one.outcome), -one.documents, one.rule))
    counts, reasons = corpus.counts(STEP), corpus.step(STEP)["counts"]
    pages, characters = _hidden(corpus)
    return Poison(
        counts.get("read", 0), reasons.get("stripped", 0), reasons.get("tagged", 0),
        counts.get("held", 0), counts.get("removed", 0), pages, characters, tuple(found),
    )  # fmt: skip


def _mixed(address: int) -> int:
    return (address * int(MIX)) % (1 << 64)


def _pointed(row: dict, document: dict) -> Pointed:
    seen = see(row, document["text"])
    return Pointed(document["url"], seen.before, seen.span, seen.behind, seen.evidence, seen.score)


def _hidden(corpus: Corpus) -> tuple[int, int]:
    """(extracted pages with hidden text, its characters in all)."""
    pages = characters = 0
    if "hidden_chars" in corpus.schema("extract", "documents").names:
        for _, batch in corpus.batches("extract", "documents", ["hidden_chars"]):
            column = pc.fill_null(batch.column("hidden_chars"), 0)
            pages += pc.sum(pc.greater(column, 0)).as_py() or 0
            characters += pc.sum(column).as_py() or 0
    return pages, characters
