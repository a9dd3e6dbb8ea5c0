"""What a run learns from: the corrections that count, and beside them a sample of the data that the model knows.

The replayed rows keep a model from forgetting what it could do (Scialom et al. 2022, "Fine-tuned Language Models are
Continual Learners": 1% of the old data was enough there). Same corrections and same older data, same file.
"""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.cases import normal
from flywheel.config import Config
from flywheel.tables import Correction, Dataset, Json, Messages, Misbehaviour
from labeling.records import as_prompt, demonstration
from labeling.store.database import Database
from trainer.config import TuneConfig
from trainer.records import Demonstration, Rejected, read, split
from trainer.records.rows import read_rows
from trainer.talk.conversation import to_json

NEAR = 0.8
"""From this Jaccard similarity of their word trigrams on, two prompts ask the same; the corpus takes 0.8 of 5-grams of
pages, and prompts are short."""

WORDS = 3


class DatasetError(ValueError):
    """Why there is nothing to train on, in one sentence."""


@dataclass(frozen=True)
class Taught:
    """A correction that may be trained on, with what it corrects."""

    id: str
    misbehaviour: str
    cluster: str
    prompt: Messages
    answer: str
    weight: float
    admitted: datetime


class Asked:
    """Prompts (as `asked` gives them), and whether another asks the same as one of them, or nearly.

    Exact over an index of trigrams: cases and corrections are hundreds.
    """

    def __init__(self, prompts: Iterable[str]) -> None:
        self._sizes: list[int] = []
        self._having: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for prompt in sorted(set(prompts)):
            grams = _grams(prompt)
            for gram in grams:
                self._having[gram].append(len(self._sizes))
            self._sizes.append(len(grams))

    def __contains__(self, prompt: str) -> bool:
        grams = _grams(prompt)
        shared = Counter(place for gram in grams for place in self._having.get(gram, ()))
        return any(count >= NEAR * (len(grams) + self._sizes[place] - count) for place, count in shared.items())


def asked(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation in the form in which prompts are compared: `normal`, without what the system says.

    Who was asked the same under another system message has still seen the question.
    """
    return normal(" ".join(str(one.get("content") or "") for one in messages if one["role"] != "system"))


def trained_prompts(record: Demonstration) -> list[str]:
    """What was asked before each answer that is learnt."""
    turns = record.messages
    learnt = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.trained]
    return [asked(to_json(turns[:place])) for place in learnt]


def taught(session: Session) -> list[Taught]:
    """The corrections that count, by id: admitted, not refused, consented to, no case of the gate nor like one."""
    query = (
        sql.select(Correction, Misbehaviour)
        .join(Misbehaviour, Misbehaviour.id == Correction.misbehaviour)
        .where(Correction.refused.is_(None), Misbehaviour.consent, sql.not_(Misbehaviour.held_out))
        .order_by(Correction.id)
    )
    cases = Asked(_cases(session))
    return [
        Taught(one.id, bad.id, bad.cluster or "", bad.prompt, one.answer, one.weight, one.admitted)
        for one, bad in session.execute(query).tuples()
        if asked(bad.prompt) not in cases
    ]


def build(database: Database, config: Config, now: datetime) -> Dataset:
    """Writes `datasets/HASH.jsonl`, notes it in the store, and returns its row.

    For each correction there are `train.replay` rows of `config.replay`, drawn by their hashes, so that more is a
    superset; never such as an earlier stage held out (`trainer.records.split`), or as ask what a case of the gate asks
    or what a correction answers otherwise. Raises DatasetError where no correction counts, or without the older data.
    """
    with database.read() as session:
        corrections, cases = taught(session), _cases(session)
    if not corrections:
        raise DatasetError("no correction counts yet; label some, and look at why others were refused")
    count = round(config.train.replay * len(corrections))
    old = _replayed(config.replay, count, Asked([*cases, *(asked(one.prompt) for one in corrections)]))
    rows = [*map(_row, corrections), *old]
    text = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows).encode()
    id = hashlib.sha256(text).hexdigest()
    path = config.datasets / f"{id}.jsonl"
    _write(path, text)
    with database.write() as session:
        dataset = session.get(Dataset, id)
        if dataset is None:
            ids = [one.id for one in corrections]
            name = str(path.relative_to(config.folder))  # the whole folder may be moved
            dataset = Dataset(id=id, made=now, path=name, corrections=ids, replay=len(old))
            session.add(dataset)
            session.flush()
        session.expunge(dataset)
    return dataset


def _cases(session: Session) -> list[str]:
    held_out = sql.select(Misbehaviour.prompt).where(Misbehaviour.held_out)
    return [asked(prompt) for prompt in session.scalars(held_out)]


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
    # An id is a hash already: the smallest are a sample.
    return [drawn[id] for id in sorted(drawn)[:count]]


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


def _grams(prompt: str) -> set[tuple[str, ...]]:
    """A prompt of fewer than WORDS words has one, all of its words; one of none has none."""
    words = prompt.split()
    return {tuple(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1))} if words else set()


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
