"""Known jailbreaks found again though names and words were changed: a growing set of hashes of their word 5-grams.

A part of the n-grams is kept, by hash, as in sampled fingerprints (Manber 1994, "0 mod p"), so that the set holds
figures and no sentences, and a text is compared with all known jailbreaks by one look-up a kept n-gram.
"""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.text import Codes, TextBatch
from pipeline.filter.words import Positions
from pipeline.poison.finding import EVIDENCE, Findings
from pipeline.poison.instruction_features import MIX, Words

VERSION = 2
DATA = Path(__file__).parent / "data" / "jailbreaks.npz"

NGRAM = 5
"""Words of an n-gram, punctuation left out. Of 5-grams a third outlives a change of every fifth word."""

SAMPLED = 4
"""One in so many n-grams is kept."""

WINDOWS = (80, 200)
"""Words within which known n-grams are counted: a short jailbreak on a long page, and a long one much changed."""

HITS, SHARE = 4, 0.12
"""Known n-grams that a window has at least, and their share of its kept ones."""

BATCH = 256


@dataclass(frozen=True)
class Signatures:
    """Hashes of kept n-grams, sorted and distinct."""

    codes: Codes

    @staticmethod
    def of(texts: Iterable[str], clean: Iterable[str] = ()) -> "Signatures":
        """Of texts that are jailbreaks; what clean texts have too is left out."""
        return Signatures(np.setdiff1d(_codes_of(texts), _codes_of(clean)))

    @staticmethod
    def read(path: Path) -> "Signatures":
        """From a file: .npz as `save` writes it; .jsonl with a jailbreak in each row's `text`; else one text."""
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as data:
                return Signatures(data["codes"])
        return Signatures.of(_texts(path))

    def __or__(self, other: "Signatures") -> "Signatures":
        return Signatures(np.union1d(self.codes, other.codes))

    def save(self, path: Path, provenance: str) -> None:
        """Writes the hashes with version and provenance."""
        data = io.BytesIO()
        np.savez_compressed(data, version=VERSION, provenance=provenance, codes=self.codes)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(data.getvalue())
        partial.replace(path)


def _texts(path: Path) -> Iterator[str]:
    if path.suffix != ".jsonl":
        yield path.read_text(encoding="utf-8")
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError):
                text = None
            if not isinstance(text, str):
                raise ValueError(f'{path}:{number}: expected a row {{"text": "..."}} with a jailbreak')
            yield text


@cache
def known() -> Signatures:
    """The signatures that come with the program, read once a process."""
    return Signatures.read(DATA)


@dataclass(frozen=True)
class Kept:
    """The kept n-grams of a batch in order: hash, the positions of their text, and their document."""

    codes: Codes
    start: Positions
    end: Positions
    word: Positions
    document: Positions

    @staticmethod
    def of(texts: TextBatch) -> "Kept":
        """Of all documents; n-grams cross sentences, and no document."""
        words = Words(texts)
        letters = texts.has_letter[np.searchsorted(texts.words.start, words.start, side="right") - 1]
        start, end, document = words.start[letters], words.end[letters], words.document[letters]
        count = max(len(start) - NGRAM + 1, 0)
        single = words.hashes(start, end)
        codes = np.zeros(count, np.uint64)
        for step in range(NGRAM):
            codes = (codes ^ (codes >> np.uint64(31))) * MIX[0] + single[step : step + count] * MIX[1]
        codes = (codes ^ (codes >> np.uint64(29))) * MIX[2]
        kept = codes >> np.uint64(40) & np.uint64(0xFFFF)
        last = np.arange(NGRAM - 1, NGRAM - 1 + count)
        at = np.flatnonzero((kept % np.uint64(SAMPLED) == 0) & (document[:count] == document[last]))
        return Kept(codes[at], start[at], end[at + NGRAM - 1], at, document[at])


def _codes_of(texts: Iterable[str]) -> Codes:
    gathered, part = [np.zeros(0, np.uint64)], []
    for text in texts:
        part.append(text)
        if len(part) == BATCH:
            gathered.append(Kept.of(TextBatch(pa.array(part, pa.string()))).codes)
            part = []
    gathered.append(Kept.of(TextBatch(pa.array(part, pa.string()))).codes)
    return np.unique(np.concatenate(gathered))


def find(texts: TextBatch, signatures: Signatures | None = None) -> Findings:
    """`jailbreak_template`: stretches of a document that share HITS n-grams and SHARE of them with known jailbreaks."""
    codes = (signatures or known()).codes
    findings = Findings()
    kept = Kept.of(texts)
    if len(codes) == 0 or len(kept.codes) == 0:
        return findings
    hit = codes[np.minimum(np.searchsorted(codes, kept.codes), len(codes) - 1)] == kept.codes
    counts = np.bincount(kept.document[hit], minlength=len(texts))
    for document in np.flatnonzero(counts >= HITS):
        rows = slice(*np.searchsorted(kept.document, [document, document + 1]))
        for first, last, share in _stretches(kept.word[rows], hit[rows]):
            start = int(kept.start[rows][first] - texts.begin[document])
            end = int(kept.end[rows][last] - texts.begin[document])
            evidence = texts.strings[document][start : min(end, start + EVIDENCE)]
            findings.add(int(document), "jailbreak_template", start, end, share, evidence)
    return findings


def _stretches(word: Positions, hit: npt.NDArray[np.bool_]) -> list[tuple[int, int, float]]:
    """(first, last, share) of n-grams: windows from a hit on that have enough of them, merged where they overlap."""
    hits = np.flatnonzero(hit)
    sums = np.concatenate([[0], np.cumsum(hit)])
    found: list[tuple[int, int, float]] = []
    for window in WINDOWS:
        behind = np.searchsorted(word, word[hits] + window)
        count = sums[behind] - sums[hits]
        share = count / (behind - hits)
        for at in np.flatnonzero((count >= HITS) & (share >= SHARE)):
            found.append((int(hits[at]), int(hits[np.searchsorted(hits, behind[at]) - 1]), float(share[at])))
    merged: list[tuple[int, int, float]] = []
    for first, last, share_of in sorted(found):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]), max(share_of, merged[-1][2]))
        else:
            merged.append((first, last, share_of))
    return merged
