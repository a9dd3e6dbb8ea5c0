"""Near-duplicates by their owners: one text many times over from few owners of sites, or on many sites within days.

Deduplication deletes all but one copy, and with it what tells a flood: so copies are counted before it. A document
sends four keys of 28 bytes; the keys are MinHash bands (see pipeline/dedup/minhash.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifact import digest
from pipeline.dedup.minhash import Signer, band_keys
from pipeline.dedup.shingles import shingle
from pipeline.registrant import owner_hashes

VERSION = 1
NGRAM, BANDS, ROWS = 5, 4, 2
"""Two documents of Jaccard similarity 0.7 over word 5-grams share a key with probability 1 - (1 - 0.7^2)^4 = 93%."""

FLOOD_DOCUMENTS, FLOOD_OWNERS = 20, 3
BURST_OWNERS, BURST_DAYS = 10, 7
"""Where counting begins: ten owners within a week is the threshold of the first trials on syndicated news."""

NO_DAY = np.int32(np.iinfo(np.int32).min)

UInt64s = npt.NDArray[np.uint64]


COPIES = pa.schema([("keys", pa.uint64()), ("addresses", pa.uint64()), ("owners", pa.uint64()), ("days", pa.int32())])


@dataclass(frozen=True)
class Copies:
    """Keys by which near-duplicates meet, row by row: band key, address, hash of the owner, day since 1970."""

    keys: UInt64s
    addresses: UInt64s
    owners: UInt64s
    days: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, chosen: npt.NDArray[np.generic]) -> "Copies":
        """The rows at the chosen places."""
        return Copies(self.keys[chosen], self.addresses[chosen], self.owners[chosen], self.days[chosen])

    def batch(self) -> pa.RecordBatch:
        """The rows as a record batch of the schema COPIES."""
        return pa.RecordBatch.from_arrays([pa.array(getattr(self, name)) for name in COPIES.names], schema=COPIES)

    @staticmethod
    def of(batch: pa.RecordBatch) -> "Copies":
        """What `batch()` made."""
        return Copies(*(column.to_numpy() for column in batch.columns))

    @staticmethod
    def concatenate(many: Iterable["Copies"]) -> "Copies":
        """Rows of several parts, one after another."""
        groups = list(many)
        return Copies(*(np.concatenate([getattr(group, name) for group in groups]) for name in COPIES.names))


@dataclass(frozen=True)
class Spread:
    """Documents that a rule about whole documents points at: address, rule, owners that share it, and evidence."""

    addresses: UInt64s
    rules: tuple[str, ...]
    owners: npt.NDArray[np.int32]
    evidence: tuple[str, ...]

    @property
    def content(self) -> str:
        """A digest, for fingerprints."""
        return digest([self.addresses.tolist(), self.rules, self.owners.tolist(), self.evidence])

    @staticmethod
    def merge(many: Iterable["Spread"]) -> "Spread":
        """What groups of keys show, as one: of a rule that several groups apply to a document, the most owners."""
        found: dict[tuple[int, str], tuple[int, str]] = {}
        for spread in many:
            rows = zip(spread.addresses.tolist(), spread.rules, spread.owners.tolist(), spread.evidence, strict=True)
            for address, rule, owners, says in rows:
                found[address, rule] = max(found.get((address, rule), (owners, says)), (owners, says))
        return _spread(found)


def _spread(found: dict[tuple[int, str], tuple[int, str]]) -> Spread:
    rows = sorted((address, rule, *value) for (address, rule), value in found.items())
    return Spread(
        np.array([row[0] for row in rows], np.uint64),
        tuple(row[1] for row in rows),
        np.array([row[2] for row in rows], np.int32),
        tuple(row[3] for row in rows),
    )


NO_SPREAD = _spread({})


def days(dates: pa.Array) -> npt.NDArray[np.int32]:
    """WARC dates -> days since 1970; NO_DAY where there is none."""
    parsed = pc.strptime(pc.utf8_slice_codeunits(dates, 0, 10), "%Y-%m-%d", "s", error_is_null=True)
    return pc.fill_null(parsed.cast(pa.date32()).cast(pa.int32()), pa.scalar(int(NO_DAY), pa.int32())).to_numpy()


def copies_of(texts: pa.Array, addresses: UInt64s, hosts: pa.Array, dates: pa.Array) -> Copies:
    """The keys of a batch. Texts without words resemble nothing and send none."""
    shingles = shingle(texts, NGRAM)
    used = shingles.sizes > 0
    keys = band_keys(Signer(BANDS, ROWS).sign(shingles), BANDS, ROWS)[used]
    owners, when = owner_hashes(hosts)[used], days(dates)[used]
    return Copies(keys.ravel(), np.repeat(addresses[used], BANDS), np.repeat(owners, BANDS), np.repeat(when, BANDS))


def find_floods(copies: Copies) -> Spread:
    """The documents of floods and bursts; rows with equal keys must be together here. Each rule once a document."""
    order = np.lexsort((copies.addresses, copies.keys))
    copies = copies.select(order)
    bounds = np.flatnonzero(np.diff(copies.keys)) + 1
    starts, ends = np.append(0, bounds), np.append(bounds, len(copies))
    found: dict[tuple[int, str], tuple[int, str]] = {}
    least = min(FLOOD_DOCUMENTS, BURST_OWNERS)
    for start, end in zip(starts, ends, strict=True):
        if end - start < least:
            continue
        group = copies.select(np.arange(start, end))
        owners = len(np.unique(group.owners))
        if end - start >= FLOOD_DOCUMENTS and owners <= FLOOD_OWNERS:
            says = f"{end - start} near copies from {owners} owner{'s' if owners > 1 else ''}"
            _note(found, group.addresses, "flood", owners, says)
        if owners >= BURST_OWNERS:
            inside, most, first, last = _densest(group)
            if most >= BURST_OWNERS:
                span = f"{np.datetime64(int(first), 'D')} to {np.datetime64(int(last), 'D')}"
                _note(found, group.addresses[inside], "cluster_burst", most, f"{most} owners, {span}")
    return _spread(found)


def _note(found: dict[tuple[int, str], tuple[int, str]], addresses: UInt64s, rule: str, owners: int, says: str) -> None:
    for address in addresses.tolist():
        found[address, rule] = max(found.get((address, rule), (owners, says)), (owners, says))


def _densest(group: Copies) -> tuple[npt.NDArray[np.bool_], int, int, int]:
    """(rows within, owners, first and last day) of the BURST_DAYS in which most owners show the text."""
    dated = group.days != NO_DAY
    best, first = 0, 0
    for day in np.unique(group.days[dated]).tolist():
        inside = dated & (group.days >= day) & (group.days < day + BURST_DAYS)
        owners = len(np.unique(group.owners[inside]))
        if owners > best:
            best, first = owners, day
    inside = dated & (group.days >= first) & (group.days < first + BURST_DAYS)
    last = int(group.days[inside].max()) if inside.any() else first
    return inside, best, first, last
