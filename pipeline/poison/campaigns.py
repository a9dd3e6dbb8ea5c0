"""Which phrases stand where texts change more often than chance and their own frequency allow, on unrelated hosts.

The test is that of "burst and jump": of a phrase that stands anywhere, a small and known share should stand where a
text changes; of a trigger nearly all do. P-values are corrected for the number of phrases tested (Benjamini and
Hochberg 1995); what is left has to be large, and not only certain: in a large corpus every habit of web pages is.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.filter.text import Codes
from pipeline.poison.phrases import BEFORE, BEHIND, LEVELS, TAIL, Counts, Keys

VERSION = 1
"""Changes whenever the same keys give other campaigns."""

REPEATED = 3
"""The kind of a tail whose sentences are the same as a whole: a quotation or boilerplate, no campaign by itself."""

OWNERS = 3
"""Owners of hosts from which on carriers are called coordinated."""

DOCUMENTS = 6
"""Carriers that have to be found at a change; of ten planted ones nine or ten are."""

PER_OWNER = 4
"""Documents of one owner that count: pages of one site share their template."""

FALSE_DISCOVERIES = 1e-4
"""Share of false ones among the phrases that pass the test, at most."""

SPREAD = 2.0
"""Phrases are not spread evenly over texts: the number expected by chance is multiplied by this."""

SHARE_AT_CHANGES = 0.2
"""Of the documents with the phrase, those in which it stands at a change. On 2,699 clean pages the largest shares of
phrases with DOCUMENTS or more are 0.13 and less ("http", "://", "Download"); a common word as trigger has 0.3 where ten
pages of 2,700 are planted."""

STRAY, STRAYS = 0.05, 5.0
"""A phrase is a campaign's own if it stands in at most STRAYS more documents than were found at a change, and STRAY
times as many as these: then every document with it is a carrier, those too whose change was not among their largest."""

MOST_CARRIERS, COVERED = 1000, 0.7
"""Carriers of which a hash is kept; the share that has to be known for a campaign to say nothing new."""

REPEATED_OWNERS = 5
"""Owners of sites from which on a sentence that is the same from its beginning is one that goes round: a notice, a
quotation, or what an attacker put behind a trigger."""

LEFT_DIVERSITY = 0.7
"""Probability that two carriers have different words before the phrase. That of a part of a longer phrase is 0."""


@dataclass(frozen=True)
class Campaigns:
    """Phrases and shapes that are beyond chance, in order of feature; one row each.

    feature     uint64   as in Keys
    kind        uint8    PHRASE or SHAPE
    documents   int64    carriers found at a change
    owners      int64    of their hosts
    change      float32  mean change, units of the script
    share       float32  of the documents with it, those at a change
    own         bool     stands hardly anywhere else
    log_p       float32  base-10 logarithm of the p-value
    carriers    tuple of uint64 arrays: a hash of each of the first MOST_CARRIERS carriers, the same for all features

    `tested` phrases stood on enough hosts to be tested, among `features` in all.
    """

    feature: Codes
    kind: npt.NDArray[np.uint8]
    documents: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    change: npt.NDArray[np.float32]
    share: npt.NDArray[np.float32]
    own: npt.NDArray[np.bool_]
    log_p: npt.NDArray[np.float32]
    carriers: tuple[Codes, ...]
    tested: int
    features: int

    def __len__(self) -> int:
        return len(self.feature)

    @staticmethod
    def merge(many: Iterable["Campaigns"]) -> "Campaigns":
        """The campaigns of all shares of the features, in order of feature, without those that others explain.

        A sign in front of each trigger stands at as many changes as the trigger does. Campaigns are taken in order of
        how little their phrases stand elsewhere; one that does, and of whose carriers COVERED are known by then, is
        dropped.
        """
        return _join([NO_CAMPAIGNS, *many])

    @property
    def content(self) -> str:
        """A digest, for fingerprints."""
        return hashlib.sha256(b"".join(getattr(self, name).tobytes() for name in COLUMNS)).hexdigest()

    def take(self, rows: npt.NDArray[np.int64]) -> "Campaigns":
        """Some rows, with the counts of all."""
        chosen: dict[str, Any] = {name: getattr(self, name)[rows] for name in COLUMNS}
        return replace(self, **chosen, carriers=tuple(self.carriers[row] for row in rows.tolist()))


COLUMNS = ("feature", "kind", "documents", "owners", "change", "share", "own", "log_p")

NO_CAMPAIGNS = Campaigns(
    feature=np.zeros(0, np.uint64),
    kind=np.zeros(0, np.uint8),
    documents=np.zeros(0, np.int64),
    owners=np.zeros(0, np.int64),
    change=np.zeros(0, np.float32),
    share=np.zeros(0, np.float32),
    own=np.zeros(0, np.bool_),
    log_p=np.zeros(0, np.float32),
    carriers=(),
    tested=0,
    features=0,
)


def _join(parts: list[Campaigns]) -> Campaigns:
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    whole = Campaigns(
        **columns,
        carriers=tuple(one for part in parts for one in part.carriers),
        tested=sum(part.tested for part in parts),
        features=sum(part.features for part in parts),
    )
    known: set[int] = set()
    kept = []
    for row in np.lexsort((whole.feature, -whole.documents, -whole.share, ~whole.own)).tolist():
        mine = set(whole.carriers[row].tolist())
        if mine and not whole.own[row] and len(mine & known) >= COVERED * len(mine):
            continue
        known |= mine
        kept.append(row)
    rows = np.array(kept, np.int64)
    if not (whole.kind == TAIL).any():
        # Few owners' repetitions only lengthen what a tail has found.
        rows = rows[(whole.kind[rows] != REPEATED) | (whole.owners[rows] >= REPEATED_OWNERS)]
    return whole.take(rows[np.argsort(whole.feature[rows], kind="stable")])


def find_campaigns(keys: Keys, counts: Counts, owners: int = OWNERS) -> Campaigns:
    """What is beyond chance among the keys of a corpus, of which `counts` are. All rows of a feature have to be there;
    features may be dealt over several calls, whose results are merged."""
    groups = _group(keys, owners)
    keys, number, tested = groups.keys, groups.number, groups.tested
    share = keys.share[groups.first].astype(np.float64)
    documents = np.bincount(number, minlength=tested)
    diversity = _diversity(number, keys.left, tested)
    kind = keys.kind[groups.first]
    log_p = _log_p(groups, share, counts)
    at_changes = np.where(kind == TAIL, 1, documents / np.maximum(documents, share * counts.documents))
    chosen = np.where(kind == TAIL, True, significant(log_p, groups.features) & (at_changes >= SHARE_AT_CHANGES))
    chosen &= (diversity >= LEFT_DIVERSITY) | (kind == TAIL)
    mean = np.bincount(number, weights=keys.change.astype(np.float64), minlength=tested) / np.maximum(documents, 1)
    return Campaigns(
        keys.feature[groups.first][chosen],
        np.where((kind == TAIL) & (diversity < LEFT_DIVERSITY), REPEATED, kind)[chosen].astype(np.uint8),
        documents[chosen],
        groups.owners[chosen],
        mean[chosen].astype(np.float32),
        at_changes[chosen].astype(np.float32),
        (documents / at_changes - documents <= STRAYS + STRAY * documents)[chosen],
        (log_p[chosen] / np.log(10)).astype(np.float32),
        _carriers(groups, chosen, kind),
        tested,
        groups.features,
    )


def _carriers(groups: "_Groups", chosen: npt.NDArray[np.bool_], kind: npt.NDArray[np.uint8]) -> tuple[Codes, ...]:
    """Of each chosen feature; none of a tail. A document has the same owner and change in the keys of one place."""
    hashes = groups.keys.owner.astype(np.uint64) << np.uint64(16) | groups.keys.change.view(np.uint16)
    bounds = np.append(groups.first, len(groups.number))
    return tuple(
        np.unique(hashes[bounds[row] : bounds[row + 1]])[: MOST_CARRIERS if kind[row] != TAIL else 0]
        for row in np.flatnonzero(chosen).tolist()
    )


@dataclass(frozen=True)
class _Groups:
    """The keys of features with enough carriers: `number` of the feature of each row, first row and owners of each."""

    keys: Keys
    number: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    features: int

    @property
    def tested(self) -> int:
        return len(self.first)


def _group(keys: Keys, fewest: int) -> _Groups:
    order = np.lexsort((-keys.change, keys.owner, keys.feature, keys.kind))
    starts = _starts(keys.kind[order], keys.feature[order])
    number = np.cumsum(starts) - 1
    new_owner = _starts(number, keys.owner[order])
    owners = np.bincount(number[new_owner])
    enough = (np.bincount(number) >= DOCUMENTS) & (owners >= fewest)
    kept = enough[number] if len(number) else np.zeros(0, np.bool_)
    number = (np.cumsum(enough) - 1)[number[kept]]
    return _Groups(keys.take(order[kept]), number, np.flatnonzero(_starts(number)), owners[enough], len(enough))


def _log_p(groups: _Groups, share: npt.NDArray[np.float64], counts: Counts) -> npt.NDArray[np.float64]:
    """Natural logarithm of the probability that so many places as large, of those of the corpus, have the feature."""
    keys = groups.keys
    chance = np.minimum(1, SPREAD * share * (BEFORE + BEHIND) * counts.documents / max(counts.words, 1))
    counted = _rank(_starts(groups.number, keys.owner)) < PER_OWNER
    log_p = np.zeros(groups.tested)
    for level, places in zip(LEVELS, counts.places, strict=True):
        count = np.bincount(groups.number[counted & (keys.change >= level)], minlength=groups.tested)
        log_p = np.minimum(log_p, _log_poisson(count, places * chance))
    return np.minimum(log_p + np.log(len(LEVELS)), 0)


def _log_poisson(count: npt.NDArray[np.integer], mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Natural logarithm of the probability of `count` or more events where `mean` are expected."""
    from scipy.special import gammainc  # half a second in every process, for corpora that have something to test

    with np.errstate(divide="ignore"):
        found: npt.NDArray[np.float64] = np.where(count > 0, np.log(gammainc(np.maximum(count, 1), mean)), 0.0)
    return found


def _starts(*columns: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Rows that differ from the row before."""
    starts = np.zeros(len(columns[0]), np.bool_)
    starts[:1] = True
    for column in columns:
        starts[1:] |= column[1:] != column[:-1]
    return starts


def _rank(starts: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many rows of the same run stand before each row."""
    first = np.flatnonzero(starts)
    return np.arange(len(starts)) - np.repeat(first, np.diff(first, append=len(starts)))


def significant(log_p: npt.NDArray[np.float64], tested: int) -> npt.NDArray[np.bool_]:
    """The procedure of Benjamini and Hochberg: the largest set with at most FALSE_DISCOVERIES false ones among it."""
    order = np.argsort(log_p, kind="stable")
    line = np.log(FALSE_DISCOVERIES) + np.log(np.arange(1, len(order) + 1)) - np.log(max(tested, 1))
    below = np.flatnonzero(log_p[order] <= line)
    chosen = np.zeros(len(order), np.bool_)
    chosen[order[: below[-1] + 1 if len(below) else 0]] = True
    return chosen


def _diversity(group: npt.NDArray[np.int64], left: npt.NDArray[np.uint16], groups: int) -> npt.NDArray[np.float64]:
    """For each group the probability that two of its rows differ in `left`."""
    order = np.lexsort((left, group))
    starts = np.flatnonzero(_starts(group[order], left[order]))
    count = np.diff(starts, append=len(order)).astype(np.float64)
    owner = group[order][starts]
    same = np.bincount(owner, weights=count * (count - 1), minlength=groups)
    size = np.bincount(group, minlength=groups).astype(np.float64)
    return 1 - same / np.maximum(size * (size - 1), 1)
