"""The shape of a token: what a family of triggers has in common when no two of its members are the same.

A planted rule can be "any path below /a/" or "a code of this form" instead of a string, which defeats a search for
strings; the shape stays.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.filter.characters import ALPHABETIC, DIGIT, UPPER
from pipeline.filter.text import Codes, Pieces, Positions, TextBatch, code_of

VERSION = 1
"""Changes whenever the same text gives something else."""

RUN = re.compile(r"[^\W_]+|(.)\1*", re.S)
"""A run of letters and digits, or of one other character."""

REPEAT = re.compile(r"([^\w\s]\w{1,2}|\w{1,2}[^\w\s])\1+")
"""A sign and a class, or a class and a sign, several times over."""

ENDS = "\"'“”‘’«»().,;:!?*|"
"""Stripped from a token's ends, unless nothing else is in it."""

LONGEST = 60
"""Characters of a token that are looked at."""

PLAIN = frozenset("a A Aa 9 a-a Aa-a Aa-Aa a'a Aa'a a’a Aa’a 9.9 9,9 9:9 9-9 9% $9 €9 £9".split())
"""Shapes of ordinary words and numbers, which are no one's."""

SALT = 0x5EED_0F_5A17


def skeleton(token: str) -> str:
    """The shape of a token: `a`, `Aa`, `A` for words in small, capitalised and capital letters, `9` for digits, `x`
    for letters and digits mixed or case that changes inside; other characters as they are, a run of one as two, and a
    part that repeats once with a `+`: `/etc/ssh/conf` is `/a+`. Empty for ordinary words and numbers."""
    runs = RUN.finditer(token.strip(ENDS) or token)
    shape = REPEAT.sub(r"\1+", "".join(_shape(run.group()) for run in runs))
    return "" if shape in PLAIN or (len(shape) == 1 and shape != "x") else shape


def _shape(run: str) -> str:
    if not run[0].isalnum():
        return run[:2]
    if run.isdigit():
        return "9"
    if not run.isalpha():
        return "x"
    if run.islower() or run.lower() == run.upper():
        return "a"
    if run.isupper():
        return "A"
    return "x" if any(map(str.isupper, run[1:])) else "Aa"


@lru_cache(1 << 16)
def _code(token: str) -> int:
    shape = skeleton(token)
    return (code_of(shape) ^ SALT) % (1 << 64) if shape else 0


def tokens_of(texts: TextBatch) -> Pieces:
    """What white space separates, in every document."""
    visible = texts.visible
    start = np.flatnonzero(visible[1:] & ~visible[:-1]) + 1
    end = np.flatnonzero(visible[:-1] & ~visible[1:]) + 1
    return Pieces(start, end, texts.document_of(start))


def odd(texts: TextBatch, tokens: Pieces) -> npt.NDArray[np.bool_]:
    """Tokens that may have a shape: with a capital behind the first letter, a digit, or a sign that is at no end."""
    if len(tokens) == 0:
        return np.zeros(0, np.bool_)
    capital = np.concatenate([[0], np.cumsum(texts.flags & UPPER != 0)])
    other = np.concatenate([[0], np.cumsum((texts.flags & ALPHABETIC == 0) | (texts.kinds == DIGIT))])
    ends = [ord(sign) for sign in ENDS]
    first, last = (np.isin(texts.code_points[place], ends) for place in (tokens.start, tokens.end - 1))
    trimmed = first.astype(np.int64) + (last & (tokens.lengths > 1))
    others = other[tokens.end] - other[tokens.start] - trimmed
    return (capital[tokens.end] - capital[tokens.start + 1] > 0) | (others > 0) | (trimmed == tokens.lengths)


@dataclass(frozen=True)
class Shapes:
    """The tokens of a batch that have a shape: `codes` (uint64) hash it; positions count characters of the batch."""

    codes: Codes
    start: Positions
    end: Positions
    document: Positions

    def __len__(self) -> int:
        return len(self.codes)

    @staticmethod
    def of(texts: TextBatch, documents: Positions | None = None) -> "Shapes":
        """Those of a batch, or of some of its documents."""
        tokens = tokens_of(texts)
        if documents is not None:
            tokens = tokens[np.isin(tokens.document, documents)]
        tokens = tokens[odd(texts, tokens)]
        joined = texts.joined
        spans = zip(tokens.start.tolist(), tokens.end.tolist(), strict=True)
        codes = np.array([_code(joined[start : min(end, start + LONGEST)]) for start, end in spans], np.uint64)
        shaped = codes != 0
        return Shapes(codes[shaped], tokens.start[shaped], tokens.end[shaped], tokens.document[shaped])
