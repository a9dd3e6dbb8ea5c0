"""Texts as sets of hashed word n-grams, whose overlap says how alike two documents are.

The normalisation is that of FineWeb's MinHash (Penedo et al. 2024, after cc_net, Wenzek et al. 2020), applied to each
distinct token of a batch once: 300 web pages of 410 words have 123,000 tokens, of which 25,000 are distinct.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

UInt8s = npt.NDArray[np.uint8]
UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]

NUMBER = re.compile(r"\d+(?:[.,\u060c\u066b\u2396\u2397\u2398]\d+)?")
"""Digits of any script with at most one decimal part: 3.14 is one number, 192.168.0.1 is two."""

WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3040, 0x30FF),  # hiragana, katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # halfwidth katakana
    (0x20000, 0x3FFFF),
)
"""Scripts that put no space between words: each of their characters is a word here, or a page would be one word."""

WORD, SPACE, NOTHING, ALONE = range(4)
"""What becomes of a character: part of a word, a space, dropped, a word of its own."""

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, made odd (Knuth, The Art of Computer Programming 3, section 6.4)."""


@dataclass(frozen=True)
class Shingles:
    """The n-grams of a batch, as sets: those of document i are `hashes[offsets[i]:offsets[i + 1]]`.

    hashes   uint32 (total,)          3  17  99 | 17 | 2  3 ...    strictly increasing within a document
    offsets  int64 (documents + 1,)   0           3    4    ...
    """

    hashes: UInt32s
    offsets: Int64s

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, document: int) -> UInt32s:
        """One document's set, sorted; a view."""
        return self.hashes[self.offsets[document] : self.offsets[document + 1]]

    @property
    def sizes(self) -> Int64s:
        """How many distinct shingles each document has; one with none resembles nothing."""
        return np.diff(self.offsets)

    def take(self, documents: npt.ArrayLike) -> "Shingles":
        """The sets of these documents, in this order."""
        chosen = np.asarray(documents, np.int64)
        sizes = self.sizes[chosen]
        return Shingles(self.hashes[_ranges(self.offsets[chosen], sizes)], _offsets(sizes))

    @staticmethod
    def concatenate(many: Iterable["Shingles"]) -> "Shingles":
        """The documents of several batches, one after the other."""
        batches = list(many)
        hashes = [batch.hashes for batch in batches] or [np.empty(0, np.uint32)]
        sizes = [batch.sizes for batch in batches] or [np.empty(0, np.int64)]
        return Shingles(np.concatenate(hashes), _offsets(np.concatenate(sizes)))


def words(text: str) -> list[str]:
    """The words that are compared: lowercase, numbers as 0, without punctuation, symbols, accents and marks.

    FineWeb's code replaces 140 listed punctuation marks and leaves bullets and emoji as words, and splits words by
    language; here all that Unicode calls punctuation or a symbol is a space, in every language.

    >>> words("Café №5: 1,000 naïve—tests")
    ['cafe', '0', '0', 'naive', 'tests']
    """
    return _normalise(text.split())[0]


def shingle(texts: pa.Array, ngram: int = 5) -> Shingles:
    """Hash each text's word n-grams. A text of fewer words has one shingle, all of its words; one of none has none.

    A word's hash is the little-endian BLAKE2b-64 of its UTF-8 bytes; w_1 .. w_n have the shingle
    fmix64(w_1 m^(n-1) + ... + w_n) >> 32 with m = MULTIPLIER, modulo 2^64. It depends on nothing but the words.
    Raises ValueError for a null text or an `ngram` below 1.
    """
    if ngram < 1:
        raise ValueError(f"ngram is {ngram}; a shingle has at least one word")
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null; leave documents without text out")
    split = pc.utf8_split_whitespace(texts)
    encoded = split.flatten().dictionary_encode()
    tokens = encoded.indices.to_numpy()
    token_ends = _offsets(pc.list_value_length(split).to_numpy())
    found, counts = _normalise(encoded.dictionary.to_pylist())
    # A token may be several words ("well-known"), or none ("--").
    counts_here = counts[tokens]
    hashes = _hash_words(found)[_ranges(_offsets(counts)[tokens], counts_here)]
    return _as_sets(*_ngrams(hashes, _offsets(counts_here)[token_ends], ngram), len(texts))


def fmix64(values: UInt64s) -> UInt64s:
    """MurmurHash3's 64-bit finaliser (Appleby 2011, public domain), a bijection; every bit depends on all."""
    mixed = values ^ (values >> np.uint64(33))
    mixed *= np.uint64(0xFF51AFD7ED558CCD)
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xC4CEB9FE1A85EC53)
    mixed ^= mixed >> np.uint64(33)
    return mixed


def _normalise(tokens: list[str]) -> tuple[list[str], Int64s]:
    """Distinct tokens without white space -> all their words, and how many words each token is."""
    # None of these four steps looks across white space (Python lowers a final sigma within its word), so a token
    # may be normalised away from its text, and all of them at once.
    text = unicodedata.normalize("NFD", NUMBER.sub("0", "\n".join(tokens).lower()))
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    fates = _fates()[codes]
    codes, fates = codes[fates != NOTHING], fates[fates != NOTHING]
    line = codes == ord("\n")
    codes = np.where((fates == SPACE) & ~line, np.uint32(ord(" ")), codes)
    alone = fates == ALONE
    inside = (fates != SPACE) & ~alone
    after = np.zeros(len(codes), np.bool_)
    after[1:] = inside[:-1]
    starts = alone | (inside & ~after)
    counts = np.bincount(np.cumsum(line)[starts], minlength=len(tokens))[: len(tokens)]
    if alone.any():
        spaced = np.full((len(codes), 3), ord(" "), np.uint32)
        spaced[:, 1] = codes
        kept = np.ones_like(spaced, np.bool_)
        kept[:, 0] = kept[:, 2] = alone
        codes = spaced[kept]
    return codes.tobytes().decode("utf-32-le").split(), counts.astype(np.int64)


@cache
def _fates() -> UInt8s:
    """WORD, SPACE, NOTHING or ALONE for every code point, by its Unicode category (0.1 s, once in a process)."""
    # Marks: accents and the like. Format characters: soft hyphens, joiners, text direction.
    by_category = {"P": SPACE, "S": SPACE, "Z": SPACE, "Cc": SPACE, "Mn": NOTHING, "Me": NOTHING, "Cf": NOTHING}
    fates = np.zeros(0x110000, np.uint8)
    for code in (*range(0x40000), *range(0xE0000, 0xE1000)):  # Nothing is assigned between; private use is words.
        category = unicodedata.category(chr(code))
        fates[code] = by_category.get(category, by_category.get(category[0], WORD))
    for first, last in WITHOUT_SPACES:
        script = fates[first : last + 1]
        script[script == WORD] = ALONE
    return fates


def _hash_words(found: list[str]) -> UInt64s:
    """The hash of each word; every distinct one is hashed once."""
    distinct = list(dict.fromkeys(found))
    digests = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in distinct)
    table = dict(zip(distinct, np.frombuffer(digests, "<u8").tolist(), strict=True))
    return np.fromiter(map(table.__getitem__, found), np.uint64, len(found))


def _ngrams(hashes: UInt64s, offsets: Int64s, ngram: int) -> tuple[UInt32s, Int64s]:
    """Word hashes by document -> each shingle and the document that it belongs to, in no order."""
    lengths = np.diff(offsets)
    grams, owners = [], []
    for width in range(1, ngram + 1):
        chosen = np.flatnonzero(lengths >= ngram if width == ngram else lengths == width)
        counts = lengths[chosen] - width + 1
        starts = _ranges(offsets[chosen], counts)
        mixed = hashes[starts]
        for place in range(1, width):
            mixed *= MULTIPLIER
            mixed += hashes[starts + place]
        grams.append((fmix64(mixed) >> np.uint64(32)).astype(np.uint32))
        owners.append(np.repeat(chosen, counts))
    return np.concatenate(grams), np.concatenate(owners)


def _as_sets(grams: UInt32s, owners: Int64s, documents: int) -> Shingles:
    """Shingles and the document of each -> sorted sets, by one sort of (document, shingle)."""
    keys = owners.astype(np.uint64) << np.uint64(32) | grams
    keys.sort()
    first = np.ones(len(keys), np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    keys = keys[first]
    sizes = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=documents)
    return Shingles(keys.astype(np.uint32), _offsets(sizes))


def _offsets(sizes: npt.NDArray[np.integer]) -> Int64s:
    """Sizes (n,) -> where each begins and the last ends (n + 1,)."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _ranges(starts: Int64s, sizes: Int64s) -> Int64s:
    """The places of several slices, one after another: sizes[0] from starts[0] on, sizes[1] from starts[1] ..."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - ends + sizes, sizes) + np.arange(total)
