"""Admitted labels as the records that a trainer reads, and for each sample why it was admitted or not.

What was labelled and what is learnt differ: a correction is a demonstration, and a comparison with the answer that was
wrong; "both bad" is two single verdicts; ratings measure and teach nothing.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sql

from labeling.files import JsonLines, json_lines
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


def export(database: Database, name: str, folder: Path, rule: Rule | None = None, parquet: bool = False) -> Exported:
    """Writes KINDS and INDEX as .jsonl into `folder`, in the order of the samples' ids; old files go.

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
    versions = _versions(database, project)
    left_out, ids, samples = Counter[str](), set[str](), 0
    with json_lines(folder, (*KINDS, INDEX)) as files:
        for one in admit(database, name, rule):
            samples += 1
            files[INDEX].write(_admission(one))
            if not one.admitted:
                left_out[one.reason] += 1
                continue
            _write(files, one, project, versions, ids, left_out)
        written = {kind: files[kind].rows for kind in KINDS}
    for kind, rows in written.items():
        path = folder / f"{kind}.parquet"
        path.unlink(missing_ok=True)
        if not rows:  # a trainer that is given the folder would ask what an empty file is to teach
            (folder / f"{kind}.jsonl").unlink()
        if parquet and rows:
            _as_parquet(folder / f"{kind}.jsonl", path)
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
    versions: Mapping[int, int],
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
        "instruction_version": min((versions[id] for id in one.annotations if id in versions), default=None),
        "provenance": {
            **one.sample.provenance,
            "project": project.name,
            "sample": one.sample.id,
            "annotations": list(one.annotations),
            "outvoted": list(one.outvoted),
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
        files[kind].write(record | common)


def _admission(one: Admission) -> Json:
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
    }


def _models(content: Json) -> list[str]:
    answers = content.get("answers") or [content.get("answer") or {}]
    return [answer["model"] for answer in answers if answer.get("model")]


def _versions(database: Database, project: Project) -> dict[int, int]:
    """The instructions' version that each annotation was made under, the reviews' too (one server numbers them all)."""
    names = [project.name, *(review.name for review in reviews_of(database, project.name))]
    query = sql.select(AnnotationRow.remote_id, AnnotationRow.instruction_version)
    with database.read() as session:
        rows = session.execute(query.where(AnnotationRow.project.in_(names)))
        return {row.remote_id: row.instruction_version for row in rows}


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


def _as_parquet(lines: Path, path: Path) -> None:
    used = set[str]()
    with lines.open(encoding="utf-8") as file:
        for line in file:
            used |= json.loads(line).keys()
    schema = pa.schema({name: kind for name, kind in _COLUMNS.items() if name in used})
    part = path.with_name(f".{path.name}.part")
    with lines.open(encoding="utf-8") as file, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for line in file:
            row = json.loads(line)
            rows.append(row | {"provenance": json.dumps(row["provenance"], ensure_ascii=False)})
            if len(rows) == ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))
    part.replace(path)
