"""What the poison step found -> all that the report shows of it."""

import numpy as np
import pyarrow.compute as pc

from pipeline.poison.ledger import STEP, has_ledger, read_hidden, read_texts, see
from pipeline.poison.rules import OUTCOMES, RULES
from pipeline.poison.tally import Tally, UInt64s, tally
from pipeline.report.data import Pointed, Poison, PoisonFound
from pipeline.report.numbers import plural
from pipeline.report.tables import Corpus

EXAMPLES = 3
HIDING = "hidden_instructions"
PASSAGES, COMPARED = 5, 100
"""Other hidden passages of a page that are shown; characters by which the one of the finding is known among them."""
MIX = np.uint64(0x9E3779B97F4A7C15)
"""Odd: addresses times this modulo 2^64 are in no order that a crawl has, so examples are of several archives."""


def read_poison(corpus: Corpus) -> Poison | None:
    """The findings by rule, the most severe outcome first; None where the recipe has the filter off."""
    if not has_ledger(corpus):
        return None
    tallies = tally(corpus, EXAMPLES, _mixed)
    shown = {row["address"] for one in tallies.values() for _, row in one.shown}
    texts = read_texts(corpus, shown, ["id", "url", "text"])
    hiding = [row["address"] for _, row in tallies.get(HIDING, Tally()).shown]
    hidden = read_hidden(corpus, hiding)
    found = [
        PoisonFound(
            rule,
            RULES[rule].meaning if rule in RULES else "",
            one.outcome,
            one.findings,
            one.documents,
            len(one.owners),
            tuple(_pointed(row, texts[row["address"]], hidden.get(row["address"], [])) for _, row in one.shown),
            one.done,
        )
        for rule, one in tallies.items()
    ]
    found.sort(key=lambda one: (-OUTCOMES.index(one.outcome), -one.documents, one.rule))
    counts, reasons = corpus.counts(STEP), corpus.step(STEP)["counts"]
    pages, characters = _hidden(corpus)
    return Poison(
        counts.get("read", 0), reasons.get("stripped", 0), reasons.get("tagged", 0),
        counts.get("held", 0), counts.get("removed", 0), pages, characters, tuple(found),
    )  # fmt: skip


def _mixed(addresses: UInt64s) -> UInt64s:
    return addresses * MIX


def _pointed(row: dict, document: dict, hidden: list[str]) -> Pointed:
    """What a rule found in a page; for HIDING with the other passages that the page hides."""
    seen = see(row, document["text"])
    says = seen.evidence
    if row["rule"] == HIDING:
        others = [passage for passage in hidden if passage[:COMPARED] != says[:COMPARED]]
        more = f" | and {plural(len(others) - PASSAGES, 'more passage')}" if len(others) > PASSAGES else ""
        says = " | ".join([says, *others[:PASSAGES]]) + more
    named = document["id"].hex(), document["url"]
    return Pointed(*named, seen.before, seen.span, seen.behind, says, seen.score, seen.hosts)


def _hidden(corpus: Corpus) -> tuple[int, int]:
    """(extracted pages with hidden text, its characters in all)."""
    pages = characters = 0
    if "hidden_chars" in corpus.schema("extract", "documents").names:
        for _, batch in corpus.batches("extract", "documents", ["hidden_chars"]):
            column = pc.fill_null(batch.column("hidden_chars"), 0)
            pages += pc.sum(pc.greater(column, 0)).as_py() or 0
            characters += pc.sum(column).as_py() or 0
    return pages, characters
