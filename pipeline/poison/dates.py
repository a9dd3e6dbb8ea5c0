"""What a crawl's dates tell of the owners of sites: bursts of pages, and sites that became another one.

An owner of whom a crawl holds a few pages a day, and one day hundreds, has perhaps been broken into; a site whose pages
are of another language or on other matters than three months before has perhaps been sold. Both are hints: they tag.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.artifact import digest
from pipeline.filter.text import TextBatch
from pipeline.poison.floods import NO_DAY, UInt64s, days
from pipeline.registrant import owner_hashes

VERSION = 1
BURST_PAGES, BURST_TIMES, BURST_DAYS = 50, 10, 3
"""A burst is so many pages of one owner on one day, so many times the median of its other days, of which there are so
many at least."""

CHANGED_PAGES, CHANGED_DAYS, CHANGED_LIKENESS = 5, 90, 0.1
"""A site changed if so many pages on each side of so many days without a page are in another language, or less alike
than this. On 10 sites of a real crawl with 6 to 40 pages the halves of one site were never less alike (cosine of mean
word vectors, 0.12 to 0.9); of the pairs of different sites half were. So half of the sales are not seen."""

DIMENSIONS_BITS = 8
LETTERS = 4
"""Shorter words tell a language, not what a page is about."""


VISITS = pa.schema(
    [
        ("owners", pa.uint64()),
        ("days", pa.int32()),
        ("languages", pa.uint64()),
        ("topics", pa.binary(1 << DIMENSIONS_BITS)),
    ]
)


@dataclass(frozen=True)
class Visits:
    """A page's owner, day, language and what it is about, row by row; `topics` (n, 2**DIMENSIONS_BITS) int8."""

    owners: UInt64s
    days: npt.NDArray[np.int32]
    languages: UInt64s
    topics: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.owners)

    def select(self, chosen: npt.NDArray[np.generic]) -> "Visits":
        """The rows at the chosen places."""
        return Visits(self.owners[chosen], self.days[chosen], self.languages[chosen], self.topics[chosen])

    def batch(self) -> pa.RecordBatch:
        """The rows as a record batch of the schema VISITS."""
        topics = pa.FixedSizeBinaryArray.from_buffers(
            VISITS.field("topics").type, len(self), [None, pa.py_buffer(np.ascontiguousarray(self.topics))]
        )
        arrays = [pa.array(self.owners), pa.array(self.days), pa.array(self.languages), topics]
        return pa.RecordBatch.from_arrays(arrays, schema=VISITS)

    @staticmethod
    def of(batch: pa.RecordBatch) -> "Visits":
        """What `batch()` made."""
        raw = b"".join(batch.column("topics").to_pylist())
        topics = np.frombuffer(raw, np.int8).reshape(batch.num_rows, 1 << DIMENSIONS_BITS)
        owners, when, languages = (column.to_numpy() for column in batch.columns[:3])
        return Visits(owners, when, languages, topics)

    @staticmethod
    def concatenate(many: Iterable["Visits"]) -> "Visits":
        """Rows of several parts, one after another."""
        groups = list(many)
        return Visits(*(np.concatenate([getattr(group, name) for group in groups]) for name in VISITS.names))


@dataclass(frozen=True)
class Turns:
    """Rules about an owner's pages from `first` to `last` day, row by row, in order of owner."""

    owners: UInt64s
    first: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    rules: tuple[str, ...]
    evidence: tuple[str, ...]

    @property
    def content(self) -> str:
        """A digest, for fingerprints."""
        return digest([self.owners.tolist(), self.first.tolist(), self.last.tolist(), self.rules, self.evidence])

    @staticmethod
    def merge(many: Iterable["Turns"]) -> "Turns":
        """What groups of owners show, as one, in order of owner and day."""
        found = [row for turns in many for row in turns.rows()]
        return _turns(sorted(found))

    def rows(self) -> list[tuple[int, int, int, str, str]]:
        """(owner, first day, last day, rule, evidence), row by row."""
        columns = (self.owners.tolist(), self.first.tolist(), self.last.tolist())
        return list(zip(*columns, self.rules, self.evidence, strict=True))

    def of(self, owners: UInt64s, when: npt.NDArray[np.int32]) -> list[tuple[int, str, str]]:
        """(row, rule, evidence) of the documents that a rule points at."""
        found = []
        low, high = np.searchsorted(self.owners, owners), np.searchsorted(self.owners, owners, side="right")
        for row in np.flatnonzero(low < high).tolist():
            for turn in range(low[row], high[row]):
                if self.first[turn] <= when[row] <= self.last[turn]:
                    found.append((row, self.rules[turn], self.evidence[turn]))
        return found


def visits_of(texts: TextBatch, hosts: pa.Array, dates: pa.Array, languages: pa.Array) -> Visits:
    """The rows of a batch whose pages have an owner and a date."""
    owners, when = owner_hashes(hosts), days(dates)
    language = np.array([_language(code) for code in languages.to_pylist()], np.uint64)
    known = np.flatnonzero((owners != 0) & (when != NO_DAY))
    return Visits(owners, when, language, _topics(texts)).select(known)


def _language(code: str | None) -> int:
    return int.from_bytes((code or "").encode()[:8], "big")


def _topics(texts: TextBatch) -> npt.NDArray[np.int8]:
    """Each document's hashed words (Weinberger et al. 2009: the hash also gives the sign), its largest count as 127."""
    words = texts.words
    chosen = (words.lengths >= LETTERS) & texts.has_letter
    mixed = texts.word_codes[chosen] * np.uint64(0x9E3779B97F4A7C15)
    slots = (mixed >> np.uint64(64 - DIMENSIONS_BITS)).astype(np.int64)
    signs = np.where(mixed >> np.uint64(32) & np.uint64(1), 1.0, -1.0)
    size = 1 << DIMENSIONS_BITS
    sums = np.bincount(words.document[chosen] * size + slots, weights=signs, minlength=len(texts) * size)
    vectors = sums.reshape(len(texts), size)
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True, initial=0), 1)
    return np.rint(vectors * (127 / largest)).astype(np.int8)


def find_turns(visits: Visits) -> Turns:
    """Bursts and changes among rows; all pages of an owner must be together here. In order of owner and day."""
    visits = visits.select(np.lexsort((visits.days, visits.owners)))
    bounds = np.flatnonzero(np.diff(visits.owners)) + 1
    found: list[tuple[int, int, int, str, str]] = []
    for rows in np.split(np.arange(len(visits)), bounds):
        if len(rows) >= min(BURST_PAGES, 2 * CHANGED_PAGES):
            owner = visits.select(rows)
            found += _bursts(owner)
            found += _changes(owner)
    return _turns(found)


def _turns(found: list[tuple[int, int, int, str, str]]) -> Turns:
    return Turns(
        np.array([row[0] for row in found], np.uint64),
        np.array([row[1] for row in found], np.int32),
        np.array([row[2] for row in found], np.int32),
        tuple(row[3] for row in found),
        tuple(row[4] for row in found),
    )


NO_TURNS = _turns([])


def _bursts(owner: Visits) -> list[tuple[int, int, int, str, str]]:
    when, pages = np.unique(owner.days, return_counts=True)
    found = []
    for place in np.flatnonzero(pages >= BURST_PAGES).tolist():
        others = np.delete(pages, place)
        if len(others) >= BURST_DAYS and pages[place] >= BURST_TIMES * np.median(others):
            day, usual = int(when[place]), float(np.median(others))
            says = f"{pages[place]} pages on {np.datetime64(day, 'D')}, {usual:g} on a usual day"
            found.append((int(owner.owners[0]), day, day, "crawl_burst", says))
    return found


def _changes(owner: Visits) -> list[tuple[int, int, int, str, str]]:
    gaps = np.flatnonzero(np.diff(owner.days) >= CHANGED_DAYS) + 1
    found = []
    for gap in gaps.tolist():
        before, behind = owner.select(np.arange(gap)), owner.select(np.arange(gap, len(owner)))
        if min(len(before), len(behind)) < CHANGED_PAGES:
            continue
        likeness = _cosine(before.topics, behind.topics)
        spoke, speaks = _commonest(before.languages), _commonest(behind.languages)
        if spoke == speaks and likeness >= CHANGED_LIKENESS:
            continue
        other = f"language {_code(spoke)} became {_code(speaks)}, " if spoke != speaks else ""
        first, last = int(behind.days[0]), int(behind.days[-1])
        says = f"{other}likeness {likeness:.2f} across the gap before {np.datetime64(first, 'D')}"
        found.append((int(owner.owners[0]), first, last, "changed_hands", says))
    return found


def _cosine(left: npt.NDArray[np.int8], right: npt.NDArray[np.int8]) -> float:
    """How alike the mean directions of two sets of pages are."""
    one, two = _direction(left), _direction(right)
    length = np.linalg.norm(one) * np.linalg.norm(two)
    return float(one @ two / length) if length else 1.0


def _direction(topics: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(topics.astype(np.float64), axis=1, keepdims=True)
    mean: npt.NDArray[np.float64] = (topics / np.maximum(lengths, 1)).mean(axis=0)
    return mean


def _commonest(languages: UInt64s) -> int:
    values, counts = np.unique(languages, return_counts=True)
    return int(values[np.argmax(counts)])


def _code(language: int) -> str:
    return language.to_bytes(8, "big").strip(b"\0").decode("ascii", "replace") or "?"
