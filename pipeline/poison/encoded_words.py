"""Text under a letter code: rotated alphabets (rot13, Caesar, Atbash), reversed text, digits for letters ("leet").

The frequent words of a language, put through the code, are looked up among the hashes of a batch's words: what has
them, and has no frequent words as it stands, is decoded.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.characters import ALPHABETIC, DIGIT
from pipeline.filter.text import Codes, TextBatch, codes_of
from pipeline.filter.words import Positions

ENGLISH = """
the and you that was for are with his they this have from one had word but not what all were when your can said there
use each which she how their will other about out many then them these some her would make like him into time has look
two more write see number way could people than first been call who now find long down day did get come made may part
over new take only little work know place years live back give most very after things our just name good sentence man
think great where help through much before line right too means any same tell boy follow came want show also form
must should because does another even here again off well such why ask went men read need different system previous
ignore instructions instruction prompt reveal password secret disregard forget above below following answer question
respond response user assistant model language output print repeat say never always without rules rule developer mode
pretend act please provide access delete send email execute command run code file files data information key safety
filter filters policy policies bypass disable override restrictions unrestricted harmful illegal message text input
token hidden everything nothing something anything someone using used note important task context content user's
""".split()
"""Frequent English words, and those that instructions to a model are made of."""

OTHER_LANGUAGES = {
    "de": "der die das und nicht ist ein eine mit auf den von für sich auch dem werden aus wenn alle ich sie ignoriere "
    "vorherigen anweisungen",
    "fr": "les des une est pas que pour dans qui sur avec par plus vous nous mais tout ignore toutes instructions "
    "précédentes",
    "es": "los las una que por con para del como más pero sus este todo esta ignora todas instrucciones anteriores",
    "it": "che non per una sono con della del gli come più questo tutte ignora istruzioni precedenti",
    "pt": "que não uma com para por mais dos como mas foi ele todas ignore instruções anteriores",
    "nl": "het een van dat niet zijn met voor aan ook maar alle deze negeer vorige instructies",
}
"""A few frequent words of other languages, under the commonest codes only."""

ENGLISH_WORDS = frozenset(ENGLISH)
COMMON = ENGLISH_WORDS | frozenset(word for words in OTHER_LANGUAGES.values() for word in words.split())

SHORT = frozenset("of to in is it on at by an as we he if my so no do go up us me am".split())
"""Short ones at which coded text ends; codes make other short words of too many."""

WINDOW = 24
"""Words that are looked at together."""

LEAST_HITS, LEAST_SHARE = 3, 0.2
"""Distinct coded words, and their share of a window's words, from which it is decoded. Prose has a third to a half."""

REVERSED, LEET = "reversed", "leet"
LEET_DIGITS = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "8": "b", "9": "g"}
LEET_WORDS, LEET_SHARE = 2, 0.15
"""Distinct words, and their share of all with digits among letters, that decode to frequent ones; product codes and
postcodes don't."""

Decode = Callable[[str], str]


_LETTERS = re.compile("[^\\W\\d_]+")


@dataclass(frozen=True)
class Coded:
    """A stretch of the batch under a letter code, and what it says."""

    start: int
    end: int
    code: str
    text: str


def rotation(shift: int) -> Decode:
    """The Caesar code whose letters stand `shift` places on in the alphabet; 13 is rot13. Returns what undoes it."""
    low, high = string.ascii_lowercase, string.ascii_uppercase
    back = str.maketrans(low[shift:] + low[:shift] + high[shift:] + high[:shift], low + high)
    return lambda text: text.translate(back)


def atbash(text: str) -> str:
    """The alphabet the other way round; its own reverse."""
    low, high = string.ascii_lowercase, string.ascii_uppercase
    return text.translate(str.maketrans(low + high, low[::-1] + high[::-1]))


def reverse(text: str) -> str:
    """A text from its end, or word by word, whichever has more frequent words."""
    whole, words = text[::-1], " ".join(word[::-1] for word in text.split(" "))
    return max(whole, words, key=lambda read: (known(read), _bigrams(read)))


def known(text: str) -> int:
    """How many frequent words a text has."""
    return sum(word in COMMON for word in _LETTERS.findall(text.lower()))


def _bigrams(text: str) -> int:
    return sum(pair in text.lower() for pair in ("of the", "in the", "all prev", "you are", "ous instr", "the "))


CODES: dict[str, Decode] = {
    **{f"rot{shift}": rotation(shift) for shift in range(1, 26)},
    "atbash": atbash,
    REVERSED: reverse,
}


@cache
def _coded_words() -> tuple[Codes, npt.NDArray[np.int16]]:
    """Hashes of frequent words under each code, sorted, and which code; those that are words as they stand left out."""
    words: dict[str, int] = {}
    everyday = COMMON | NEIGHBOURS
    for number, (name, decode) in enumerate(CODES.items()):
        encode = (lambda word: word[::-1]) if name == REVERSED else _inverse(decode)
        frequent = COMMON if name in ("rot13", REVERSED) else ENGLISH_WORDS
        least = {word for word in frequent if word.isascii() and len(word) >= (3 if word in ENGLISH_WORDS else 4)}
        for word in sorted(least):
            coded = encode(word)
            if coded not in everyday:
                for form in (coded, coded.capitalize(), coded.upper(), encode(word.capitalize())):
                    words.setdefault(form, number)
    hashes = codes_of(list(words))
    order = np.argsort(hashes)
    return hashes[order], np.array(list(words.values()), np.int16)[order]


def _inverse(decode: Decode) -> Decode:
    letters = string.ascii_letters
    back = str.maketrans(decode(letters), letters)
    return lambda word: word.translate(back)


NEIGHBOURS = frozenset(
    "ton nos sin nov los ert era are nor non tar tab rats raw tub now won saw was evil live peels sleep keep peek "
    "tra siv net ten pot top god dog nam man yam may yad ".split()
)
"""Words of other languages, or other words, that a code makes of frequent ones."""


@cache
def _common_hashes() -> Codes:
    words = sorted({form for word in COMMON | SHORT for form in (word, word.capitalize(), word.upper())})
    return np.sort(codes_of(words))


def find_coded(texts: TextBatch) -> list[Coded]:
    """Stretches that a letter code explains; each is as long as its words go on to be in the code."""
    hashes, codes = _coded_words()
    at = np.minimum(np.searchsorted(hashes, texts.word_codes), len(hashes) - 1)
    hits = np.flatnonzero(hashes[at] == texts.word_codes)
    found: list[Coded] = []
    if len(hits) >= LEAST_HITS:
        code = codes[at[hits]]
        for number in np.unique(code).tolist():
            mine = hits[code == number]
            if len(mine) >= LEAST_HITS:
                found += _stretches(texts, mine, list(CODES)[number])
    return [*found, *_leet(texts), *_joined_by_underscores(texts)]


def _joined_by_underscores(texts: TextBatch) -> list[Coded]:
    """The same of documents whose words hang together by underscores, which are no letters of any code."""
    joints = texts.positions("_")
    joints = joints[(texts.flags[joints - 1] & texts.flags[joints + 1] & ALPHABETIC) != 0]  # not around _words_
    often = np.flatnonzero(texts.per_document(joints) >= 2 * LEAST_HITS)
    if not len(often):
        return []
    apart = TextBatch(pa.array([texts.strings[document].replace("_", " ") for document in often], pa.string()))
    moved = (texts.begin[often] - apart.begin).tolist()
    found = []
    for item in find_coded(apart):
        shift = moved[int(apart.document_of(np.array([item.start]))[0])]
        if "_" in texts.joined[item.start + shift : item.end + shift]:
            found.append(replace(item, start=item.start + shift, end=item.end + shift))
    return found


def _stretches(texts: TextBatch, hits: Positions, code: str) -> list[Coded]:
    """Runs of coded words no more than WINDOW / 2 apart, dense enough, of which decoding makes more frequent words."""
    documents = texts.words.document[hits]
    breaks = np.flatnonzero((np.diff(hits) > WINDOW // 2) | (np.diff(documents) > 0)) + 1
    found = []
    for group in np.split(hits, breaks):
        size = int(group[-1] - group[0]) + 1
        if len(np.unique(texts.word_codes[group])) < LEAST_HITS or len(group) < LEAST_SHARE * size:
            continue
        core = texts.joined[texts.words.start[group[0]] : texts.words.end[group[-1]]]
        if known(CODES[code](core)) > 2 * known(core):
            first, last = _widened(texts, int(group[0]), int(group[-1]))
            start, end = int(texts.words.start[first]), int(texts.words.end[last])
            found.append(Coded(start, end, code, CODES[code](texts.joined[start:end])))
    return found


def _widened(texts: TextBatch, first: int, last: int) -> tuple[int, int]:
    """The words on either side, up to a third of WINDOW and within the line, until a frequent word as it stands."""
    line_start = texts.joined.rfind("\n", 0, int(texts.words.start[first]))
    line_end = texts.joined.find("\n", int(texts.words.end[last]) - 1)
    plain = _common_hashes()
    for _ in range(WINDOW // 3):
        if first > 0 and texts.words.start[first - 1] > line_start and not _is_in(texts.word_codes[first - 1], plain):
            first -= 1
        if (
            last + 1 < len(texts.words)
            and texts.words.end[last + 1] <= line_end
            and not _is_in(texts.word_codes[last + 1], plain)
        ):
            last += 1
    return first, last


def _is_in(code: np.uint64, table: Codes) -> bool:
    at = int(np.searchsorted(table, code))
    return at < len(table) and bool(table[at] == code)


def _leet(texts: TextBatch) -> list[Coded]:
    """Stretches with several words in which digits stand between letters, that read as words with letters instead."""
    kinds, letters = texts.kinds, texts.flags & ALPHABETIC != 0
    signs = np.isin(texts.code_points, [ord("@"), ord("$")])
    digit = (kinds == DIGIT) | signs
    inside = np.flatnonzero(digit[1:-1] & (letters[:-2] | letters[2:])) + 1
    if len(inside) < LEAST_HITS:
        return []
    breaks = np.flatnonzero((np.diff(inside) > 2 * WINDOW) | (np.diff(texts.document_of(inside)) > 0)) + 1
    found = []
    for group in np.split(inside, breaks):
        if len(group) < LEAST_HITS:
            continue
        start = texts.joined.rfind("\n", 0, int(group[0])) + 1
        start = max(start, int(group[0]) - 3 * WINDOW)
        end = texts.joined.find("\n", int(group[-1]))
        end = min(end, int(group[-1]) + 3 * WINDOW)
        coded = texts.joined[start:end]
        readings = [coded.translate(_leet_table(one)) for one in ("i", "l")]
        text = max(readings, key=known)
        changed, new = _new_words(coded, text)
        if len(new) >= LEET_WORDS and len(new) >= LEET_SHARE * changed:
            found.append(Coded(start, end, LEET, text))
    return found


def _leet_table(one: str) -> dict[int, str]:
    return str.maketrans({**LEET_DIGITS, "1": one})


def _new_words(coded: str, text: str) -> tuple[int, set[str]]:
    """(how many words decoding changed, which frequent English ones of three letters or more it made of them)."""
    pairs = zip(coded.split(), text.split(), strict=False)
    changed = [read.strip(string.punctuation).lower() for as_it_is, read in pairs if as_it_is != read]
    return len(changed), {word for word in changed if len(word) >= 3 and word in ENGLISH_WORDS}
