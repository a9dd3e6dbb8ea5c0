"""Lineage: from a token back to its archive record, from a URL or id forward to what became of it."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifact import is_local, open_input, read_batches
from pipeline.crawl.http import payload_of
from pipeline.crawl.warc import Record, read_warc
from pipeline.document import LINEAGE, unpack_address
from pipeline.manifest import read_manifest
from pipeline.report.removals import bounds, meaning
from pipeline.report.tables import Corpus
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.reader import ShardSet

JOURNEY = (
    ("extract", ("documents", "removed")),
    ("filter", ("documents", "removed")),
    ("poison", ("documents", "removed", "held")),
    ("dedup", ("documents", "removed")),
)


NEAR = 3
"""URLs that are offered where one was not found."""


class ExplainError(Exception):
    """A thing that can't be explained; the message says what was looked for and where."""


@dataclass(frozen=True)
class Station:
    """What one step did with a document: kept, removed or held it, why, and what was measured."""

    step: str
    outcome: str
    reason: str | None = None
    twin: str | None = None
    similarity: float | None = None
    measures: dict[str, Any] = field(default_factory=dict)
    because: str = ""
    """What was found and what was wanted."""
    decisive: str = ""
    """The name of the measure that decided."""
    tags: tuple[str, ...] = ()
    """The poison rules that point at the document."""


@dataclass(frozen=True)
class Token:
    """One token of a shard: its number, its piece, and its place in the document."""

    shard: str
    position: int
    document: int
    offset: int
    piece: str
    around: str


@dataclass(frozen=True)
class Story:
    """A document's history: its lineage columns, what each step did, where its tokens are."""

    lineage: dict[str, Any]
    stations: list[Station]
    tokens: str | None = None
    token: Token | None = None
    record: str = ""


def explain(folder: str, target: str) -> list[Story]:
    """The documents that `target` names (SHARD:TOKEN, an id of 32 hex digits, or a URL), with their histories.

    Raises ExplainError where the corpus or the target isn't there.
    """
    if not is_local(folder):
        raise ExplainError(f"{folder}: explain reads corpora on this machine; copy the folder here first.")
    if read_manifest(folder) is None:
        raise ExplainError(f"{folder}: no corpus here (no manifest.json). Name the --output folder of a finished run.")
    shard = re.fullmatch(r"(?:tokenize/)?((?:train|validation)-\d+)(?:\.arrow)?:?(.*)", target)
    if shard and not shard[2].isdecimal():
        raise ExplainError(
            f"{folder}: {target!r} names a shard, but no token of it; expected a number from 0 behind the colon, "
            f"such as {shard[1]}:0."
        )
    if not read_manifest(folder)["counts"]["kept"] and shard:  # type: ignore[index]
        raise ExplainError(f"{folder}: this corpus kept no document, so it has no shards; give a URL instead.")
    if shard:
        token, document = _token(folder, shard[1], int(shard[2]))
        return [_story(folder, row, token) for row in _find(folder, "id", document)]
    if re.fullmatch(r"[0-9a-f]{32}", target):
        rows = list(_find(folder, "id", bytes.fromhex(target)))
    else:
        rows = list(_find(folder, "url", target)) or list(_find(folder, "canonical_url", target))
    rows = rows or list(_quarantined(folder, target))
    if not rows:
        near = list(_near(folder, target))
        meant = f" Near it: {', '.join(near)}." if near else ""
        raise ExplainError(
            f"{folder}: {target!r} is neither a shard and token (train-00000:0), nor the id or the URL of a record "
            f"that this corpus read.{meant}"
        )
    return [_story(folder, row, None) for row in rows]


def _token(folder: str, shard: str, position: int) -> tuple[Token, bytes]:
    try:
        shards = ShardSet(f"{folder}/tokenize", split=shard.rpartition("-")[0])
        place = shards.locate(shard, position)
    except (OSError, ValueError, LookupError) as error:
        raise ExplainError(f"{folder}: {error.args[0]}") from None
    tokenizer = Tokenizer(Path(f"{folder}/tokenize/tokenizer.model").read_bytes())
    around = tokenizer.decode(place.tokens[max(place.offset - 12, 0) : place.offset + 12].tolist())
    piece = tokenizer.piece(int(place.tokens[place.offset]))
    return Token(shard, position, place.document, place.offset, piece, around), place.id


def _find(folder: str, column: str, value: bytes | str) -> Iterator[dict[str, Any]]:
    """The extract step's rows with a value, kept or removed."""
    for name in ("documents", "removed"):
        for row in _rows(folder, "extract", name, column, value):
            yield {key: row[key] for key in LINEAGE.names} | {"_outcome": name}


def _rows(folder: str, step: str, kind: str, column: str, value: object) -> Iterator[dict[str, Any]]:
    manifest = read_manifest(folder, step)
    for file in manifest["files"] if manifest else ():
        if not file["name"].startswith(kind + "/"):
            continue
        path = f"{folder}/{step}/{file['name']}"
        for number, batch in enumerate(read_batches(path, [column])):
            if pc.any(pc.equal(batch.column(0), pa.scalar(value, batch.schema.field(0).type))).as_py():
                yield from (row for row in _group(path, number) if row[column] == value)


def _near(folder: str, target: str) -> Iterator[str]:
    """A few URLs that differ from the target in what one easily mistypes: https, www., capitals, the last slash."""

    def bare(url: str) -> str:
        return url.lower().partition("://")[2].removeprefix("www.").rstrip("/")

    wanted, found = bare(target if "://" in target else f"http://{target}"), 0
    for kind in ("documents", "removed") if wanted else ():
        for file in (read_manifest(folder, "extract") or {"files": ()})["files"]:
            if not file["name"].startswith(kind + "/"):
                continue
            for batch in read_batches(f"{folder}/extract/{file['name']}", ["url"]):
                for url in batch.column(0).to_pylist():
                    if bare(url) == wanted and found < NEAR:
                        found += 1
                        yield url


def _group(path: str, number: int) -> list[dict[str, Any]]:
    for index, batch in enumerate(read_batches(path)):
        if index == number:
            rows: list[dict[str, Any]] = batch.to_pylist()
            return rows
    return []


def _quarantined(folder: str, url: str) -> Iterator[dict[str, Any]]:
    for row in _rows(folder, "extract", "quarantine", "url", url):
        yield row | {"_outcome": "quarantine"}


def _story(folder: str, row: dict[str, Any], token: Token | None) -> Story:
    outcome = row.pop("_outcome")
    if outcome == "quarantine":
        station = Station("extract", "quarantined", f"{row['reason']}: {row['error']}")
        return Story({key: row[key] for key in ("url", "warc_file", "warc_offset")}, [station])
    stations, tokens = [], None
    ran = read_manifest(folder)["steps"]  # type: ignore[index]
    for step, kinds in JOURNEY:
        if step not in ran:
            continue  # the recipe has the poison filter off
        for kind in kinds:
            for found in _rows(folder, step, kind, "address", row["address"]):
                stations.append(_station(folder, step, kind, found))
        if not stations or stations[-1].outcome != "kept" or stations[-1].step != step:
            break
    else:
        tokens = _where(folder, row["id"])
    return Story(row, stations, tokens, token, check_record(folder, row))


def _station(folder: str, step: str, kind: str, row: dict[str, Any]) -> Station:
    measured = [name for name in row if "." in name]
    names = {"extract": ["language", "language_score"], "filter": measured}.get(step, [])
    measures = {name: row[name] for name in names if isinstance(row.get(name), int | float | str)}
    tags = tuple(row["poison.tags"]) if step == "poison" else ()
    if kind == "documents":
        return Station(step, "kept", measures=measures, tags=tags)
    because, decisive = meaning(Corpus(folder), step, row["reason"]), ""
    if step == "extract" and row["reason"] in ("language", "language_score"):
        decisive = row["reason"]
    if step == "filter":
        decisive, because = _decisive(folder, row) or ("", because)
    twin = None
    if row["kept_address"] is not None:
        found = [
            other
            for name in ("documents", "removed")
            for other in _rows(folder, "extract", name, "address", row["kept_address"])
        ]
        address = unpack_address(row["kept_address"])
        twin = f"{found[0]['url']} ({found[0]['id'].hex()})" if found else f"file {address.file}, row {address.row}"
    return Station(step, kind, row["reason"], twin, row["similarity"], measures, because, decisive, tags)


def _decisive(folder: str, row: dict[str, Any]) -> tuple[str, str] | None:
    """The measure that a document was removed for: its name, and its value beside what the rule wants."""
    for block, rule in Corpus(folder).rules:
        name = f"{block}.{rule.column}"
        value = row[name]
        if value is None:
            return name, f"{name} could not be measured"
        if not rule.passes(pa.array([value]))[0].as_py():
            shown = f"{value:.6g}" if isinstance(value, float) else value
            return name, f"{name} is {shown}, wanted {bounds(rule)}"
    return None


def _where(folder: str, document: bytes) -> str | None:
    """Which tokens of which shard a document became."""
    for split in ("train", "validation"):
        try:
            shards = ShardSet(f"{folder}/tokenize", split=split)
        except (ValueError, OSError):
            continue
        found = shards.find(document)
        if found is not None:
            number = found.stop - found.start
            return f"{found.shard}:{found.start} to {found.shard}:{found.stop - 1} ({number:,}, both included)"
    return None


def check_record(folder: str, row: dict[str, Any]) -> str:
    """Read the record where the lineage says that it is; says whether its payload has the digest that was noted."""
    manifest = read_manifest(folder, "index")
    inputs = manifest["inputs"] if manifest else []
    path = next((archive["path"] for archive in inputs if archive["warc_file"] == row["warc_file"]), None)
    if path is None:
        return f"{row['warc_file']} is not among the corpus's inputs"
    try:
        with open_input(path) as file:
            address = unpack_address(row["address"])
            most = manifest["parameters"]["max_record_bytes"] if manifest else 8 << 20
            for event in read_warc(file, offset=row["warc_offset"], row=address.row, max_record_bytes=most):
                if isinstance(event, Record) and event.record_id == row["record_id"]:
                    digest = "sha256:" + hashlib.sha256(payload_of(event)).hexdigest()
                    same = digest == row["payload_digest"]
                    return f"found in {path}, payload digest {'matches' if same else f'differs: {digest}'}"
                if event.offset > row["warc_offset"]:
                    break
    except OSError as error:
        why = "it is not there" if isinstance(error, FileNotFoundError) else error.strerror or error
        return f"can't be read now: {why}. Looked for {path}, where it was when the corpus was made"
    return f"not found in {path} at offset {row['warc_offset']}: the archive has changed since"
