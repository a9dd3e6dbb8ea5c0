"""How often words stand in ordinary text, by lists from books, films, news, encyclopedias and the web of before 2022.

The lists are those of wordfreq (Speer 2022), frozen before much of the web was written by models. A word that a file
has far more often than ordinary text is of its subject, or was planted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from wordfreq import available_languages, get_frequency_dict, word_frequency

UNKNOWN = 1e-8
"""Share of a word that no list has: the lists end there."""

COMMON_SIGNS = frozenset("#@.,;:!?'\"-–—()/$%&’‘“”…¿¡«»„‚‹›。，、；：？！（）《》「」『』【】・।॥،؛؟۔")
SIGN, SIGNS, RARE_SIGN, RARE_SIGNS = 1e-2, 1e-3, 1e-5, 1e-6
"""Shares of a common sign, a run of such, another ASCII sign and a run with such: the lists have letters only."""

FREQUENT = 2000
"""Words, the most frequent first, that show a file's languages."""
LANGUAGE_SHARE = 0.05
"""A language counts as one of the file's if its list has this share of the words which no better one has."""


@dataclass(frozen=True)
class Ordinary:
    """`share` of each word in ordinary text, from UNKNOWN up, and the `languages` that were looked up."""

    share: npt.NDArray[np.float64]
    languages: tuple[str, ...]


def ordinary(words: Sequence[str], counts: npt.NDArray[np.int64]) -> Ordinary:
    """The share of each word (in small letters) in the languages that the words themselves show.

    Numbers are judged by their form, signs by the constants above; signs that are not ASCII are UNKNOWN.
    Languages are taken in turn, each the one whose most common words fit the running words best that are still left.
    """
    small = {language: get_frequency_dict(language, "small") for language in available_languages("small")}
    left, total = dict(zip(words, counts.tolist(), strict=True)), max(1, int(counts.sum()))
    frequent = sorted(left, key=left.__getitem__, reverse=True)[:FREQUENT]
    languages: list[str] = []
    while True:
        fits = {
            language: sum(left[word] * np.log(known[word] / UNKNOWN) for word in frequent if word in known)
            for language, known in small.items()
        }
        best = max(sorted(fits), key=fits.__getitem__)
        if languages and sum(left[word] for word in frequent if word in small[best]) < LANGUAGE_SHARE * total:
            break
        languages.append(best)
        frequent = [word for word in frequent if word not in small[best]]
    share = np.full(len(words), UNKNOWN)
    for language in languages:
        known = get_frequency_dict(language, "best")
        np.maximum(share, np.fromiter((known.get(word, 0.0) for word in words), np.float64, len(words)), out=share)
    for place, word in enumerate(words):
        if any(map(str.isdigit, word)):
            share[place] = max(share[place], word_frequency(word, "en"))
        elif not any(map(str.isalnum, word)):
            share[place] = _sign(word)
    return Ordinary(share, tuple(languages))


def _sign(run: str) -> float:
    if COMMON_SIGNS.issuperset(run):
        return SIGN if len(run) == 1 else SIGNS
    if run.isascii():
        return RARE_SIGN if len(run) == 1 else RARE_SIGNS
    return UNKNOWN
