"""The proof on finished shards that no text became a control id: BOS begins each document, and else none occurs.

A control id is one that a program alone may write (`<|user|>`, `<|end|>`, BOS, EOS); where a text could spell
one, whoever writes pages could speak in the system's name. Reads each shard once, memory-mapped.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.tokenize.reader import Place, ShardSet, Vocabulary

CHUNK = 1 << 24
"""Tokens looked at together: 32 MB of flags, whatever a shard's size."""


@dataclass(frozen=True)
class ControlIds:
    """What was looked at, and where a control id stands that no document's beginning explains; the first of them.

    `missing_bos` counts documents that do not begin with BOS.
    """

    documents: int
    tokens: int
    control_ids: tuple[int, ...]
    found: int
    missing_bos: int
    places: tuple[Place, ...]

    @property
    def clean(self) -> bool:
        """Whether no control id came from a text."""
        return not self.found and not self.missing_bos


def control_ids_in_shards(folder: str | Path, show: int = 10) -> ControlIds:
    """Look through all splits of a tokenized corpus (its folder, its `tokenize` folder, or the manifest there).

    Raises FileNotFoundError or ValueError, as ShardSet does, where shards are not what the manifest says.
    """
    documents = tokens = found = missing = 0
    places: list[Place] = []
    ids: tuple[int, ...] = ()
    for shards in _splits(Path(folder)):
        ids = control_ids(shards.vocabulary)
        for number, shard in enumerate(shards.shards):
            starts = shards.document_starts(number)
            where, without = _misplaced(shards.stream(number), starts, ids, shards.vocabulary.bos_id)
            documents += len(starts) - 1
            tokens += shard.tokens
            found += len(where)
            missing += without
            places += [shards.locate(shard.name, int(place)) for place in where[: show - len(places)]]
    return ControlIds(documents, tokens, ids, found, missing, tuple(places))


def control_ids(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids that no text may become: the model's control symbols, BOS and EOS."""
    ids = {*vocabulary.controls.values(), vocabulary.bos_id, vocabulary.eos_id}
    return tuple(sorted(id for id in ids if id >= 0))


def _splits(folder: Path) -> Iterator[ShardSet]:
    """The splits that have tokens; at least one."""
    train = ShardSet(folder)
    yield train
    named = {file.get("split") for file in json.loads(train.manifest.read_bytes())["files"]}
    for split in sorted(named - {"train", None}):
        yield ShardSet(folder, split)


def _misplaced(
    stream: npt.NDArray[np.generic], starts: npt.NDArray[np.int32], ids: tuple[int, ...], bos_id: int
) -> tuple[npt.NDArray[np.int64], int]:
    """(positions of control ids other than a document's first BOS, documents that lack it)."""
    control = np.zeros(1 << 16 if stream.dtype == np.uint16 else max(ids) + 1, np.bool_)
    control[list(ids)] = True
    begins = starts[:-1][np.diff(starts) > 0]
    with_bos = begins[stream[begins] == bos_id]
    found = []
    for low in range(0, len(stream), CHUNK):
        chunk = stream[low : low + CHUNK]
        flags = control[chunk] if stream.dtype == np.uint16 else np.isin(chunk, ids)
        flags[with_bos[(with_bos >= low) & (with_bos < low + CHUNK)] - low] = False
        found.append(low + np.flatnonzero(flags))
    where = np.concatenate(found) if found else np.zeros(0, np.int64)
    return where, len(starts) - 1 - len(with_bos)
