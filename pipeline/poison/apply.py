"""What happens to the documents of a batch after its findings: tagged, stripped, held or removed.

Pure functions over Arrow arrays; the most severe outcome of a document's findings decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.document import SPANS
from pipeline.poison.characters_tables import fold
from pipeline.poison.control import has_literal
from pipeline.poison.rules import PEOPLE, RULES, Outcome

VERSION = 1
"""Changes whenever the same findings do something else."""

TAGS = "poison.tags"
CUTS = "poison.spans"
ADDED = pa.schema([(TAGS, pa.list_(pa.string())), (CUTS, SPANS)])
"""What a document carries behind the poison step: the rules that point at it, and what was cut from its text."""

GAP = 1
"""Spans that touch are cut as one."""


Cut = tuple[int, int, str]
"""Start and end in characters, and what comes instead."""


@dataclass(frozen=True)
class Applied:
    """Row by row: the new text, the rules, the cut spans, and the reason to hold or remove (null = stays)."""

    texts: pa.Array
    tags: pa.Array
    spans: pa.Array
    held: pa.Array
    removed: pa.Array


def choose_outcomes(
    findings: pa.RecordBatch, outcomes: Mapping[str, Outcome], spared: npt.NDArray[np.bool_]
) -> pa.RecordBatch:
    """Findings with the column `outcome`: what the recipe chose for the rule; for documents in `spared` a tag,
    except that what people blocked or confirmed stays out."""
    chosen = [
        "tag" if spared[row] and rule not in PEOPLE else outcomes[rule]
        for row, rule in zip(findings["document"].to_pylist(), findings["rule"].to_pylist(), strict=True)
    ]
    return findings.append_column("outcome", pa.array(chosen, pa.string()))


def apply(texts: pa.Array, findings: pa.RecordBatch) -> Applied:
    """What becomes of each document of a batch, by its findings, whose column `document` names rows of `texts`.

    A document's reason is its first finding's rule among those with the most severe outcome; a document of which
    stripping leaves no letter is removed by the rule that stripped first, one in which it would put a control token
    together is held. The text of a document that is held or removed is left as it was, for whoever looks at it.
    """
    rows = range(len(texts))
    tags: list[list[str]] = [[] for _ in rows]
    cuts: list[list[Cut]] = [[] for _ in rows]
    held: list[str | None] = [None for _ in rows]
    removed: list[str | None] = [None for _ in rows]
    strippers: dict[int, str] = {}
    strings = texts.to_pylist()
    for finding in findings.select(["document", "rule", "start", "end", "outcome"]).to_pylist():
        row, rule, outcome = finding["document"], finding["rule"], finding["outcome"]
        if rule not in tags[row]:
            tags[row].append(rule)
        if outcome == "hold":
            held[row] = held[row] or rule
        elif outcome == "remove":
            removed[row] = removed[row] or rule
        elif outcome == "strip" and RULES[rule].spans:
            start, end = finding["start"], finding["end"]
            # Letters that look alike are spelt as they look; the word is part of a sentence.
            instead = fold(strings[row][start:end]) if rule == "mixed_script" else ""
            cuts[row].append((start, end, instead))
            strippers.setdefault(row, rule)
    for row in rows:
        if removed[row] is not None:
            held[row] = None
    changed = {}
    for row in rows:
        if cuts[row] and held[row] is None and removed[row] is None:
            text, spans = cut(strings[row], cuts[row])
            if has_literal([text])[0] and not has_literal([strings[row]])[0]:
                held[row] = strippers[row]  # what was cut out had kept a control token apart
            elif any(map(str.isalnum, text)):
                changed[row] = text, spans
            else:
                removed[row] = strippers[row]
    return Applied(
        pa.array([changed[row][0] if row in changed else text for row, text in enumerate(strings)], pa.string())
        if changed
        else texts,
        pa.array(tags, ADDED.field(TAGS).type),
        pa.array([changed[row][1] if row in changed else [] for row in rows], SPANS),
        pa.array(held, pa.string()),
        pa.array(removed, pa.string()),
    )


def cut(text: str, cuts: list[Cut]) -> tuple[str, list[dict[str, int]]]:
    """(what is left of a text, the spans that went as bytes of its UTF-8 form); cuts in any order.

    A cut within another goes with it; cuts that overlap otherwise are one, with nothing instead. Where a cut leaves two
    spaces, or a space at a line's end, it takes one too.
    """
    merged: list[Cut] = []
    for start, end, instead in sorted(cuts):
        start, end = max(start, 0), min(end, len(text))
        if merged and start < merged[-1][1] + (0 if instead or merged[-1][2] else GAP):
            first, last, replaced = merged[-1]
            outer = replaced if end <= last else instead if start == first else ""
            merged[-1] = (first, max(last, end), outer)
        elif start < end:
            merged.append((start, end, instead))
    left, spans, at, at_bytes = [], [], 0, 0
    for start, end, instead in merged:
        start, end = _with_space(text, start, end) if not instead else (start, end)
        start = max(start, at)
        piece = text[at:start]
        begin = at_bytes + len(piece.encode())
        at, at_bytes = end, begin + len(text[start:end].encode())
        left += [piece, instead]
        spans.append({"start": begin, "end": at_bytes})
    return "".join([*left, text[at:]]), spans


def _with_space(text: str, start: int, end: int) -> tuple[int, int]:
    """A span with the one space beside it that its going would leave over."""
    before, behind = text[start - 1 : start] or "\n", text[end : end + 1] or "\n"
    if before in " \n" and behind == " ":
        return start, end + 1
    if before == " " and behind == "\n":
        return start - 1, end
    return start, end
