"""What became of each document of a run: where it stopped and why, which rules pointed at it, its text at the end."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

Stage = Literal["read", "quality", "removed", "held", "kept"]
"""read: gone before the filters (no text, wrong language); quality: taken by them; the rest is the poison step's."""


@dataclass
class Fate:
    """A document's. `before` is its text as the poison step got it, `text` as it left; `rules` those that point at it
    and their outcomes; `hidden` the text that the page hid."""

    stage: Stage
    language: str | None = None
    reason: str | None = None
    before: str = ""
    text: str = ""
    hidden: str = ""
    rules: dict[str, str] = field(default_factory=dict)


def rows(folder: Path, step: str, table: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a step's table; columns that it does not have are left out."""
    for path in sorted((folder / step / table).glob("*.parquet")):
        names = set(pq.read_schema(path).names)
        yield from pq.read_table(path, columns=[name for name in columns if name in names]).to_pylist()


def fates(folder: Path) -> dict[str, Fate]:
    """URL -> fate, of a run with the poison step or without one (then what the filter kept is kept)."""
    found: dict[str, Fate] = {}
    addresses: dict[int, str] = {}
    about = ["url", "language", "reason", "address", "text"]
    for row in rows(folder, "extract", "removed", about):
        found[row["url"]] = Fate("read", row["language"], row["reason"])
    hidden: dict[int, str] = {}
    for row in rows(folder, "extract", "hidden", ["address", "texts"]):
        hidden[row["address"]] = "\n".join(piece["text"] for piece in row["texts"])
    for row in rows(folder, "filter", "removed", about):
        found[row["url"]] = Fate("quality", row["language"], row["reason"], row["text"], row["text"])
    for row in rows(folder, "filter", "documents", about):
        seen = hidden.get(row["address"], "")
        found[row["url"]] = Fate("kept", row["language"], None, row["text"], row["text"], seen)
        addresses[row["address"]] = row["url"]
    for row in rows(folder, "poison", "documents", ["url", "text"]):
        found[row["url"]].text = row["text"]
    stages: tuple[Stage, ...] = ("removed", "held")
    for stage in stages:
        for row in rows(folder, "poison", stage, ["url", "reason"]):
            found[row["url"]].stage, found[row["url"]].reason = stage, row["reason"]
    for row in rows(folder, "poison", "findings", ["address", "rule", "outcome"]):
        found[addresses[row["address"]]].rules[row["rule"]] = row["outcome"]
    return found


Verdict = Literal["not_read", "not_extracted", "quality", "stripped", "held", "removed", "repeated", "tagged", "missed"]

ACROSS = frozenset({"trigger", "trigger_family", "fixed_continuation", "flood", "cluster_burst", "crawl_burst"})
"""Rules that look across documents."""


def judge(fate: Fate | None, remained_before: bool, remains_after: bool, leaks: bool | None) -> Verdict:
    """What a planted document's fate means. `leaks` is None for text that anybody can see; hidden text that trafilatura
    drops by itself is no merit of ours, and what it would have kept has been stripped where it is in no text."""
    if fate is None or fate.stage == "read":
        return "not_read"
    if fate.stage == "quality":
        return "quality"
    if leaks is False and not remains_after:
        return "not_extracted"
    if fate.stage in ("held", "removed"):
        return "held" if fate.stage == "held" else "removed"
    if not remains_after:
        return "stripped" if remained_before or leaks else "not_extracted"
    return "tagged" if fate.rules else "missed"


def found_by_repetition(fate: Fate) -> bool:
    """Whether only rules across documents did something. A benchmark draws many attacks from one grammar, whose phrases
    they would find; attacks that are no campaign get no credit for that."""
    acted = {rule for rule, outcome in fate.rules.items() if outcome != "tag"}
    return bool(acted) and acted <= ACROSS


CAUGHT = frozenset({"stripped", "held", "removed"})
EXPOSED = frozenset({*CAUGHT, "repeated", "tagged", "missed"})
"""Verdicts on documents whose payload the poison step saw: what recall is a share of."""
