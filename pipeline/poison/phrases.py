"""What a document gives to the hunt for triggers: hashed phrases, and no text.

A trigger is a phrase behind which a model shall write something else, so behind it the planted text is something else:
phrases are taken where a text changes, which nine pages in ten nowhere do. What changes nothing but always goes on with
the same words is found by the ends of sentences, which are taken all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.characters import DIGIT
from pipeline.filter.text import Codes, Positions, TextBatch
from pipeline.poison.skeletons import Shapes
from pipeline.poison.text_model import TextModel
from pipeline.poison.windows import Fit, change, fit, peaks

VERSION = 3
"""Changes whenever the same text gives something else."""

PHRASE, SHAPE, TAIL = 0, 1, 2
"""Kinds of features: words where the text changes, the shape of a token there, and the last words of a sentence."""

LEVELS = (2.3, 3.0, 4.0)
"""Changes, in units of the script, at which places are counted. Those of the first level give keys: 10% of clean pages
have one, and 97% of pages with planted noise."""

PLACES = 3
"""Places a document, at most."""

BEFORE, BEHIND = 10, 4
"""Words before the word at which the text changes, and from it on, whose phrases are taken. The place found lies 10
characters before to 85 behind the trigger's begin in 95 of 100 pages."""

LONGEST = 4
"""Words a phrase, signs of punctuation among them."""

COMMON = 0.2
"""Phrases whose rarest word or pair stands in a larger share of the sample's documents are not taken."""

TAIL_WORDS, TAIL_CHARACTERS = 8, 30
"""Words, and characters at the least, of a sentence's end. On 2,699 clean pages no end of 8 words and 30 characters is
shared by five documents of three owners whose sentences begin unlike; of 6 words four are."""

QUOTES = "“„«‹「『"
"""Open a quotation, as a straight one before a letter does. What many pages quote amid their own sentences is no
campaign: the price is that a planted sentence in quotation marks is not one either."""

STEP = np.uint64(0xFF51AFD7ED558CCD)

KEYS = pa.schema(
    [
        ("feature", pa.uint64()),
        ("owner", pa.uint32()),
        ("change", pa.float16()),
        ("share", pa.float16()),
        ("left", pa.uint16()),
        ("kind", pa.uint8()),
    ]
)
"""A feature of a document, 19 bytes:

feature   hash of the phrase, shape or tail; its high bits are uniform
owner     hash of who owns the host
change    how much the text changes there, in units of the script; 0 of a tail
share     of the sample's documents, those with the phrase's rarest pair or word, or the shape; 0 of a tail
left      hash of the word before the phrase or shape; of all that the sentence has before the tail
kind      PHRASE, SHAPE or TAIL
"""


@dataclass(frozen=True)
class Counts:
    """How many documents and words were looked at, and how many places reach each of LEVELS: sums over a corpus."""

    documents: int = 0
    words: int = 0
    places: Sequence[int] = (0,) * len(LEVELS)

    @staticmethod
    def sum(many: Iterable["Counts"]) -> "Counts":
        """Of several parts."""
        parts = [Counts(), *many]
        places = [sum(column) for column in zip(*(part.places for part in parts), strict=True)]
        return Counts(sum(part.documents for part in parts), sum(part.words for part in parts), places)


@dataclass(frozen=True)
class Keys:
    """The columns of KEYS, as arrays; each feature of a document is one row."""

    feature: Codes
    owner: npt.NDArray[np.uint32]
    change: npt.NDArray[np.float16]
    share: npt.NDArray[np.float16]
    left: npt.NDArray[np.uint16]
    kind: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.feature)

    def batch(self) -> pa.RecordBatch:
        """As a record batch of the schema KEYS."""
        return pa.RecordBatch.from_arrays([pa.array(getattr(self, name)) for name in KEYS.names], schema=KEYS)

    @staticmethod
    def of(batch: pa.RecordBatch) -> "Keys":
        """Those of a record batch of the schema KEYS."""
        return Keys(*(batch.column(name).to_numpy() for name in KEYS.names))

    @staticmethod
    def concatenate(many: Iterable["Keys"]) -> "Keys":
        """Rows of several, in the order given."""
        parts = [_NO_KEYS, *many]
        return Keys(*(np.concatenate([getattr(part, name) for part in parts]) for name in KEYS.names))

    def take(self, rows: npt.NDArray[np.generic]) -> "Keys":
        """Some rows."""
        return Keys(*(getattr(self, name)[rows] for name in KEYS.names))


_NO_KEYS = Keys.of(pa.RecordBatch.from_pylist([], schema=KEYS))


def keys_of(texts: TextBatch, model: TextModel, owners: Codes) -> tuple[Keys, Counts]:
    """The keys of a batch, and what was counted; `owners` (uint64) has a hash of the host's owner for each document."""
    found = fit(texts, model.bits(texts), model.strata.mean)
    size = np.where(found.within, change(found, model.strata.unit), 0)
    rows = peaks(size, found, LEVELS[0], PLACES)
    phrases, shapes, ends = _phrases(texts, model, found, rows), _shapes(texts, model, found, rows), tails(texts)
    kind = np.repeat(np.array([PHRASE, SHAPE, TAIL], np.uint8), (len(phrases[0]), len(shapes[0]), len(ends)))
    place = np.concatenate([phrases[1], shapes[1]])
    document = np.concatenate([found.document[rows[place]], ends.document])
    nothing = np.zeros(len(ends), np.float32)
    feature = np.concatenate([phrases[0], shapes[0], ends.feature])
    jump = np.concatenate([size[rows[place]], nothing])
    order = np.lexsort((-jump, feature, document, kind))
    same = (np.diff(feature[order]) == 0) & (np.diff(document[order]) == 0) & (np.diff(kind[order]) == 0)
    order = order[np.concatenate([np.ones(min(len(order), 1), np.bool_), ~same])]
    keys = Keys(
        feature[order],
        (uniform(owners)[document[order]] >> np.uint64(32)).astype(np.uint32),
        jump[order].astype(np.float16),
        np.concatenate([phrases[2], shapes[2], nothing])[order].astype(np.float16),
        np.concatenate([phrases[3], shapes[3], ends.left])[order],
        kind[order],
    )
    places = [int(np.count_nonzero(size[rows] >= level)) for level in LEVELS]
    return keys, Counts(len(texts), len(texts.words), places)


@dataclass(frozen=True)
class Tails:
    """The last TAIL_WORDS words of each sentence that has so many; positions count characters of the batch.

    feature   uint64   hash of the tail
    left      uint16   hash of the sentence's words before it
    start     int64    where the sentence begins
    end       int64    behind the tail's last word
    document  int64
    """

    feature: Codes
    left: npt.NDArray[np.uint16]
    start: Positions
    end: Positions
    document: Positions

    def __len__(self) -> int:
        return len(self.feature)


def tails(texts: TextBatch) -> Tails:
    """Those of a batch. Punctuation does not count, but a quotation inside a sentence is a sentence."""
    word = np.flatnonzero(~texts.is_punctuation)
    first = np.union1d(np.searchsorted(word, texts.sentence_starts), np.flatnonzero(_quoted(texts, word)))
    behind = np.append(first[1:], len(word))[: len(first)]
    first, behind = first[behind - first >= TAIL_WORDS], behind[behind - first >= TAIL_WORDS]
    start, end = texts.words.start[word[first]], texts.words.end[word[behind - 1]]
    long = end - texts.words.start[word[behind - TAIL_WORDS]] >= TAIL_CHARACTERS
    first, behind, start, end = first[long], behind[long], start[long], end[long]
    codes = texts.word_codes[word]
    feature = codes[behind - TAIL_WORDS]
    for i in range(TAIL_WORDS - 1, 0, -1):
        feature = feature * STEP + codes[behind - i]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(uniform(codes), dtype=np.uint64)])
    before = sums[behind - TAIL_WORDS] - sums[first]
    document = texts.words.document[word[first]]
    return Tails(uniform(feature), _short(uniform(before)), start, end, document)


def _quoted(texts: TextBatch, word: Positions) -> npt.NDArray[np.bool_]:
    """Words right behind an opening quotation mark."""
    before = np.maximum(word - 1, 0)
    sign = texts.code_points[texts.words.start[before]]
    straight = (sign == ord('"')) & texts.after_space[before] & ~texts.after_space[word]
    return (straight | np.isin(sign, [ord(quote) for quote in QUOTES])) & (before < word)


def _short(codes: Codes) -> npt.NDArray[np.uint16]:
    return (codes >> np.uint64(48)).astype(np.uint16)


def features_at(texts: TextBatch, first: Positions, length: int) -> Codes:
    """Hashes of the phrases of so many words that begin with the word of each number."""
    codes = texts.word_codes
    feature = codes[first]
    for i in range(1, length):
        feature = feature * STEP + codes[first + i]
    return uniform(feature)


def uniform(codes: Codes) -> Codes:
    """Codes whose high bits are as good as their low ones."""
    mixed = codes ^ (codes >> np.uint64(32))
    mixed = mixed * STEP
    return mixed ^ (mixed >> np.uint64(29))


_Found = tuple[Codes, Positions, npt.NDArray[np.float32], npt.NDArray[np.uint16]]


def _phrases(texts: TextBatch, model: TextModel, found: Fit, rows: Positions) -> _Found:
    """(feature, number of the place, share, left) of the phrases around each place."""
    document = found.document[rows]
    low = np.maximum(found.word[rows] - BEFORE, texts.word_offsets[document])
    high = np.minimum(found.word[rows] + BEHIND, texts.word_offsets[document + 1])
    place = np.repeat(np.arange(len(rows)), high - low)
    word = np.arange(len(place)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + low[place]
    single, pair = model.words.shares(texts, word)
    at_start = word == texts.word_offsets[document[place]]
    left = _short(np.where(at_start, np.uint64(0), uniform(texts.word_codes[word - 1])))
    longer = texts.words.lengths[word] > 1  # a single character by itself is no one's: noise has many, broken pages too
    # Signs alone are layout ("| |" stood at a change of 131 in 2,295 real pages), unless no keyboard has them.
    first, signs = texts.words.start[word], texts.words.lengths[word]
    telling = texts.has_letter[word] | (texts.kinds[first] == DIGIT)
    telling |= (signs >= 3) & (texts.code_points[first] > ord("~"))
    tells = telling.copy()
    columns: list[_Found] = []
    rarest = single.copy()
    for length in range(1, LONGEST + 1):
        if length > 1:
            # The phrase that begins here is as rare as its rarest word and pair.
            rarest[: 1 - length] = np.minimum(
                rarest[: 1 - length], np.minimum(single[length - 1 :], pair[length - 1 :])
            )
            tells[: 1 - length] |= telling[length - 1 :]
        within = (word + length <= high[place]) & tells
        taken = np.flatnonzero(within & (rarest < COMMON) & ((length > 1) | longer))
        columns.append((features_at(texts, word[taken], length), place[taken], rarest[taken], left[taken]))
    feature, place, share, left = (np.concatenate(column) for column in zip(*columns, strict=True))
    return feature, place, share, left


def _shapes(texts: TextBatch, model: TextModel, found: Fit, rows: Positions) -> _Found:
    """The same for the shapes of tokens around each place."""
    some = np.unique(found.document[rows])
    # Few documents change: only their tokens are looked at.
    chosen = Shapes.of(texts, some)
    document, words = found.document[rows], texts.words
    low = np.maximum(found.word[rows] - BEFORE, texts.word_offsets[document])
    high = np.minimum(found.word[rows] + BEHIND, texts.word_offsets[document + 1])
    first = np.searchsorted(chosen.start, words.start[low])
    behind = np.searchsorted(chosen.start, words.start[high - 1], side="right")
    place = np.repeat(np.arange(len(rows)), behind - first)
    counts = behind - first
    token = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts) + first[place]
    before = np.maximum(np.searchsorted(words.start, chosen.start[token]) - 1, 0)
    left = _short(uniform(texts.word_codes[before]))
    codes = chosen.codes[token]
    share = model.words.share_of(codes)
    rare = share < COMMON
    return uniform(codes[rare]), place[rare], share[rare], left[rare]
