"""Reads what the poison step left of a corpus: its findings, and the documents that they point at.

Whoever floods a crawl makes the ledger long: it is read a row group at a time, and nothing is kept for each finding.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.poison.finding import LEDGER
from pipeline.poison.rules import RULES
from pipeline.poison.visible import around, is_unseen, visible
from pipeline.report.tables import Corpus

STEP = "poison"
READ = ("filter", "documents")
"""The tables whose texts were looked through."""

NEAR = 60
"""Characters between findings of one rule that are shown as one: as many as are shown around each."""

NOTES = dict.fromkeys(("trigger", "trigger_family"), "the passage begins with the phrase")
"""What a person wants to know of a rule's passages, where the evidence is the passage itself."""

_CODE = re.compile(r"\[(U\+[0-9A-F]{4,6})\]( and others, \d+ in a row)?")
"""How rules for invisible characters name them in their evidence, and what the passage shows better."""

_INVISIBLE = frozenset({"tag_characters", "bidi_controls", "zero_width", "variation_selectors", "invisible_separators"})

NOTHING = pa.RecordBatch.from_pylist([], LEDGER)


@dataclass(frozen=True)
class Seen:
    """One finding with its text around it, all made visible; `evidence` is empty where the text shows as much.

    Of `places` that stand near each other it is all together.
    """

    rule: str
    outcome: str
    score: float
    evidence: str
    hosts: int | None
    before: str
    span: str
    behind: str
    places: int = 1

    @property
    def meaning(self) -> str:
        """The rule in words."""
        return RULES[self.rule].meaning if self.rule in RULES else ""


def has_ledger(corpus: Corpus) -> bool:
    """Whether the corpus was looked at for poison."""
    return STEP in corpus.manifest["steps"]


def read_findings(corpus: Corpus, address: int) -> list[dict[str, Any]]:
    """The findings of one document."""
    return list(_rows(corpus, STEP, "findings", [address], LEDGER.names))


def read_texts(corpus: Corpus, addresses: Iterable[int], columns: list[str]) -> dict[int, dict[str, Any]]:
    """Documents as the poison step read them: `columns` of each, by address."""
    rows = _rows(corpus, *READ, addresses, ["address", *columns])
    return {row.pop("address"): row for row in rows}


def _rows(
    corpus: Corpus, step: str, kind: str, addresses: Iterable[int], columns: list[str]
) -> Iterator[dict[str, Any]]:
    """The rows of some documents. Of row groups that have none only the addresses are read."""
    wanted = np.unique(np.fromiter(addresses, np.uint64))
    for place, batch in corpus.batches(step, kind, ["address"]) if len(wanted) else ():
        rows = np.flatnonzero(np.isin(batch.column("address").to_numpy(), wanted))
        if len(rows):
            yield from corpus.read_group(place, columns).take(pa.array(rows)).to_pylist()


def with_findings(
    corpus: Corpus, step: str, kind: str, columns: list[str]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """(some documents with `columns`, which have to hold the address; the findings in them), group by group.

    A part's files have one name in all steps, and each is in order of address.
    """
    ledger = {_name(path): path for path in corpus.files(STEP, "findings")}
    for path in corpus.files(step, kind):
        findings = corpus.groups(ledger[_name(path)], LEDGER.names)
        waiting: list[pa.RecordBatch] = []
        for documents in corpus.groups(path, columns):
            addresses = documents.column("address").to_numpy()
            while not waiting or waiting[-1].column("address")[-1].as_py() <= addresses[-1]:
                group = next(findings, None)
                if group is None:
                    break
                waiting.append(group)
            here = [group.filter(pa.array(np.isin(group.column("address").to_numpy(), addresses))) for group in waiting]
            yield documents, pa.concat_batches([NOTHING, *here])
            waiting = waiting[-1:]  # it may go on into the next documents


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def see(finding: Mapping[str, Any], text: str) -> Seen:
    """A row of the ledger with the text that it points into."""
    return _see([finding], text)


def see_all(findings: Iterable[Mapping[str, Any]], text: str) -> Iterator[Seen]:
    """A document's findings, those of a rule that stand near each other as one: 50 zero-width spaces in a sentence."""
    groups: dict[tuple[str, str], list[list[Mapping[str, Any]]]] = {}
    for row in sorted(findings, key=lambda row: row["start"]):
        known = groups.setdefault((row["rule"], row["outcome"]), [])
        if known and row["start"] <= known[-1][-1]["end"] + NEAR:
            known[-1].append(row)
        else:
            known.append([row])
    together = sorted((group for known in groups.values() for group in known), key=lambda group: group[0]["start"])
    yield from (_see(group, text) for group in together)


def _see(group: Sequence[Mapping[str, Any]], text: str) -> Seen:
    first, end = group[0], max(row["end"] for row in group)
    before, span, behind = around(text, first["start"], end)
    says = dict.fromkeys(_says(row, text) for row in group)
    evidence = "; ".join(filter(None, says)) or NOTES.get(first["rule"], "")
    # "Advertise = Advertise" says nothing where the letters look alike.
    named = _is_not_plain if first["rule"] == "mixed_script" else is_unseen
    told = (max(row["score"] for row in group), around(evidence, 0, len(evidence), named=named)[1], first["hosts"])
    return Seen(first["rule"], first["outcome"], *told, before, span, behind, len(group))


def _says(row: Mapping[str, Any], text: str) -> str:
    """A finding's evidence; "" where the text that it points at shows as much."""
    evidence: str = row["evidence"]
    span = text[row["start"] : row["end"]]
    if row["rule"] in _INVISIBLE:
        evidence = _CODE.sub(lambda code: "" if code[2] else f"‹{code[1]}›", evidence)
    return "" if span and (text.startswith(evidence, row["start"]) or evidence == visible(span)) else evidence


def _is_not_plain(character: str) -> bool:
    return is_unseen(character) or not character.isascii()


def read_hidden(corpus: Corpus, addresses: Iterable[int]) -> dict[int, list[str]]:
    """What pages hide from people, by address: passages as "kind: text", made visible."""
    rows = _rows(corpus, "extract", "hidden", addresses, ["address", "texts"])
    return {
        row["address"]: [f"{one['kind']}: {around(one['text'], 0, len(one['text']))[1]}" for one in row["texts"]]
        for row in rows
    }
