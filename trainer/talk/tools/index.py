"""A word index over a corpus's shards: BM25 (Robertson and Zaragoza 2009; Lucene's variant, by bm25s), memory-mapped.

    CORPUS/search/FINGERPRINT/*.npy, *.json    of bm25s: each word's passages and scores; the words
                              passages.npy     where each passage lies in the shards; its text is not copied

The fingerprint is that of the tokenize step's manifest, which names every shard by its SHA-256, so an index can't
belong to other shards than these. A folder gets its name when it is whole.
"""

import fcntl
import hashlib
import logging
import re
import shutil
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.reader import ShardSet
from trainer.talk.tools.tool import Source

FORMAT = 1
WORDS, OVERLAP = 120, 30
"""Of a passage, and how many of them the next one repeats, so that a sentence is whole in one of the two."""

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W{_IDEOGRAPHS}]+")
"""Chinese and Japanese put no spaces between words: there each character is one."""

PASSAGE = np.dtype([("shard", "<u4"), ("row", "<u4"), ("start", "<i8"), ("stop", "<i8")])
"""The shard's number (the training split's first), the document's row in it, and the tokens of the shard."""


@dataclass(frozen=True)
class Found:
    """A passage that has words of the query: how well they fit, where it stands, and its text as the page has it."""

    score: float
    source: Source
    text: str


def words(text: str) -> list[str]:
    """The lower-cased words of a text, as they are indexed and asked for."""
    return [word.lower() for word in _WORD.findall(text)]


class Corpus:
    """The shards of a corpus, training and validation split, and the passages that they hold.

    Raises FileNotFoundError or ValueError where `path` is no tokenised corpus; shards are opened when they are read.
    """

    def __init__(self, path: Path) -> None:
        train = ShardSet(path)
        self.manifest = train.manifest
        self.tokenizer = Tokenizer(train.vocabulary.path.read_bytes())
        self.shards = [(train, number) for number in range(len(train.shards))]
        try:
            validation = ShardSet(path, "validation")
        except ValueError:  # none was held out
            return
        self.shards += [(validation, number) for number in range(len(validation.shards))]

    @property
    def folder(self) -> Path:
        """Where the index goes: beside the steps' folders, or in the shards' where that is all there is."""
        home = self.manifest.parent
        return (home.parent if home.name == "tokenize" else home) / "search"

    def fingerprint(self) -> str:
        return hashlib.sha256(b"%d %d %d\n" % (FORMAT, WORDS, OVERLAP) + self.manifest.read_bytes()).hexdigest()

    def passages(self) -> Iterator[tuple[tuple[int, int, int, int], list[str]]]:
        """Each passage as a `PASSAGE`, and its words; in the order of the shards. Texts without words have none."""
        lengths = np.array([len(self.tokenizer.decode_bytes([id])) for id in range(self.tokenizer.size)])
        for shard, (split, number) in enumerate(self.shards):
            stream, starts = split.stream(number), split.document_starts(number)
            for row in range(len(starts) - 1):
                first, last = int(starts[row]), int(starts[row + 1])
                tokens = stream[first:last]
                for begin, end, found in _cut(self.tokenizer.decode_bytes(tokens), np.cumsum(lengths[tokens])):
                    yield (shard, row, first + begin, first + end), found

    def read(self, passage: Any) -> tuple[Source, str]:
        """Where a passage stands, and its text."""
        split, number = self.shards[int(passage["shard"])]
        row, start, stop = int(passage["row"]), int(passage["start"]), int(passage["stop"])
        documents = split.documents(number)
        id, url = documents["id"][row].as_py().hex(), documents["url"][row].as_py() or ""
        text = self.tokenizer.decode(split.stream(number)[start:stop])
        return Source(id, url, split.shards[number].name, start), text


def _cut(data: bytes, ends: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, list[str]]]:
    """A text, and the byte behind each of its tokens -> (first token, the one behind the last, words) by passage."""
    text = data.decode(errors="replace")
    spans = [match.span() for match in _WORD.finditer(text)]
    # Where characters begin: at bytes that continue none. (A text that is no UTF-8 came from another program.)
    byte_of = np.append(np.flatnonzero(np.frombuffer(data, np.uint8) & 0xC0 != 0x80), len(data))
    for begin in range(0, max(len(spans) - OVERLAP, min(len(spans), 1)), WORDS - OVERLAP):
        inside = spans[begin : begin + WORDS]
        limits = byte_of[np.minimum([inside[0][0], inside[-1][1]], len(byte_of) - 1)]
        start = int(np.searchsorted(ends, limits[0], side="right"))
        stop = int(np.searchsorted(ends, limits[1], side="left")) + 1
        yield start, stop, [text[start:stop].lower() for start, stop in inside]


class Index:
    """The index of a corpus: opened where it is there, else made (of 2.2 million words in 3 seconds and 200 MB)."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        folder = corpus.folder / corpus.fingerprint()
        if not folder.exists():
            _make(corpus, folder)
        try:
            self.scores = _bm25s().BM25.load(folder, mmap=True, show_progress=False)
            self.passages = np.load(folder / "passages.npy", mmap_mode="r", allow_pickle=False)
            if len(self.passages) != self.scores.scores["num_docs"]:
                raise ValueError(f"{len(self.passages)} passages, scores of {self.scores.scores['num_docs']}")
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{folder}: not a whole index ({error}); delete the folder, and it is made anew") from None
        shard, row = self.passages["shard"], self.passages["row"]
        changes = (np.diff(shard, prepend=shard[:1]) != 0) | (np.diff(row, prepend=row[:1]) != 0)
        changes[0] = True
        self.documents = np.flatnonzero(changes)
        """The first passage of each document."""

    def best(self, query: str, number: int) -> list[Found]:
        """The best passage of each of the `number` best documents, best first; ties go by the passage's number.

        Words that the corpus has not don't count, and where it has none of them, nothing is found.
        """
        known = [
            id for id in (self.scores.vocab_dict.get(word) for word in dict.fromkeys(words(query))) if id is not None
        ]
        if not known:
            return []
        scores = self.scores.get_scores_from_ids(known)
        best = np.maximum.reduceat(scores, self.documents)
        least = np.partition(best, -number)[-number] if len(best) > number else 0
        documents = np.flatnonzero((best >= least) & (best > 0))
        found = []
        for document in documents[np.argsort(-best[documents], kind="stable")][:number]:
            first = self.documents[document]
            behind = self.documents[document + 1] if document + 1 < len(self.documents) else len(scores)
            passage = first + int(scores[first:behind].argmax())
            found.append(Found(float(scores[passage]), *self.corpus.read(self.passages[passage])))
        return found


def _bm25s() -> Any:
    """The library, imported when there is something to search. It would log each step at DEBUG to any root handler."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s


def _make(corpus: Corpus, folder: Path) -> None:
    """Makes the index in a folder of another name and renames it; others that make it at the same time wait."""
    try:
        folder.parent.mkdir(exist_ok=True)
        lock = (folder.parent / "lock").open("w")
    except OSError as error:
        raise ValueError(f"{folder.parent}: the index can't be written there ({error.strerror})") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return
        vocabulary: dict[str, int] = {}
        places: list[tuple[int, int, int, int]] = []
        ids: list[array[int]] = []
        for place, found in corpus.passages():
            places.append(place)
            ids.append(array("i", [vocabulary.setdefault(word, len(vocabulary)) for word in found]))
        if not ids:
            raise ValueError(f"{corpus.manifest}: its documents have no words, so there is nothing to search")
        scores = _bm25s().BM25()
        scores.index((ids, vocabulary), create_empty_token=False, show_progress=False)
        unfinished = folder.parent / ".part"
        shutil.rmtree(unfinished, ignore_errors=True)
        scores.save(unfinished, show_progress=False)
        np.save(unfinished / "passages.npy", np.array(places, PASSAGE), allow_pickle=False)
        unfinished.rename(folder)
        for old in folder.parent.iterdir():
            if old.is_dir() and old != folder:
                shutil.rmtree(old)
