"""What people reported and chose, as JSONL that a trainer reads: demonstrations, comparisons and single verdicts.

Nothing is left out silently: the result counts what was, by reason.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labeling.files import json_lines
from labeling.records import LeftOutError, Record, as_prompt, choice, demonstration, ranking, says, turn, verdict
from labeling.store.database import Database
from labeling.store.reports import Comparison, Report, read_comparisons, read_reports

KINDS = ("demonstrations", "comparisons", "unpaired")


@dataclass(frozen=True)
class Exported:
    """How many samples of each kind were written, and how many reports and comparisons gave none (or a copy), and why.

    A report may give two samples, and two of the both-bad answers of a comparison are two.
    """

    written: dict[str, int]
    left_out: dict[str, int]


def export(database: Database, folder: Path) -> Exported:
    """Writes demonstrations.jsonl, comparisons.jsonl and unpaired.jsonl into `folder`, oldest first; old ones go.

    From those with consent alone:

    - a report with a wished answer is a demonstration: its conversation with that as the last answer, and `"train":
      false` in the answers before, which nobody has judged;
    - a report with a rating is a single verdict on its last answer, so is each answer of a comparison that ended
      `both_bad`;
    - a choice is a comparison, a tie a ranking of two with equal ranks.

    Raises StoreError, and OSError where the files can't be written.
    """
    left_out, ids = Counter[str](), set[str]()
    with json_lines(folder, KINDS) as files, database.read() as session:
        for item in itertools.chain[Report | Comparison](read_reports(session), read_comparisons(session)):
            try:
                samples = list(_samples(item))
            except LeftOutError as reason:
                left_out[str(reason)] += 1
                continue
            for kind, sample in samples:
                if sample["sample_id"] in ids:
                    left_out["a copy of another"] += 1
                    continue
                ids.add(sample["sample_id"])
                files[kind].write(sample)
        written = {kind: files[kind].rows for kind in KINDS}
    return Exported(written, dict(left_out))


def _samples(item: Report | Comparison) -> Iterator[tuple[str, Record]]:
    if not item.consent:
        raise LeftOutError("no consent")
    return _report_samples(item) if isinstance(item, Report) else _comparison_samples(item)


def _report_samples(report: Report) -> Iterator[tuple[str, Record]]:
    wished = (report.wished_answer or "").strip() and report.wished_answer
    if not wished and report.rating is None:
        raise LeftOutError("neither a wished answer nor a rating")
    turns = [turn(message) for message in report.messages]
    answered = turns[-1]["role"] == "assistant"
    prompt, answer = as_prompt(turns[:-1] if answered else turns), turns[-1:] if answered else []
    common = {
        "annotators": [],
        "provenance": {
            "report": report.id,
            "created": report.created.isoformat(),
            "source": report.source,
            "category": report.category,
            "checkpoint_id": report.checkpoint_id,
            "sampling": dict(report.sampling),
            "masked": report.masked,
        },
    }
    if wished:
        yield "demonstrations", demonstration(prompt, wished) | _reason("a report's wished answer") | common
    if report.rating is not None and answer:
        yield "unpaired", verdict(prompt, answer, report.rating > 0) | _reason("a report's rating") | common


def _comparison_samples(comparison: Comparison) -> Iterator[tuple[str, Record]]:
    prompt = as_prompt(comparison.prompt)
    a, b = (
        [turn(message) for message in answer.said] or [says(answer.text)] for answer in (comparison.a, comparison.b)
    )
    common = {
        "annotators": [comparison.session] if comparison.session else [],
        "provenance": {
            "comparison": comparison.id,
            "created": comparison.created.isoformat(),
            "arena": comparison.arena,
            "checkpoint_ids": [comparison.a.checkpoint_id, comparison.b.checkpoint_id],
            "sampling": [dict(comparison.a.sampling), dict(comparison.b.sampling)],
            "masked": comparison.masked,
        },
    }
    if comparison.choice == "both_bad":
        for answer in (a, b):
            yield "unpaired", verdict(prompt, answer, False) | _reason("both answers were bad") | common
        return
    if a == b:
        raise LeftOutError("both answers are the same")
    if comparison.choice == "tie":
        yield "comparisons", ranking(prompt, [a, b], [1, 1]) | _reason("a tie") | common
        return
    chosen, rejected = (a, b) if comparison.choice == "a" else (b, a)
    yield "comparisons", choice(prompt, chosen, rejected, comparison.margin) | _reason("a choice") | common


def _reason(admission: str) -> Record:
    return {"weight": 1.0, "admission_reason": admission, "instruction_version": None}
