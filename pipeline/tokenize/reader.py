"""The trainer's view of a tokenised corpus: one long array of tokens over memory-mapped shards, and the way back.

Imports NumPy, PyArrow and the standard library only. Nothing is parsed or copied at training time: a window inside one
shard is a view of the file (the idea of nanoGPT's `np.memmap`, with the documents' lineage beside the tokens).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tokenize.shards import FORMAT, METADATA, shard_of

AGAIN = "run the tokenize step again"
LOOSEN = "its report.html says where the pages went; loosen the recipe, or give more pages"


class EmptyCorpusError(ValueError):
    """A corpus without a document, and so without shards and vocabulary."""


@dataclass(frozen=True)
class Vocabulary:
    """The SentencePiece model that the tokens belong to; `eos_id` is -1 where the manifest names none."""

    path: Path
    sha256: str
    size: int
    bos_id: int
    eos_id: int
    controls: Mapping[str, int]


@dataclass(frozen=True)
class Shard:
    """One file of a split as the manifest names it: documents, tokens, and `bytes` of their text in UTF-8."""

    path: Path
    sha256: str
    documents: int
    tokens: int
    bytes: int

    @property
    def name(self) -> str:
        """`train-00000`."""
        return self.path.stem


@dataclass(frozen=True)
class Place:
    """A document in the shards: its row, and which tokens of the shard are its own (start <= token < stop).

    `offset` is where in those tokens the one lies that was asked for.
    """

    shard: str
    document: int
    id: bytes
    start: int
    stop: int
    offset: int
    tokens: npt.NDArray[Any] = field(compare=False)


class ShardSet:
    """The shards of one split, in the manifest's order.

    `path` is a corpus's folder, its `tokenize` folder, or the manifest in it. `tokens` and `bytes` are sums over the
    split; nothing but the manifest is read until tokens are asked for.

    Raises FileNotFoundError or ValueError, naming the file and what to do, where manifest or shards are not as they
    should be, and where the split has no tokens.
    """

    def __init__(self, path: str | Path, split: str = "train") -> None:
        self.manifest = _find_manifest(Path(path))
        self.split = split
        try:
            contents = json.loads(self.manifest.read_bytes())
            if contents["step"] == "tokenize" and not contents["files"]:
                raise EmptyCorpusError(f"{self.manifest}: this corpus kept no document; {LOOSEN}")
            self.shards = _shards(contents, self.manifest.parent, split)
            self.vocabulary = _vocabulary(contents, self.manifest.parent)
        except EmptyCorpusError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.manifest}: not the manifest of a tokenize step ({type(error).__name__}: {error}); {AGAIN}"
            ) from None
        self.starts = np.concatenate(([0], np.cumsum([shard.tokens for shard in self.shards], dtype=np.int64)))
        self.tokens = int(self.starts[-1])
        self.bytes = sum(shard.bytes for shard in self.shards)
        if not self.tokens:
            raise ValueError(
                f"{self.manifest}: the split {split!r} has no tokens; give more pages, or for a validation split hold "
                "out a larger share of the hosts"
            )
        self.dtype: np.dtype[Any] = np.dtype(np.uint16 if self.vocabulary.size <= 1 << 16 else np.uint32)
        self._batches: dict[int, pa.RecordBatch] = {}
        self._streams: dict[int, npt.NDArray[Any]] = {}

    def documents(self, shard: int) -> pa.RecordBatch:
        """The documents of a shard (its number in `shards`), memory-mapped: id, tokens, address, url, ...

        Raises FileNotFoundError or ValueError where the file is not what the manifest says.
        """
        if shard not in self._batches:
            self._batches[shard] = self._open(self.shards[shard])
        return self._batches[shard]

    def document_starts(self, shard: int) -> npt.NDArray[np.int32]:
        """Where each document's tokens begin in the shard's stream, and where the last one's end."""
        starts: npt.NDArray[np.int32] = self.documents(shard)["tokens"].offsets.to_numpy()
        return starts

    def stream(self, shard: int) -> npt.NDArray[Any]:
        """All tokens of a shard, one document after another (each is BOS and its pieces); a view of the file."""
        if shard not in self._streams:
            self._streams[shard] = self.documents(shard)["tokens"].values.to_numpy()
        return self._streams[shard]

    def window(self, start: int, length: int) -> npt.NDArray[Any]:
        """The tokens start .. start + length - 1 of the split, across shard boundaries.

        A view of the file where they lie in one shard, else a copy. Raises IndexError outside the split.
        """
        stop = start + length
        if not 0 <= start <= stop <= self.tokens:
            raise IndexError(f"tokens {start:,} to {stop:,} asked of the {self.tokens:,} of {self.manifest}")
        first, parts = self._shard_at(start), []
        for shard in range(first, len(self.shards)):
            before = int(self.starts[shard])
            parts.append(self.stream(shard)[max(start - before, 0) : stop - before])
            if stop <= self.starts[shard + 1]:
                break
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def document_at(self, position: int) -> Place:
        """The document that a token of the split belongs to. Raises IndexError outside the split."""
        if not 0 <= position < self.tokens:
            raise IndexError(f"token {position:,} asked of the {self.tokens:,} of {self.manifest}")
        shard = self._shard_at(position)
        return self._place(shard, position - int(self.starts[shard]))

    def locate(self, name: str, position: int) -> Place:
        """The document that a token of one shard (`train-00000`) belongs to.

        Raises KeyError where there is no such shard, IndexError where it has fewer tokens.
        """
        names = [shard.name for shard in self.shards]
        if name not in names:
            raise KeyError(f"no shard {name!r}; {self.manifest} has {names[0]} to {names[-1]}")
        number = names.index(name)
        if not 0 <= position < self.shards[number].tokens:
            raise IndexError(f"token {position:,} asked of {name}, which has {self.shards[number].tokens:,}")
        return self._place(number, position)

    def find(self, id: bytes) -> Place | None:
        """Where a document lies, by its 16-byte id; None where it is not in this split. `offset` is 0."""
        hash = np.frombuffer(id[:8], ">u8").astype(np.uint64)
        number = int(shard_of(hash, len(self.shards))[0])
        rows = np.flatnonzero(pc.equal(self.documents(number)["id"], pa.scalar(id, pa.binary(16))))
        return self._place(number, int(self.document_starts(number)[rows[0]])) if len(rows) else None

    def check(self) -> None:
        """Compare the SHA-256 of every shard and of the vocabulary with the manifest's, and open every shard.

        Raises ValueError or FileNotFoundError that names the first file that differs.
        """
        _check_digest(self.vocabulary.path, self.vocabulary.sha256)
        for number, shard in enumerate(self.shards):
            if shard.path.exists():
                _check_digest(shard.path, shard.sha256)
            self.documents(number)

    def _shard_at(self, position: int) -> int:
        """The shard of a token; the last one for the position behind all."""
        return min(int(np.searchsorted(self.starts, position, side="right")), len(self.shards)) - 1

    def _place(self, shard: int, position: int) -> Place:
        starts = self.document_starts(shard)
        document = int(np.searchsorted(starts, position, side="right")) - 1
        start, stop = int(starts[document]), int(starts[document + 1])
        id = self.documents(shard)["id"][document].as_py()
        tokens = self.stream(shard)[start:stop]
        return Place(self.shards[shard].name, document, id, start, stop, position - start, tokens)

    def _open(self, shard: Shard) -> pa.RecordBatch:
        try:
            with pa.memory_map(str(shard.path)) as file:  # what is read of it stays mapped, without a descriptor
                reader = pa.ipc.open_file(file)
                batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except FileNotFoundError:
            raise FileNotFoundError(f"{shard.path} is missing, though {self.manifest} names it; {AGAIN}") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{shard.path} is cut short or not an Arrow IPC file ({error}); {AGAIN}") from None
        about = json.loads((reader.schema.metadata or {}).get(METADATA, b"{}"))
        _expect(shard.path, "shard format", about.get("format"), FORMAT, "this program reads")
        _expect(shard.path, "vocabulary", about.get("vocabulary_sha256"), self.vocabulary.sha256)
        _expect(
            shard.path, "type of tokens", reader.schema.field("tokens").type, pa.list_(pa.from_numpy_dtype(self.dtype))
        )
        _expect(shard.path, "number of record batches", len(batches), 1, "a shard has")
        _expect(shard.path, "number of documents", len(batches[0]), shard.documents)
        _expect(shard.path, "number of tokens", len(batches[0]["tokens"].values), shard.tokens)
        return batches[0]


def _find_manifest(path: Path) -> Path:
    for found in (path / "tokenize" / "manifest.json", path / "manifest.json", path):
        if found.is_file():
            return found
    raise FileNotFoundError(f"{path}: no tokenized corpus here; name the output folder of a finished run")


def _shards(contents: Mapping[str, Any], folder: Path, split: str) -> tuple[Shard, ...]:
    if contents["step"] != "tokenize":
        raise ValueError(f"it is that of {contents['step']!r}")
    return tuple(
        Shard(folder / file["name"], file["sha256"], int(file["documents"]), int(file["tokens"]), int(file["bytes"]))
        for file in contents["files"]
        if file.get("split") == split
    )


def _vocabulary(contents: Mapping[str, Any], folder: Path) -> Vocabulary:
    about = contents["vocabulary"]
    path = folder / about["file"]
    if not path.exists():  # a corpus keeps its model where it was trained
        path = folder.parent / "vocabulary" / about["file"]
    eos_id, controls = int(about.get("eos_id", -1)), about.get("controls", {})
    return Vocabulary(path, about["sha256"], int(about["size"]), int(about["bos_id"]), eos_id, controls)


def _expect(path: Path, what: str, found: object, expected: object, says: str = "the manifest says") -> None:
    if found != expected:
        raise ValueError(f"{path}: {what} is {found}, {says} {expected}; {AGAIN}")


def _check_digest(path: Path, expected: str) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing, though the manifest names it; {AGAIN}")
    with path.open("rb") as file:
        _expect(path, "sha256", hashlib.file_digest(file, "sha256").hexdigest(), expected)
