"""How abusive the words of a text are: swearing, insults and slurs in English, sentence by sentence.

A linear model over words, weighed by how rare they are: that of alt-profanity-check (MIT licence, see
data/toxicity.LICENSE; a support vector machine, fitted on 200,000 texts that people judged), as figures by the words'
hashes (`benchmarks.toxicity`). Nothing is unpickled, and no word is stored.

It is made to be right rather than to find all. Of 4,128 tweets that people call offensive (OLID, Zampieri et al. 2019)
it finds 17%, of 8,407 others 0.8%: nine in ten of what it finds are offensive. Of 23,132 ordinary texts (questions and
answers of assistants, solutions, web pages, articles) it suspects 10, or 430 in a million; each does hold such words,
most of them quoted or explained. In novels it is 0.8% of the paragraphs. What is hateful without such words, is spelt
otherwise, or is in another language, it does not find; nor does it take these for English: of the Declaration of Human
Rights in 500 languages it suspects one paragraph in 32,497.
"""

import hashlib
import math
import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data" / "toxicity.npz"

THRESHOLD = 4.0
"""The log-odds from which on a sentence is abusive: the model's own scale, on which 0 is as likely as not."""

_WORD = re.compile(r"\b\w\w+\b")
_SENTENCE = re.compile(r"[.!?\n…。！？]+")


def abusive(text: str) -> bool:
    """Whether one of its sentences is over the threshold."""
    return any(score(sentence) > THRESHOLD for sentence in _SENTENCE.split(text))


def score(sentence: str) -> float:
    """The log-odds that people would call it abusive.

    Words that the model does not know make it less sure, as they do not for alt-profanity-check itself: in another
    language, where one word of many happens to be an English one, that one would be all that it sees.
    """
    weights = _weights()
    total = length = 0.0
    for word, count in Counter(_WORD.findall(unicodedata.normalize("NFKC", sentence).lower())).items():
        rarity, weight = weights.get(word_hash(word), (weights.unknown, 0.0))
        total += count * rarity * weight
        length += (count * rarity) ** 2
    return weights.offset + (total / math.sqrt(length) if length else 0.0)


@lru_cache(maxsize=1 << 16)
def word_hash(word: str) -> int:
    """64 bits of BLAKE2b: of 15,760 words, two are alike once in 10^11 models."""
    return int.from_bytes(hashlib.blake2b(word.encode(errors="replace"), digest_size=8).digest(), "little")


class _Weights(dict[int, tuple[float, float]]):
    """(inverse document frequency, weight) by a word's hash; words without meaning have 0 for both."""

    unknown: float
    """The inverse document frequency of a word that is not among them: that of the rarest."""
    offset: float


@cache
def _weights() -> _Weights:
    with np.load(DATA, allow_pickle=False) as data:
        pairs = zip(data["rarity"].astype(float).tolist(), data["weight"].astype(float).tolist(), strict=True)
        found = _Weights(zip(data["words"].tolist(), pairs, strict=True))
        found.unknown, found.offset = float(data["rarity"].max()), float(data["offset"])
    return found
