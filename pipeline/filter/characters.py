"""What each character is to the word splitter and to the rules, as tables that a whole batch looks up at once.

Kinds follow the word boundaries of Unicode's annex 29 in outline; letters are those of `str.isalpha`, spaces those of
`str.isspace`, so that NumPy and Python agree on every character.
"""

import string
import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SEPARATOR = 0x110000
"""Stands between the documents of a batch: one more than the last code point, a space, and equal to no character."""

SPACE, LETTER, DIGIT, IDEOGRAPH, EXTEND, BREAK_AFTER, SIGN, MID_WORD, MID_NUMBER, UNDERSCORE = range(10)
"""Kinds. EXTEND belongs to the character before it; BREAK_AFTER too, and ends the word; a SIGN is a word of its own;
MID_WORD joins two letters or two digits, MID_NUMBER two digits, UNDERSCORE any of these."""

ALPHABETIC, WORDLIKE, UPPER, LOWER, SENTENCE_END, LINE_BREAK = (1 << bit for bit in range(6))
"""Flags. WORDLIKE is neither a space nor punctuation; a LINE_BREAK is one to `str.splitlines`."""

IDEOGRAPHS = (
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3041, 0x3096),  # hiragana
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),  # katakana
    (0x30FC, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),  # halfwidth katakana
    (0x1AFF0, 0x1B16F),  # old kana
    (0x20000, 0x3FFFF),
)
"""Scripts written without spaces in which one character is close to one word."""

SENTENCE_ENDS = """
21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 17d4-17d6 17d9-17da
1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 2e53-2e54
3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f
ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239
1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c
11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88
"""
"""Code points of Unicode 15's property Sentence_Terminal and three Khmer signs: FineWeb's terminal punctuation."""

OTHER_PUNCTUATION = "«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
"""With ASCII's, the controls and the sentence ends, what FineWeb's code calls punctuation. The list is cc_net's: it has
’ but not ‘, no bullet, and a fullwidth 1; kept as it is, since published thresholds were chosen with it."""


class Tables(NamedTuple):
    """`kinds` and `flags` (uint8), indexed by code point; the last entry is SEPARATOR's."""

    kinds: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]


def sentence_ends() -> frozenset[str]:
    """The characters of SENTENCE_ENDS."""
    found: set[str] = set()
    for item in SENTENCE_ENDS.split():
        first, _, last = item.partition("-")
        found.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    return frozenset(found)


def punctuation() -> frozenset[str]:
    """The characters that do not make a token a word."""
    controls = (chr(code) for code in (*range(32), *range(127, 160)) if code != ord("\n") and code != 9)
    return frozenset({*string.punctuation, *OTHER_PUNCTUATION, *controls, *sentence_ends()})


def kind_of(character: str) -> int:
    """The kind of one character, ideographs aside."""
    special = {".": MID_WORD, "'": MID_WORD, "’": MID_WORD, ",": MID_NUMBER, ":": MID_NUMBER, "_": UNDERSCORE}
    if character in special:
        return special[character]
    if character.isspace():
        return SPACE
    code = ord(character)
    category = unicodedata.category(character)
    if code in (0x200B, 0xFEFF):  # zero-width space, byte order mark
        return BREAK_AFTER
    if category[0] == "M" or category == "Cf" or 0x1F3FB <= code <= 0x1F3FF:  # the last are skin tones
        return EXTEND
    return {"L": LETTER, "N": DIGIT}.get(category[0], SIGN)


@cache
def tables() -> Tables:
    """The tables, built once a process (0.3 s); planes 4 to 13 are unassigned and 15 and 16 private: signs."""
    kinds = np.full(SEPARATOR + 1, SIGN, np.uint8)
    flags = np.full(SEPARATOR + 1, WORDLIKE, np.uint8)
    for code in (*range(0x40000), *range(0xE0000, 0xE1000)):
        character = chr(code)
        kinds[code] = kind_of(character)
        flags[code] = (
            character.isalpha() * ALPHABETIC
            | (not character.isspace()) * WORDLIKE
            | character.isupper() * UPPER
            | character.islower() * LOWER
        )
    for first, last in IDEOGRAPHS:
        script = kinds[first : last + 1]
        script[(script == LETTER) | (script == DIGIT)] = IDEOGRAPH
    for character in punctuation():
        flags[ord(character)] &= ~np.uint8(WORDLIKE)
    for character in sentence_ends():
        flags[ord(character)] |= SENTENCE_END
    for character in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029":
        flags[ord(character)] |= LINE_BREAK
    kinds[SEPARATOR], flags[SEPARATOR] = SPACE, 0
    return Tables(kinds, flags)
