"""Admitted labels as the records that a trainer reads, and for each sample why it was admitted or not.

What was labelled and what is learnt differ: a correction is a demonstration, and a comparison with the answer that was
wrong; "both bad" is two single verdicts; ratings measure and teach nothing.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sql

from labeling.files import JsonLines, text_file, together
from labeling.kinds.kind import Json
from labeling.project import REVIEW
from labeling.quality.admission import Admission, Rule, admit
from labeling.quality.walk import reviews_of
from labeling.records import (
    LeftOutError,
    Record,
    as_prompt,
    choice,
    demonstration,
    ranking,
    says,
    turn,
    verdict,
)
from labeling.storable import storable_json
from labeling.store.database import Database
from labeling.store.labels import AnnotationRow, Project, get_project

KINDS = ("demonstrations", "comparisons", "unpaired", "ratings")
"""The files; `ratings` are answers with their median scores, for evaluating."""

INDEX = "admission"
"""The file that says of each sample why it was admitted or not."""

ROWS = 1000
"""Rows in memory at once while Parquet is written."""

Named = tuple[str, Record]


@dataclass(frozen=True)
class Exported:
    """Records in each file, samples that gave none, by reason, and samples judged."""

    written: dict[str, int]
    left_out: dict[str, int]
    samples: int


class Label(NamedTuple):
    """How an annotation was made."""

    annotator: str
    seconds: float | None
    draft_distance: float | None
    instruction_version: int
    """`labeling.drift.UNKNOWN_VERSION` where the instructions were changed in Label Studio."""


def export(database: Database, name: str, folder: Path, rule: Rule | None = None, parquet: bool = False) -> Exported:
    """Writes KINDS and INDEX as .jsonl into `folder`, in the order of the samples' ids; old files go, or all stay.

    `rule` is that of the project's kind where none is given. With `parquet` there is a .parquet beside each file that
    holds records. Raises KeyError for an unknown project, ValueError for one that has nothing to teach of its own,
    StoreError, OSError.
    """
    project = get_project(database, name)
    if project.kind == REVIEW:
        raise ValueError(f"{name} decides about {project.reviews}: export that, its labels carry these decisions")
    if project.reviews is not None:
        raise ValueError(
            f"{name} asks once more what people chose in {project.reviews}, with a model's choice in sight: export "
            "that, whose choices are people's own"
        )
    if project.kind == "poison-review":
        raise ValueError(f"{name} is about documents: its decisions go to `corpuscle poison`, not to a trainer")
    labels = _labels(database, project)
    left_out, ids, samples = Counter[str](), set[str](), 0
    paths = {kind: (f"{kind}.jsonl", f"{kind}.parquet") for kind in KINDS}
    index = f"{INDEX}.jsonl"
    with together(folder, [index, *chain.from_iterable(paths.values())]) as parts:
        with ExitStack() as stack:
            files = {
                kind: JsonLines(stack.enter_context(text_file(parts[lines]))) for kind, (lines, _) in paths.items()
            }
            judged = JsonLines(stack.enter_context(text_file(parts[index])))
            for one in admit(database, name, rule):
                samples += 1
                judged.write(_admission(one, labels))
                if not one.admitted:
                    left_out[one.reason] += 1
                    continue
                _write(files, one, project, labels, ids, left_out)
        written = {kind: file.rows for kind, file in files.items()}
        for kind, (lines, table) in paths.items():
            if not written[kind]:  # a trainer that is given the folder would ask what an empty file is to teach
                parts[lines].unlink()
            elif parquet:
                _as_parquet(parts[lines], parts[table])
    return Exported(written, dict(left_out), samples)


def records(project: Project, one: Admission) -> Iterator[Named]:
    """What an admitted label teaches, each with the name of its file. Raises LeftOutError."""
    content, said = one.sample.content, one.verdict or {}
    match project.kind:
        case "demonstrations":
            yield "demonstrations", demonstration(as_prompt(content["messages"]), said["answer"])
        case "comparisons":
            prompt = as_prompt(content["prompt"])
            a, b = ([says(answer["text"])] for answer in content["answers"])
            if said["choice"] == "both_bad":
                yield from (("unpaired", verdict(prompt, answer, False)) for answer in (a, b))
            else:
                chosen, rejected = (a, b) if said["choice"] == "a" else (b, a)
                yield "comparisons", choice(prompt, chosen, rejected, said["margin"])
        case "rankings":
            answers = [[says(answer["text"])] for answer in content["answers"]]
            yield "comparisons", ranking(as_prompt(content["prompt"]), answers, said["ranks"])
        case "corrections":
            *before, bad = [turn(message) for message in content["messages"]]
            prompt = as_prompt(before)
            if said["answer"] is None:
                yield "unpaired", verdict(prompt, [bad], True)
            else:
                yield "demonstrations", demonstration(prompt, said["answer"])
                yield "comparisons", choice(prompt, [says(said["answer"])], [bad], None)
        case "ratings":
            prompt, answer = as_prompt(content["prompt"]), [says(content["answer"]["text"])]
            scores = {"helpful": said["helpful"], "truthful": said["truthful"], "harmless": said["harmless"]}
            yield "ratings", {"prompt": prompt, "completion": answer, **scores, "flags": said["flags"]}
        case kind:
            raise ValueError(f"labels of the kind {kind} are not exported")


def _write(
    files: Mapping[str, JsonLines],
    one: Admission,
    project: Project,
    labels: Mapping[int, Label],
    ids: set[str],
    left_out: Counter[str],
) -> None:
    try:
        found = list(records(project, one))
    except LeftOutError as reason:
        left_out[str(reason)] += 1
        return
    common = {
        "weight": one.weight,
        "admission_reason": one.reason,
        "annotators": list(one.annotators),
        "instruction_version": min(
            (labels[id].instruction_version for id in one.annotations if id in labels), default=None
        ),
        "provenance": {
            **one.sample.provenance,
            "project": project.name,
            "sample": one.sample.id,
            "annotations": list(one.annotations),
            "outvoted": list(one.outvoted),
            "labels": _of(one.annotations, labels),
            "models": _models(one.sample.content),
            "draft_model": one.sample.draft_model,
        },
    }
    for kind, record in found:
        if "sample_id" in record:
            if record["sample_id"] in ids:
                left_out["a copy of another"] += 1
                continue
            ids.add(record["sample_id"])
        files[kind].write(storable_json(record | common))  # a trainer takes no half characters, of a file's name say


def _admission(one: Admission, labels: Mapping[int, Label]) -> Json:
    left_out = [id for id, _ in one.left_out]
    return {
        "sample": one.sample.id,
        "admitted": one.admitted,
        "reason": one.reason,
        "weight": one.weight,
        "verdict": one.verdict,
        "annotators": list(one.annotators),
        "annotations": list(one.annotations),
        "outvoted": list(one.outvoted),
        "left_out": [{"annotation": id, "reason": reason} for id, reason in one.left_out],
        "labels": _of([*one.annotations, *one.outvoted, *left_out], labels),
        "draft_model": one.sample.draft_model,
    }


def _of(annotations: Iterable[int], labels: Mapping[int, Label]) -> list[Json]:
    return [{"annotation": id, **labels[id]._asdict()} for id in annotations if id in labels]


def _models(content: Json) -> list[str]:
    answers = content.get("answers") or [content.get("answer") or {}]
    return [answer["model"] for answer in answers if answer.get("model")]


def _labels(database: Database, project: Project) -> dict[int, Label]:
    """How each annotation was made, the reviews' too (one server numbers them all)."""
    names = [project.name, *(review.name for review in reviews_of(database, project.name))]
    columns = (getattr(AnnotationRow, name) for name in Label._fields)
    query = sql.select(AnnotationRow.remote_id, *columns).where(AnnotationRow.project.in_(names))
    with database.read() as session:
        return {id: Label(*values) for id, *values in session.execute(query)}


_TEXT = pa.string()
_TURN = pa.struct(
    {
        "role": _TEXT,
        "content": _TEXT,
        "train": pa.bool_(),
        "tool_calls": pa.list_(pa.struct({"type": _TEXT, "function": pa.struct({"name": _TEXT, "arguments": _TEXT})})),
    }
)
_TURNS = pa.list_(_TURN)
_COLUMNS = {
    "sample_id": _TEXT,
    "messages": _TURNS,
    "prompt": _TURNS,
    "chosen": _TURNS,
    "rejected": _TURNS,
    "margin": pa.float64(),
    "completions": pa.list_(_TURNS),
    "ranks": pa.list_(pa.int64()),
    "completion": _TURNS,
    "label": pa.bool_(),
    "helpful": pa.float64(),
    "truthful": pa.float64(),
    "harmless": pa.float64(),
    "flags": pa.list_(_TEXT),
    "weight": pa.float64(),
    "admission_reason": _TEXT,
    "annotators": pa.list_(_TEXT),
    "instruction_version": pa.int64(),
    "provenance": _TEXT,
}
"""Null where a record has no such column; `provenance` is JSON."""


def _as_parquet(lines: Path, table: Path) -> None:
    used = set[str]()
    with lines.open(encoding="utf-8") as file:
        for line in file:
            used |= json.loads(line).keys()
    schema = pa.schema({name: kind for name, kind in _COLUMNS.items() if name in used})
    with lines.open(encoding="utf-8") as file, pq.ParquetWriter(table, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for line in file:
            row = json.loads(line)
            rows.append(row | {"provenance": json.dumps(row["provenance"], ensure_ascii=False)})
            if len(rows) == ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))
