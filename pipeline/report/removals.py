"""Why documents were removed, step by step, with two pages for each reason: those with the smallest ids.

Ids are hashes, so the choice is as good as random, and it is the same for the same corpus.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.document import document_hash
from pipeline.poison.rules import RULES
from pipeline.report.data import Example, Quarantine, Reason, Removal, Unreadable
from pipeline.report.measures import first_broken, measured_columns
from pipeline.report.numbers import short
from pipeline.report.tables import Corpus, Place
from pipeline.stage import UNMEASURED, Rule

EXAMPLES = 2
EXCERPT = 300
"""Characters of a page that the report shows."""
UNREADABLE = 20
"""Records in quarantine that the report names."""
STEPS = ("extract", "filter", "poison", "dedup")


@dataclass(frozen=True, order=True)
class Chosen:
    """A removed row that will be an example."""

    hash: int
    address: int
    place: Place
    row: int
    twin: int | None
    similarity: float | None


@dataclass(frozen=True)
class Choice:
    """What one step removed: counts by reason, and the rows to show."""

    step: str
    counts: Mapping[str, int]
    rows: Mapping[str, Sequence[Chosen]]

    @property
    def twins(self) -> set[int]:
        """The addresses of the kept copies that the examples name."""
        return {row.twin for rows in self.rows.values() for row in rows if row.twin is not None}


def choose(corpus: Corpus, step: str) -> Choice:
    """Count a step's reasons and choose its examples; no text is read."""
    counts: Counter[str] = Counter()
    rows: dict[str, list[Chosen]] = {}
    columns = ["id", "address", "reason", "kept_address", "similarity"]
    for place, batch in corpus.batches(step, "removed", columns):
        coded = batch.column("reason").dictionary_encode()
        codes = coded.indices.to_numpy()
        hashes, addresses = document_hash(batch.column("id")).to_numpy(), batch.column("address").to_numpy()
        order = np.lexsort((addresses, hashes))
        for code, reason in enumerate(coded.dictionary.to_pylist()):
            mine = order[codes[order] == code]
            counts[reason] += len(mine)
            for row in mine[:EXAMPLES].tolist():
                twin, similarity = (batch.column(name)[row].as_py() for name in ("kept_address", "similarity"))
                chosen = Chosen(int(hashes[row]), int(addresses[row]), place, row, twin, similarity)
                rows.setdefault(reason, []).append(chosen)
            rows[reason] = sorted(rows[reason])[:EXAMPLES]
    return Choice(step, counts, rows)


def describe(corpus: Corpus, choice: Choice, urls: Mapping[int, str]) -> Removal:
    """The reasons with their meanings and examples. `urls` has those of the kept copies, by address."""
    reasons = [
        Reason(
            reason,
            meaning(corpus, choice.step, reason),
            count,
            tuple(_example(corpus, choice.step, row, urls) for row in choice.rows[reason]),
        )
        for reason, count in choice.counts.items()
    ]
    reasons.sort(key=lambda reason: (-reason.documents, reason.word))
    return Removal(choice.step, corpus.counts(choice.step).get("read", 0), tuple(reasons))


def _example(corpus: Corpus, step: str, row: Chosen, urls: Mapping[int, str]) -> Example:
    text = "excerpt" if step == "extract" else "text"
    measures = list(measured_columns(corpus.schema(step, "removed"))) if step == "filter" else []
    found = corpus.read_group(row.place, ["url", text, *measures]).slice(row.row, 1)
    twin = None if row.twin is None else urls.get(row.twin, "a page that the index does not name")
    detail = _measure(corpus.rules, found.combine_chunks()) if measures else ""
    return Example(found["url"][0].as_py(), excerpt(found[text][0].as_py()), detail, twin, row.similarity)


def excerpt(text: str | None) -> str:
    """How a text begins, on one line."""
    line = " ".join((text or "")[: 4 * EXCERPT].split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1].rstrip() + "…"


def _measure(rules: Sequence[tuple[str, Rule]], row: pa.Table) -> str:
    """The measure that a document was removed for, with its value and the bound."""
    found = first_broken(rules, {name: row[name].combine_chunks() for name in row.column_names})
    if found is None:
        return ""
    block, rule = found
    value = row[f"{block}.{rule.column}"][0].as_py()
    if value is None:
        return f"{rule.column} could not be measured"
    if isinstance(value, bool):
        return f"{rule.column}: {'yes' if value else 'no'}"
    shown = float(f"{value:.4g}") if isinstance(value, float) else value
    return f"{rule.column} is {short(shown)}, wanted {bounds(rule)}"


def bounds(rule: Any) -> str:
    """What a rule lets pass: ≥ 50, 3 to 10, < 0.2. Takes whatever has minimum, maximum and exclusive."""
    least, most = ("> ", "< ") if rule.exclusive else ("≥ ", "≤ ")
    low = None if rule.minimum is None else least + short(rule.minimum)
    high = None if rule.maximum is None else most + short(rule.maximum)
    return " and ".join(bound for bound in (low, high) if bound is not None)


def meaning(corpus: Corpus, step: str, reason: str) -> str:
    """A reason in words, with the recipe's settings."""
    if step == "filter":
        if reason == UNMEASURED:
            return "a measure has no value"
        rules = [(block, rule) for block, rule in corpus.rules if rule.reason == reason]
        return "; ".join(f"{block}: {_wanted(rule)}" for block, rule in rules)
    if step == "poison":
        return RULES[reason].meaning if reason in RULES else ""
    parameters = corpus.step(step).get("parameters", {})
    cascade, near = parameters.get("cascade") or {}, parameters.get("near") or {}
    languages = ", ".join(cascade.get("languages") or ())
    meanings = {
        "http_status": "the server did not answer with a page (status other than 2xx)",
        "empty": "the answer has no body",
        "content_type": "neither HTML nor plain text",
        "too_little_text": f"fewer than {cascade.get('screen_min_chars', '?')} characters on the whole page",
        "stop_words": f"fewer of the filter's stop words on the whole page (menus too) than a text needs "
        f"({cascade.get('min_stop_words', '?')})",
        "language": f"not in a wanted language ({languages})" if languages else "not in a wanted language",
        "language_score": f"the language is not certain enough (wanted ≥ {cascade.get('min_language_score', '?')})",
        "no_main_text": "no main text was found among menus, forms and links",
        "duplicate_payload": "byte for byte the same record as another",
        "duplicate_text": "the same text as another page",
        "near_duplicate": f"similar to another page (Jaccard similarity ≥ {near.get('similarity', '?')} of word "
        f"{near.get('ngram', '?')}-grams)",
    }
    return meanings.get(reason, "")


def _wanted(rule: Rule) -> str:
    if rule.maximum == 0 and rule.minimum is None:
        return f"no {rule.column}"
    return f"{rule.column} {bounds(rule)}"


def read_quarantine(corpus: Corpus) -> Quarantine:
    """The records that could not be read, those of the index first."""
    records, reasons, first = 0, Counter[str](), list[Unreadable]()
    columns = ["warc_file", "warc_offset", "url", "reason", "error"]
    for step in ("index", "extract"):
        for _, batch in corpus.batches(step, "quarantine", columns):
            records += batch.num_rows
            reasons.update(batch.column("reason").to_pylist())
            for row in batch.slice(0, UNREADABLE - len(first)).to_pylist():
                offset, error = row["warc_offset"], excerpt(row["error"])
                first.append(Unreadable(step, row["warc_file"], offset, row["url"], row["reason"], error))
    return Quarantine(records, dict(reasons.most_common()), tuple(first))
