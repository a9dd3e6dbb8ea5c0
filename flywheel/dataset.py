"""What a run learns from: the corrections that count, and beside them a sample of the data that the model knows.

The replayed rows keep a model from forgetting what it could do (Scialom et al. 2022, "Fine-tuned Language Models are
Continual Learners": 1% of the old data was enough there). Same corrections and same older data, same file.
"""

import hashlib
import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sql

from flywheel.asked import Asked, asked, trained_prompts
from flywheel.choice import Taught, case_prompts, choose
from flywheel.config import Config
from flywheel.tables import Correction, Dataset, Json, Misbehaviour
from labeling.private import write_private
from labeling.records import as_prompt, choice, demonstration, says
from labeling.store.database import Database
from trainer.config import TuneConfig
from trainer.records import Demonstration, Rejected, read, split
from trainer.records.rows import read_rows

ROOM = 1000
"""Rows of the older data that may be held beside twice those that are wanted: fewer would be sorted too often."""


class DatasetError(ValueError):
    """Why there is nothing to train on, in one sentence."""


@dataclass(frozen=True)
class Planned:
    """A dataset before it is written."""

    id: str
    """SHA-256 of its text, in hexadecimal."""
    text: bytes
    corrections: tuple[str, ...]
    replay: int
    """Rows of the older data."""


def plan(database: Database, config: Config) -> Planned:
    """What would be trained on now (`flywheel.choice`), with a sample of the older data.

    For each correction there are `train.replay` rows of `config.replay`, drawn by their hashes, so that more is a
    superset; never such as an earlier stage held out (`trainer.records.split`), or as ask what a case of the gate asks
    or what a correction answers otherwise. Raises DatasetError where there is nothing new, or without the older data.
    """
    with database.read() as session:
        chosen, cases = choose(session, config), case_prompts(session)
    if not chosen.new:
        raise DatasetError("no correction can be trained on yet; `corpuscle flywheel decide` says what is waited for")
    corrections = chosen.taught
    count = round(config.train.replay * len(corrections))
    old = _replayed(config.replay, count, Asked([*cases, *(asked(one.prompt) for one in corrections)]))
    rows = [*map(_row, corrections), *old]
    text = _lines(rows)
    return Planned(hashlib.sha256(text).hexdigest(), text, tuple(one.id for one in corrections), len(old))


def build(database: Database, config: Config, now: datetime) -> Dataset:
    """Writes what is planned as `datasets/HASH.jsonl`, notes it in the store, and returns its row.

    Raises what `plan` raises.
    """
    planned = plan(database, config)
    path = config.datasets / f"{planned.id}.jsonl"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, planned.text.decode())
    with database.write() as session:
        dataset = session.get(Dataset, planned.id)
        if dataset is None:
            name = str(path.relative_to(config.folder))  # the whole folder may be moved
            ids = list(planned.corrections)
            dataset = Dataset(id=planned.id, made=now, path=name, corrections=ids, replay=planned.replay)
            session.add(dataset)
            session.flush()
        session.expunge(dataset)
    return dataset


def write_pairs(database: Database, config: Config, dataset: Dataset) -> Path:
    """Writes a dataset's corrections as comparisons, the right answer before the reported one, beside it.

    Its path. What was reported for saying nothing has no pair. Raises DatasetError where there is none.
    """
    ids = set(dataset.corrections)
    query = (
        sql.select(Correction, Misbehaviour)
        .join(Misbehaviour, Misbehaviour.id == Correction.misbehaviour)
        .order_by(Correction.id)
    )
    rows: list[Json] = []
    with database.read() as session:
        for one, bad in session.execute(query).tuples():
            if one.id in ids and bad.answer.strip():
                pair = choice(as_prompt(bad.prompt), [says(one.answer)], [says(bad.answer)], None)
                rows.append(pair | {"weight": one.weight, "provenance": {"correction": one.id}})
    if not rows:
        raise DatasetError("none of the reported answers says anything; set train.preferences to 0")
    path = config.folder / dataset.path
    path = path.with_name(f"{path.stem}.pairs.jsonl")
    write_private(path, _lines(rows).decode())
    return path


def lacking(config: Config) -> str | None:
    """Why the older data can't be sampled, or None; told before anything is trained."""
    if not config.train.replay:
        return None
    try:
        next(_older(config.replay), None)
    except (DatasetError, OSError) as error:
        return str(error)
    return None


def _row(one: Taught) -> Json:
    provenance = {"correction": one.id, "misbehaviour": one.misbehaviour, "cluster": one.cluster}
    return demonstration(as_prompt(one.prompt), one.answer) | {"weight": one.weight, "provenance": provenance}


def _replayed(path: Path, count: int, known: Asked) -> list[Json]:
    if not count:
        return []
    drawn: dict[str, Json] = {}
    for record, row in _older(path):
        if not any(prompt in known for prompt in trained_prompts(record)):
            drawn[record.id] = row
        if len(drawn) >= 2 * count + ROOM:  # older data may be larger than the memory
            drawn = {id: drawn[id] for id in heapq.nsmallest(count, drawn)}
    # An id is a hash already: the smallest are a sample.
    return [drawn[id] for id in heapq.nsmallest(count, drawn)]


def _older(path: Path) -> Iterator[tuple[Demonstration, Json]]:
    """Demonstrations that no stage has held out, with their rows as they stand; bad rows are left out."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; name the older demonstrations as replay, or set train.replay to 0")
    good = 0
    for row in read_rows(path):
        if isinstance(row, Rejected):
            continue
        try:
            record = read.demonstration(row.fields)
        except ValueError:
            continue
        good += 1
        if split([record], TuneConfig.held_out)[0]:
            yield record, row.fields
    if not good:
        raise DatasetError(f"{path}: no demonstration in it that can be read; `corpuscle train inspect` says why")


def _lines(rows: Sequence[Json]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows).encode()
