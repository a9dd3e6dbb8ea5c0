"""Where samples come from: files, what people reported in the chat, models' answers, the documents of a corpus."""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labeling.drafts import Drafter
from labeling.kinds.kind import Draft, InvalidSampleError, Json, Kind, Sample, sample_id
from labeling.kinds.texts import prompt
from labeling.rows import Known, Rejected, Row, number, read_rows, reject
from labeling.store.database import Database
from labeling.store.reports import mask_report, read_reports

PASSAGE = 2000
"""Most characters of a passage: a minute and a half to read."""

ASK = "Summarise this passage in two or three sentences, for somebody who has not read it."

ASKED = 16
"""Prompts that are answered together; what was answered is stored before many more are."""

Found = Iterator[Sample | Rejected | Known]


class SourceError(Exception):
    """A source that can't be read at all, and what to do."""


def make_sample(kind: Kind, row: Json, provenance: Json, second_look: bool = False) -> Sample:
    """A row as a sample. Raises InvalidSampleError.

    Beside the kind's own columns it may have `priority` (a number, greater comes first) and `gold` (the right verdict).
    A model's `opinion` is not shown before the person's own choice is in: it waits in the provenance.
    """
    content = kind.content(row)
    if "opinion" in content and not second_look:
        provenance = provenance | {"opinion": content.pop("opinion")}
    gold = row.get("gold")
    if gold is not None:
        gold = checked_gold(kind, content, gold)
    try:
        priority = number(row["priority"], "priority") if row.get("priority") is not None else 0.0
    except ValueError as error:
        raise InvalidSampleError(str(error)) from None
    return Sample(sample_id(kind.name, content), content, gold, priority, provenance)


VERDICTS = {
    "comparisons": '{"choice": "a", "margin": 1} (a or b; 1, 0.667, 0.333 or 0), or {"choice": "both_bad"}',
    "rankings": '{"ranks": [2, 1, 3]}, 1 for the best',
    "corrections": '{"category": "wrong", "refusal": "none", "answer": "..."}',
    "ratings": '{"helpful": 6, "truthful": 7, "harmless": 7, "flags": []}',
    "poison-review": '{"decision": "confirm"}, or "release"',
}
"""How a right verdict is written in a row's `gold`."""


def checked_gold(kind: Kind, content: Json, gold: Any) -> Json:
    """The verdict, if it is one that a person could give on this content. Raises InvalidSampleError."""
    order = tuple(range(kind.shuffled(content)))
    try:
        return kind.verdict(kind.result(gold, content, order), content, order)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        spelt = json.dumps(gold, ensure_ascii=False)
        expected = f"; expected one such as {VERDICTS[kind.name]}" if kind.name in VERDICTS else ""
        raise InvalidSampleError(f"gold is {spelt:.100}, which is no verdict of {kind.name}{expected}") from None


def read_samples(path: Path, kind: Kind, gold: bool = False) -> Found:
    """The samples of a JSON Lines file; with `gold`, rows without a right verdict are bad rows.

    Raises SourceError where the file can't be opened.
    """
    for row in _rows(path):
        if isinstance(row, Rejected):
            yield row
            continue
        try:
            if gold and row.fields.get("gold") is None:
                raise InvalidSampleError("no gold; expected the right verdict in every row of this file")
            yield make_sample(kind, row.fields, {"file": str(row.path), "line": row.line})
        except InvalidSampleError as error:
            yield reject(row, error)


def reported(database: Database, kind: Kind, mask: bool = False, before: Collection[str] = ()) -> Found:
    """What people reported in the chat as wrong, with their consent: samples of corrections.

    `mask` masks addresses and numbers in those that were stored unmasked. `before` are the ids of reports that were
    pushed (`store.sending.reported_before`), masked or not: they are known. A thumb up is no report of a problem.
    """
    with database.read() as session:
        for report in read_reports(session):
            place = f"report {report.id}"
            if report.id in before:
                yield Known(place)
            elif not report.consent:
                yield Rejected(place, "its author did not consent")
            elif report.category is None and report.rating != -1:
                yield Rejected(place, "it reports no problem")
            elif report.status == "dismissed":
                yield Rejected(place, "it was dismissed")
            else:
                told = mask_report(report) if mask and not report.masked else report
                said = {
                    "category": told.category,
                    "description": told.description,
                    "wished_answer": told.wished_answer,
                }
                provenance = {"report": report.id, "checkpoint_id": report.checkpoint_id, "masked": told.masked}
                try:
                    yield make_sample(kind, {"messages": told.messages, "report": said}, provenance)
                except InvalidSampleError as error:
                    yield Rejected(place, str(error))


def answered(path: Path, kind: Kind, drafters: Sequence[Drafter], before: Collection[str] = ()) -> Found:
    """Each prompt of a file with one answer of each model: samples of comparisons or rankings.

    `before` are the `asked` of earlier pushes (`store.sending.asked_before`): a prompt that these models were asked is
    known, and not asked again, since they would give other answers, and so another sample. Raises
    DraftError, SourceError.
    """
    names = [f"{drafter.model}@{drafter.url}" for drafter in drafters]
    seen = set(before)
    prompts: list[_Prompt] = []
    for row in _rows(path):
        if isinstance(row, Rejected):
            yield row
            continue
        try:
            messages = prompt(row.fields.get("prompt", row.fields.get("messages")), "prompt")
        except InvalidSampleError as error:
            yield reject(row, error)
            continue
        asked = _digest([messages, names])
        if asked in seen:
            yield Known(f"{row.path}:{row.line}")
            continue
        seen.add(asked)
        prompts.append(_Prompt(row, messages, asked))
        if len(prompts) == ASKED:
            yield from _answer(prompts, kind, drafters)
            prompts = []
    yield from _answer(prompts, kind, drafters)


@dataclass(frozen=True)
class _Prompt:
    row: Row
    messages: list[Json]
    asked: str


def _answer(prompts: Sequence[_Prompt], kind: Kind, drafters: Sequence[Drafter]) -> Found:
    asked = [one.messages for one in prompts]
    # Two of one model would answer alike with one seed.
    found = [drafter.answers(asked, seed) for seed, drafter in enumerate(drafters)] if prompts else []
    for one, answers in zip(prompts, zip(*found, strict=True), strict=True):
        try:
            given = []
            for drafter, answer in zip(drafters, answers, strict=True):
                if not isinstance(answer, Draft):
                    raise InvalidSampleError(f"{drafter.model} gave no answer: {answer.reason}")
                given.append({"text": answer.text, "model": answer.model})
            row = one.row.fields | {"prompt": one.messages, "answers": given}
            provenance = {"file": str(one.row.path), "line": one.row.line, "asked": one.asked}
            yield make_sample(kind, row, provenance)
        except InvalidSampleError as error:
            yield reject(one.row, error)


def passages(corpus: Path, kind: Kind, count: int, seed: int = 0, ask: str = ASK) -> Found:
    """`count` documents of a finished corpus, drawn by hash, each with a passage and the same request.

    `corpus` is the folder of `corpuscle run`: `dedup/manifest.json` lists what it kept, in Parquet tables with the
    columns `id`, `url` and `text`. The same seed draws the same; more is a superset. Raises SourceError.
    """
    tables = _tables(corpus)
    drawn: list[tuple[bytes, Path, int, int]] = []
    for path in tables:
        for group, ids in _groups(path, ["id"]):
            keys = (_draw(seed, id) for id in ids.column("id").to_pylist())
            drawn += ((key, path, group, place) for place, key in enumerate(keys))
        drawn = sorted(drawn)[:count]
    wanted = sorted((path, group, place) for _, path, group, place in drawn)
    places: dict[tuple[Path, int], list[int]] = {}
    for path, group, place in wanted:
        places.setdefault((path, group), []).append(place)
    for (path, group), rows in places.items():
        with pq.ParquetFile(path) as file:
            table = file.read_row_group(group, columns=["id", "url", "text"]).take(rows)
        for document in table.to_pylist():
            id = document["id"].hex()
            text = f"{ask}\n\n{passage(document['text'], _draw(seed, document['id']))}"
            row = {"messages": [{"role": "user", "content": text}]}
            try:
                yield make_sample(kind, row, {"corpus": str(corpus), "document": id, "url": document["url"]})
            except InvalidSampleError as error:
                yield Rejected(f"document {id}", str(error))


def passage(text: str, draw: bytes) -> str:
    """Whole lines of a text, PASSAGE characters at most, from a line on that `draw` picks; of one long line its start.

    It begins so that as much as possible fits: never in the last lines alone.
    """
    lines = text.strip().split("\n")
    left, last = 0, len(lines)  # the last line from which on the rest still fills a passage
    while last > 0 and left < PASSAGE:
        last -= 1
        left += len(lines[last]) + 1
    start = int.from_bytes(draw[:8], "big") % (last + 1)
    taken, length = [lines[start][:PASSAGE]], min(len(lines[start]), PASSAGE)
    for line in lines[start + 1 :]:
        if length + 1 + len(line) > PASSAGE:
            break
        taken.append(line)
        length += 1 + len(line)
    return "\n".join(taken).strip()


def _tables(corpus: Path) -> list[Path]:
    manifest = corpus / "dedup" / "manifest.json"
    try:
        files = json.loads(manifest.read_text("utf-8"))["files"]
        return [corpus / "dedup" / file["name"] for file in files if file["name"].startswith("documents/")]
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(
            f"{corpus}: no finished corpus here ({manifest} can't be read); name the --output folder of `corpuscle run`"
        ) from None


def _groups(path: Path, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield group, file.read_row_group(group, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} can't be read ({error}); run `corpuscle run` again") from None


def _rows(path: Path) -> Iterator[Row | Rejected]:
    try:
        yield from read_rows(path)
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}; name a file of JSON lines") from None


def _draw(seed: int, id: bytes) -> bytes:
    return hashlib.blake2b(id, digest_size=16, salt=seed.to_bytes(8, "big", signed=True)).digest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
