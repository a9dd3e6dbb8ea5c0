"""Words whose letters come from several scripts that look alike: a reader sees "ignore", a filter sees other letters.

Unicode Technical Standard 39 ("Unicode Security Mechanisms", skeletons and mixed scripts), with what real pages mix for
good reasons left alone: units, formulas, words run together, a letter typed on the wrong keyboard.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.filter.text import TextBatch
from pipeline.filter.words import Positions
from pipeline.poison.characters_tables import (
    CYRILLIC,
    GREEK,
    LATIN,
    MARK,
    SPACELESS,
    STYLED,
    SYMBOL,
    lookalikes,
    scripts,
)
from pipeline.poison.encoded_words import COMMON
from pipeline.poison.finding import Findings
from pipeline.poison.homoglyphs_words import Places, Word, around_letters, words_at

AROUND = 150
"""Characters on either side of a word by whose letters it is told what script the text is in."""

LATIN_AROUND = 0.7
"""Share of Latin among the letters around from which a word is taken for one of a Latin text."""

TOGETHER = 3
"""Mixed words within AROUND of each other that are no slips of the keyboard, in a text of another script."""

STYLED_LETTERS = 8
"""Letters for show in a document from which whole words of them are looked at, outside of Japanese and the like."""

MOST_WORDS = 10_000
"""Words of one document that are looked at, some 50 microseconds each; a document of mixed words alone has more."""


def find(texts: TextBatch) -> Findings:
    """The findings of mixed_script: one a word, which is its span; the evidence is the word and what it looks like.

    The score is the number of such words in the document. Beyond MOST_WORDS of a document one finding stands for the
    words that were not looked at, from the first to the last of them; stripping spells all between them plainly.
    """
    found = Findings()
    mixed, left_out = _looked_at(texts, _mixed_words(texts))
    suspects = [word for word in words_at(texts, mixed) if len(word.letters) > 1 and _disguised(word)]
    if suspects:
        beside, more = _looked_at(texts, _spoofed_beside(texts, suspects))
        known = {word.start for word in suspects}
        suspects += [word for word in words_at(texts, beside) if word.start not in known]
        suspects.sort(key=lambda word: word.start)
        _find_sure(found, texts, suspects)
        left_out = left_out.joined(more)
    left_out = left_out[~_shown_amid_spaceless(texts, left_out)]
    for document in np.unique(texts.document_of(left_out.start)).tolist():
        mine = left_out[texts.document_of(left_out.start) == document]
        begin, start, end = int(texts.begin[document]), int(mine.start.min()), int(mine.end.max())
        says = f"{len(mine)} more words of look-alike letters, which were not looked at one by one"
        found.add(document, "mixed_script", start - begin, end - begin, len(mine), says)
    return found


def _find_sure(found: Findings, texts: TextBatch, suspects: list[Word]) -> None:
    """Findings of the suspects, in order, that stand in a Latin text or in company."""
    starts = np.array([word.start for word in suspects], np.int64)
    documents = texts.document_of(starts)
    apart = starts + documents * 2 * AROUND
    company = np.searchsorted(apart, apart + AROUND) - np.searchsorted(apart, apart - AROUND)
    sure = np.array([word.reads_latin for word in suspects], np.bool_) & _amid_latin(texts, suspects)
    sure |= company >= TOGETHER
    sure &= np.array([not word.for_show or not _spaceless_around(texts, word) for word in suspects], np.bool_)
    number = np.bincount(documents[sure], minlength=len(texts))
    for index in np.flatnonzero(sure).tolist():
        word, document = suspects[index], int(documents[index])
        begin = int(texts.begin[document])
        evidence = f"{texts.joined[word.start : word.end]} = {word.folded}"
        found.add(document, "mixed_script", word.start - begin, word.end - begin, float(number[document]), evidence)


def _mixed_words(texts: TextBatch) -> Places:
    """Runs of letters of more than one script, at least one of which looks like a Latin letter that it isn't."""
    codes = texts.code_points
    odd = np.flatnonzero(lookalikes()[codes])
    if not len(odd):
        return Places(odd, odd)
    table = scripts()
    beside = np.stack([table[codes[odd - 1]], table[codes[odd + 1]]])
    own = table[codes[odd]]
    edge = ((beside != SYMBOL) & (beside != own)).any(axis=0) & (own != LATIN)
    edge |= np.isin(codes[odd], [ord(letter) for letter in DISGUISES])
    edge |= _dotless_outside_turkish(texts, odd)
    edge |= _many_styled(texts, odd, own)
    words = around_letters(texts, odd[edge])
    if not len(words):
        return words
    lowest, highest = words.scripts(texts)
    return words[(highest != lowest) | np.isin(highest, (LATIN, STYLED))]


def _many_styled(texts: TextBatch, odd: Positions, own: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of the positions are letters for show in a document with several."""
    for_show: npt.NDArray[np.bool_] = own == STYLED
    if for_show.any():
        for_show &= (texts.per_document(odd[for_show]) >= STYLED_LETTERS)[texts.document_of(odd)]
    return for_show


def _dotless_outside_turkish(texts: TextBatch, odd: Positions) -> npt.NDArray[np.bool_]:
    """Which of the positions have a dotless i in a document without other letters of Turkish and its kin."""
    dotless: npt.NDArray[np.bool_] = texts.code_points[odd] == ord("ı")
    if dotless.any():
        turkish = np.flatnonzero(np.isin(texts.code_points, [ord(letter) for letter in "şğəŞĞƏ"]))
        dotless &= (texts.per_document(turkish) == 0)[texts.document_of(odd)]
    return dotless


def _looked_at(texts: TextBatch, places: Places) -> tuple[Places, Places]:
    """(the first MOST_WORDS of each document, the others)."""
    document = texts.document_of(places.start)
    number = np.arange(len(places)) - np.searchsorted(document, document)
    return places[number < MOST_WORDS], places[number >= MOST_WORDS]


def _disguised(word: Word) -> bool:
    """Whether a word of several scripts passes for one of a single script; real pages need each exception."""
    if word.for_show:
        return len(word.letters) >= 3
    others = ~word.latin
    if not word.latin.any():
        return bool((word.scripts == STYLED).any() and (word.scripts != STYLED).any() and word.looks[others].all())
    if not others.any():
        return _odd_latin(word)
    if bool((word.scripts == SPACELESS).any()):
        return False
    if (word.scripts == STYLED).any():
        return len(word.letters) >= 4 and bool(word.latin.sum() >= 2)
    if not _passes(word, others):
        return False
    return not (bool((word.scripts == GREEK).any()) and _formula(word, others))


def _passes(word: Word, others: npt.NDArray[np.bool_]) -> bool:
    """Whether the letters of the scarcer script look like the other script's, so that a reader takes the word for one.

    Two whole words run together ("EURпреди", "клубSony") don't: they have one border, and letters that nobody mistakes.
    """
    borders = sum(bool(one != other) for one, other in pairwise(others.tolist()))
    if word.looks[others].all() and (borders > 1 or others.sum() <= 2 or _lower_inside(word, others)):
        return True
    cyrillic = word.scripts == CYRILLIC
    foreign_majority = others.sum() > word.latin.sum() and bool(cyrillic.any() or (word.scripts == GREEK).any())
    latin = "".join(letter for letter, is_latin in zip(word.letters, word.latin, strict=True) if is_latin)
    return foreign_majority and bool(set(latin) <= LATIN_LOOKALIKES) and (borders > 1 or len(latin) <= 2)


LATIN_LOOKALIKES = frozenset("aceiopxyABCEHIKMOPTXYvutkhnmbr")
"""Latin letters that look like Cyrillic or Greek ones."""


def _lower_inside(word: Word, others: npt.NDArray[np.bool_]) -> bool:
    """Whether all letters are small ones, as in no name or abbreviation run into a word."""
    return len(word.letters) >= 5 and others.sum() < len(others) and word.letters.islower()


def _odd_latin(word: Word) -> bool:
    """Letters of phonetic or rare alphabets amid plain ones: "bypɑss"; Turkish and phonetic spelling pass."""
    plain = sum(letter.isascii() for letter in word.letters)
    odd = {letter for letter in word.letters if not letter.isascii() and lookalikes()[ord(letter)]}
    rest = [letter for letter in word.letters if not letter.isascii() and letter not in odd]
    if odd == {"ı"}:
        return word.folded.lower() in COMMON and not rest
    return len(word.letters) >= 4 and plain >= len(word.letters) / 2 and not rest and bool(odd & DISGUISES)


DISGUISES = frozenset("ɑɡᴄᴏᴠᴡᴢꜱꬲꬵꭎꭒꭚꬽᶃᴑᴛᴀᴇ")
"""Latin letters outside ASCII that no everyday alphabet has, and that look like one of ASCII."""


def _formula(word: Word, others: npt.NDArray[np.bool_]) -> bool:
    """Greek as in units, formulas and names of substances: μm, kΩ, Δt, cosα, TNFα, NFκB, GABAρ.

    One Greek letter at an end, or among capitals.
    """
    if others.sum() > 1:
        return False
    at = int(np.flatnonzero(others)[0])
    latin = [letter for letter, other in zip(word.letters, others, strict=True) if not other]
    if len(latin) <= 2:
        return True
    capitals = sum(map(str.isupper, latin))
    edge = at in (0, len(word.letters) - 1)
    return capitals >= len(latin) / 2 or (edge and word.letters[at] in "αβγδεθλμπρστφχψωΔΓΛΣΦΨΩΘΠΞ" and len(latin) <= 3)


def _spoofed_beside(texts: TextBatch, suspects: list[Word]) -> Places:
    """Words near the suspects that are wholly of letters that look like Latin ones ("соре" for "cope")."""
    near = [
        np.arange(*_around(texts, suspect))
        for suspect, amid_latin in zip(suspects, _amid_latin(texts, suspects).tolist(), strict=True)
        if suspect.reads_latin and amid_latin
    ]
    if not near:
        return Places(np.zeros(0, np.int64), np.zeros(0, np.int64))
    positions = np.unique(np.concatenate(near))
    words = around_letters(texts, positions[_foreign(texts.code_points[positions])])
    return words[words.all_look_alike(texts)]


def _foreign(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Letters of other scripts that look like Latin ones."""
    found: npt.NDArray[np.bool_] = (lookalikes()[codes] > 0) & ~np.isin(scripts()[codes], (LATIN, STYLED))
    return found


def _spaceless_around(texts: TextBatch, word: Word) -> bool:
    """Whether a script without spaces, in which fullwidth letters are ordinary, stands around a word."""
    low, high = _around(texts, word)
    return bool((scripts()[texts.code_points[low:high]] == SPACELESS).any())


def _shown_amid_spaceless(texts: TextBatch, words: Places) -> npt.NDArray[np.bool_]:
    """The same of many words, and whether all of their letters are for show."""
    if not len(words):
        return np.zeros(0, np.bool_)
    total = np.concatenate(([0], np.cumsum(scripts()[texts.code_points] == SPACELESS)))
    document = texts.document_of(words.start)
    low = np.maximum(words.start - AROUND, texts.begin[document])
    high = np.minimum(words.end + AROUND, texts.end[document])
    lowest, highest = words.scripts(texts)
    found: npt.NDArray[np.bool_] = (total[high] > total[low]) & (lowest == STYLED) & (highest == STYLED)
    return found


def _around(texts: TextBatch, word: Word) -> tuple[int, int]:
    """The stretch of the word's document within AROUND of it."""
    document = int(texts.document_of(np.array([word.start]))[0])
    return max(word.start - AROUND, int(texts.begin[document])), min(word.end + AROUND, int(texts.end[document]))


def _amid_latin(texts: TextBatch, words: list[Word]) -> npt.NDArray[np.bool_]:
    """Whether most letters around each word are Latin, letters that look like Latin ones not counted."""
    codes = texts.code_points
    kinds = scripts()[codes]
    latin = np.concatenate(([0], np.cumsum(kinds == LATIN)))
    letters = np.concatenate(([0], np.cumsum((kinds > MARK) & (lookalikes()[codes] == 0))))
    start, end = (np.array([getattr(word, name) for word in words], np.int64) for name in ("start", "end"))
    document = texts.document_of(start)
    low, high = np.maximum(start - AROUND, texts.begin[document]), np.minimum(end + AROUND, texts.end[document])
    around = [(total[high] - total[end]) + (total[start] - total[low]) for total in (latin, letters)]
    own = np.array([word.latin.mean() for word in words])
    share = np.divide(around[0], around[1], out=own, where=around[1] > 0)
    found: npt.NDArray[np.bool_] = share >= LATIN_AROUND
    return found
