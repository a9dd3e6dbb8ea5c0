"""The store's samples as JSONL that a trainer reads: demonstrations, comparisons and single verdicts.

The columns are TRL's; `sample_id` is the SHA-256 of a sample's kind and contents, so the same sample has the same id in
every export. Nothing is left out silently: the result counts what was, by reason.
"""

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeling.store.database import Database
from labeling.store.reports import Comparison, Messages, Report, read_comparisons, read_reports

ROLES = ("system", "user", "assistant", "tool")
KINDS = ("demonstrations", "comparisons", "unpaired")

Sample = dict[str, Any]


@dataclass(frozen=True)
class Exported:
    """How many samples of each kind were written, and how many reports and comparisons gave none (or a copy), and why.

    A report may give two samples, and two of the both-bad answers of a comparison are two.
    """

    written: dict[str, int]
    left_out: dict[str, int]


class LeftOutError(Exception):
    """A report or comparison that gives no sample, and why."""


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
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{kind}.jsonl" for kind in KINDS}
    parts = {kind: path.with_name(f".{path.name}.part") for kind, path in paths.items()}
    written, left_out, ids = Counter(dict.fromkeys(KINDS, 0)), Counter[str](), set[str]()
    with ExitStack() as stack, database.read() as session:
        files = {kind: stack.enter_context(part.open("w", encoding="utf-8")) for kind, part in parts.items()}
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
                files[kind].write(json.dumps(sample, ensure_ascii=False) + "\n")
                written[kind] += 1
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    for kind, part in parts.items():
        part.replace(paths[kind])
    return Exported(dict(written), dict(left_out))


def sample_id(kind: str, *contents: object) -> str:
    """SHA-256, in hexadecimal, of the UTF-8 of the JSON list [kind, *contents]: keys sorted, no spaces, no \\u escapes.

    The contents are those of the kinds that the trainer reads: "demonstration", messages; "ranking", prompt,
    completions (best first, ties in the order of their JSON), ranks; "unpaired", prompt, completion, good.
    """
    return hashlib.sha256(_spell([kind, *contents]).encode()).hexdigest()


def _samples(item: Report | Comparison) -> Iterator[tuple[str, Sample]]:
    if not item.consent:
        raise LeftOutError("no consent")
    return _report_samples(item) if isinstance(item, Report) else _comparison_samples(item)


def _report_samples(report: Report) -> Iterator[tuple[str, Sample]]:
    wished = (report.wished_answer or "").strip() and report.wished_answer
    if not wished and report.rating is None:
        raise LeftOutError("neither a wished answer nor a rating")
    turns = [_turn(message) for message in report.messages]
    answered = turns[-1]["role"] == "assistant"
    prompt, answer = (turns[:-1], turns[-1:]) if answered else (turns, [])
    _check_prompt(prompt)
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
        earlier = [turn | {"train": False} if turn["role"] == "assistant" else turn for turn in prompt]
        messages = [*earlier, _says(wished)]
        sample = {"sample_id": sample_id("demonstration", messages), "messages": messages}
        yield "demonstrations", sample | _reason("a report's wished answer") | common
    if report.rating is not None and answer:
        yield "unpaired", _verdict(prompt, answer, report.rating > 0) | _reason("a report's rating") | common


def _comparison_samples(comparison: Comparison) -> Iterator[tuple[str, Sample]]:
    prompt = [_turn(message) for message in comparison.prompt]
    _check_prompt(prompt)
    a, b = (
        [_turn(message) for message in answer.said] or [_says(answer.text)] for answer in (comparison.a, comparison.b)
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
            yield "unpaired", _verdict(prompt, answer, False) | _reason("both answers were bad") | common
        return
    if a == b:
        raise LeftOutError("both answers are the same")
    if comparison.choice == "tie":
        tied = sorted([a, b], key=_spell)
        ranking = {"sample_id": sample_id("ranking", prompt, tied, [1, 1]), "prompt": prompt, "completions": tied}
        yield "comparisons", ranking | {"ranks": [1, 1]} | _reason("a tie") | common
        return
    chosen, rejected = (a, b) if comparison.choice == "a" else (b, a)
    id = sample_id("ranking", prompt, [chosen, rejected], [1, 2])
    sample: Sample = {"sample_id": id, "prompt": prompt, "chosen": chosen, "rejected": rejected}
    if comparison.margin is not None:
        sample["margin"] = comparison.margin
    yield "comparisons", sample | _reason("a choice") | common


def _verdict(prompt: Messages, completion: Messages, good: bool) -> Sample:
    id = sample_id("unpaired", prompt, completion, good)
    return {"sample_id": id, "prompt": prompt, "completion": completion, "label": good}


def _reason(admission: str) -> Sample:
    return {"weight": 1.0, "admission_reason": admission, "instruction_version": None}


def _check_prompt(prompt: Messages) -> None:
    if not prompt or prompt[-1]["role"] not in ("user", "tool"):
        raise LeftOutError("no question before the answer")


def _says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _turn(message: dict[str, Any]) -> dict[str, Any]:
    """A message with its role, text and calls alone, as the trainer spells it; ids of calls go, their order stays."""
    if message["role"] not in ROLES:
        raise LeftOutError(f"a message of another role than {', '.join(ROLES)}")
    content = message.get("content")
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        content = "".join(part["text"] for part in content)
    if content is not None and not isinstance(content, str):
        raise LeftOutError("a message that is no text")
    turn: dict[str, Any] = {"role": message["role"], "content": content or ""}
    if message.get("tool_calls"):
        try:
            turn["tool_calls"] = [_call(call.get("function", call)) for call in message["tool_calls"]]
        except (AttributeError, KeyError, TypeError):
            raise LeftOutError("a tool call without a name") from None
    return turn


def _call(function: dict[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
    return {"type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _spell(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
