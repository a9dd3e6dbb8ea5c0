"""A small corpus made by hand, so that every number of its report is known beforehand."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.artifact import MANIFEST, Part, PartWriter, write_json
from pipeline.crawl.extract import REMOVED
from pipeline.crawl.index import QUARANTINE
from pipeline.document import SCHEMA, VERDICT, document_id
from pipeline.manifest import corpus_manifest, step_manifest
from pipeline.stage import Rule, judge

RULES = (
    Rule("too_few_words", "words", minimum=5),
    Rule("shouting", "capitals", maximum=0.5),
    Rule("filler", "filler", maximum=0),
)
MEASURES = [("style.words", pa.int64()), ("style.capitals", pa.float64()), ("style.filler", pa.bool_())]
VOCABULARY = {"file": "tokenizer.model", "sha256": "ab" * 32, "size": 600, "bos_id": 1}


@dataclass(frozen=True)
class Page:
    """A record: `removed` is extract's reason to remove it, `copy_of` the place of what dedup keeps instead."""

    text: str
    url: str = ""
    host: str = "a.example"
    language: str | None = "en"
    removed: str | None = None
    copy_of: int | None = None
    reason: str = "near_duplicate"
    similarity: float = 0.9


@dataclass(frozen=True)
class Plan:
    """A corpus to be built. `unreadable` are (url, reason, error) of records that end in quarantine."""

    pages: Sequence[Page]
    unreadable: Sequence[tuple[str | None, str, str]] = ()
    rules: tuple[Rule, ...] = RULES
    block: str = "style"
    warc_file: str = "pages.warc.gz"
    run: dict[str, str] = field(default_factory=lambda: {"recipe": "small", "description": "Made by hand."})


def rows_of(plan: Plan) -> Iterator[dict[str, Any]]:
    """Every page as a row of all columns."""
    for number, page in enumerate(plan.pages):
        url = page.url or f"https://{page.host}/{number}"
        words = page.text.split()
        yield {
            **dict.fromkeys(SCHEMA.names),
            "id": document_id(str(number), page.text),
            "address": number,
            "url": url,
            "host": page.host,
            "warc_file": plan.warc_file,
            "warc_offset": 100 * number,
            "language": page.language,
            "text": page.text,
            "excerpt": page.text,
            "reason": page.removed,
            "kept_address": page.copy_of,
            "similarity": None if page.copy_of is None else page.similarity,
            f"{plan.block}.words": len(words),
            f"{plan.block}.capitals": sum(word.isupper() for word in words) / len(words) if words else None,
            f"{plan.block}.filler": "ipsum" in words,
        }


def build(folder: Path, plan: Plan) -> str:
    """Write the corpus; returns its folder."""
    rows = list(rows_of(plan))
    kept = [row for row in rows if row["reason"] is None]
    measures = [(name.replace("style", plan.block, 1), kind) for name, kind in MEASURES]
    schema = pa.schema([*SCHEMA, *measures])
    unreadable = [
        {"warc_file": plan.warc_file, "row": len(rows) + number, "warc_offset": 7_000 + number, "length": 10,
         "url": url, "reason": reason, "error": error}
        for number, (url, reason, error) in enumerate(plan.unreadable)
    ]  # fmt: skip
    records = len(rows) + len(unreadable)

    with Step(folder, "index", {"version": 1}) as step:
        step.table("quarantine", QUARANTINE, unreadable)
        step.count(read=records, kept=len(rows), quarantined=len(unreadable), ignored=3)
        step.extra(path="/x", warc_file=plan.warc_file, sha256="cd" * 32, rows=records, bytes=12_345)

    with Step(folder, "extract", {"cascade": {"languages": ["en"], "screen_min_chars": 200}}) as step:
        step.table("documents", SCHEMA, kept)
        gone = [row | {"chars": len(row["text"])} for row in rows if row["reason"] is not None]
        step.table("removed", REMOVED, gone)
        step.table("quarantine", QUARANTINE, [])
        step.count(read=len(rows), kept=len(kept), removed=len(gone))

    batch = pa.RecordBatch.from_pylist(kept, schema)
    for row, reason in zip(kept, judge(batch, plan.rules, f"{plan.block}.").to_pylist(), strict=True):
        row["reason"] = reason
    passed = [row for row in kept if row["reason"] is None]
    with Step(folder, "filter", {"rules": [[plan.block, [vars(rule) for rule in plan.rules]]]}) as step:
        step.table("documents", schema, passed)
        gone = [row | {"kept_address": None, "similarity": None} for row in kept if row["reason"] is not None]
        step.table("removed", pa.schema([*schema, *VERDICT]), gone)
        step.count(read=len(kept), kept=len(passed), removed=len(gone))

    copies = [row | {"reason": plan.pages[row["address"]].reason} for row in passed if row["kept_address"] is not None]
    unique = [row for row in passed if row["kept_address"] is None]
    near = {"ngram": 5, "bands": 14, "rows": 8, "similarity": 0.7}
    with Step(folder, "dedup", {"exact": True, "near": near}) as step:
        step.table("documents", schema, unique)
        step.table("removed", pa.schema([*schema, *VERDICT]), copies)
        step.count(read=len(passed), kept=len(unique), removed=len(copies))

    with Step(folder, "tokenize", {}, "train-00000") as step:
        if unique:
            step.shard([[1, *range(300, 300 + len(row["text"].split()))] for row in unique])
            step.count(read=len(unique), kept=len(unique), tokens=sum(1 + len(row["text"].split()) for row in unique))
            step.extra(
                split="train",
                tokens=sum(1 + len(row["text"].split()) for row in unique),
                bytes=sum(len(row["text"].encode()) for row in unique),
                vocabulary=VOCABULARY,
            )

    run = {"fingerprint": "ef" * 32, **plan.run}
    write_json(f"{folder}/{MANIFEST}", corpus_manifest(str(folder), run))
    return str(folder)


class Step:
    """Writes a step of one part."""

    def __init__(self, folder: Path, name: str, parameters: dict[str, Any], part: str = "part-00000-0000") -> None:
        self.folder, self.name, self.parameters = folder, name, parameters
        self.writer = PartWriter(str(folder), name, part, "mark", 0, (0, 1))

    def __enter__(self) -> "Step":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            part = self.writer.commit({})
            parts: list[Part] = [part] if part.files or self.name != "tokenize" else []
            write_json(f"{self.folder}/{self.name}/{MANIFEST}", step_manifest(self.name, parts, self.parameters))

    def table(self, kind: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
        with self.writer.table(kind, schema) as table:
            table.write(pa.RecordBatch.from_pylist(rows, schema))

    def shard(self, tokens: list[list[int]]) -> None:
        batch = pa.record_batch({"tokens": pa.array(tokens, pa.list_(pa.uint16()))})
        with (
            self.writer.create("train-00000.arrow") as file,
            pa.ipc.new_file(pa.PythonFile(file, mode="w"), batch.schema) as shard,
        ):
            shard.write_batch(batch)

    def count(self, **counts: int) -> None:
        self.writer.counts.update(counts)

    def extra(self, **values: Any) -> None:
        self.writer.extra.update(values)


GOOD = "Rivers carry sand down to the sea every single day of the year"

PLAN = Plan(
    pages=(
        Page(GOOD + " and night", host="river.example"),
        Page(GOOD, host="river.example"),
        Page(GOOD + " too", copy_of=0, similarity=0.95),
        Page(GOOD + " again", copy_of=2, similarity=0.85),
        Page(GOOD + " and night", copy_of=0, reason="duplicate_text", similarity=1.0),
        Page("Too few words"),
        Page("Few words"),
        Page("Home"),
        Page("BUY NOW OUR LOVELY cheap SHOES"),
        Page("One lorem ipsum is one too many"),
        Page("Der Fluss trägt Sand ins Meer", removed="language", language="de"),
        Page("", removed="http_status", language=None),
    ),
    unreadable=((None, "bad_gzip", "the member ends early"),),
)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The corpus of PLAN: 13 records read, 2 documents kept."""
    return build(tmp_path_factory.mktemp("report") / "small", PLAN)


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Plan], str]:
    """Builds other corpora."""
    return lambda plan: build(tmp_path / "corpus", plan)
