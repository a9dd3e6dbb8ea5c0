"""Of every code point: its script, what kind of invisible character it is, and the ASCII letter that it looks like.

Tables that a whole batch looks up at once, built once a process (0.1 s) from `unicodedata` and data/confusables.txt.
Scripts are told by the first word of a character's name, which is right for letters.
"""

import string
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.filter.characters import IDEOGRAPHS, SEPARATOR

SYMBOL, MARK, LATIN, STYLED, GREEK, CYRILLIC, ARMENIAN, CHEROKEE, OTHER, SPACELESS, JOINING = range(11)
"""Scripts. SYMBOL is no letter, MARK goes with what is before it; STYLED are Latin letters for show (mathematical,
fullwidth, circled, small capitals); OTHER are alphabets with Latin look-alikes and all others that need no joiners;
SPACELESS are written without spaces, in which zero-width spaces are line breaks; JOINING need ZWJ and ZWNJ."""

SCRIPTS = {"LATIN": LATIN, "GREEK": GREEK, "CYRILLIC": CYRILLIC, "ARMENIAN": ARMENIAN, "CHEROKEE": CHEROKEE}

JOINERS = """
ADLAM ARABIC AHOM BENGALI BRAHMI CHAKMA DEVANAGARI DOGRA GRANTHA GUJARATI GUNJALA GURMUKHI HANIFI KAITHI
KANNADA KHAROSHTHI KHOJKI KHUDAWADI LEPCHA LIMBU MAHAJANI MALAYALAM MANDAIC MANICHAEAN MASARAM MEETEI MODI MONGOLIAN
NANDINAGARI NEWA NKO ORIYA PHAGS-PA PSALTER SAURASHTRA SHARADA SIDDHAM SINHALA SOYOMBO SUNDANESE SYLOTI SYRIAC
TAKRI TAMIL TELUGU THAANA TIRHUTA VEDIC ZANABAZAR
""".split()
"""First words of names whose scripts shape letters by ZWJ and ZWNJ (Unicode, chapters 9, 12 to 14)."""

WITHOUT_SPACES = """
BALINESE CJK CHAM HALFWIDTH HANGUL HIRAGANA JAVANESE KATAKANA KATAKANA-HIRAGANA KHMER LAO MYANMAR NEW TAI
THAI TIBETAN YI
""".split()
"""And those whose words or syllables are told apart, if at all, by U+200B. (Hangul has spaces, but takes no harm.)"""

PLAIN, WIDTHLESS, JOINER, DIRECTION_MARK, FILLER, SOFT_HYPHEN, BIDI, TAG, SELECTOR = range(9)
"""Kinds of invisible characters; PLAIN is visible."""

INVISIBLE = {
    WIDTHLESS: "034F 180E 200B 2060-2064 206A-206F FEFF FFF9-FFFB 1BCA0-1BCA3 1D173-1D17A",
    JOINER: "200C-200D",
    DIRECTION_MARK: "061C 200E-200F",
    FILLER: "115F-1160 17B4-17B5 3164 FFA0",
    SOFT_HYPHEN: "00AD",
    BIDI: "202A-202E 2066-2069",
    TAG: "E0000-E007F",
    SELECTOR: "FE00-FE0F E0100-E01EF",
}


@cache
def scripts() -> npt.NDArray[np.uint8]:
    """The script of each code point; the last entry is SEPARATOR's."""
    table = np.full(SEPARATOR + 1, SYMBOL, np.uint8)
    for code in (*range(0x1F200), *range(0xE0100, 0xE01F0)):
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] == "M":
            table[code] = MARK
        elif category[0] == "L":
            table[code] = script_of(character)
    for first, last in IDEOGRAPHS:
        table[first : last + 1] = SPACELESS
    table[np.flatnonzero(styled())] = STYLED
    return table


def script_of(letter: str) -> int:
    """The script of one letter."""
    word = unicodedata.name(letter, "").split(" ")[0]
    if word in WITHOUT_SPACES:
        return SPACELESS
    return JOINING if word in JOINERS else SCRIPTS.get(word, OTHER)


@cache
def invisible() -> npt.NDArray[np.uint8]:
    """The kind of invisible character of each code point."""
    table = np.full(SEPARATOR + 1, PLAIN, np.uint8)
    for kind, ranges in INVISIBLE.items():
        for item in ranges.split():
            first, _, last = item.partition("-")
            table[int(first, 16) : int(last or first, 16) + 1] = kind
    return table


@cache
def styled() -> npt.NDArray[np.uint32]:
    """Of letters for show the ASCII letter that they stand for, of all others 0.

    Superscript and single letters that are signs of their own (ª, ℓ, №) are not among them.
    """
    table = np.zeros(SEPARATOR + 1, np.uint32)
    for code in (*range(0x1D00, 0x2C00), *range(0xA730, 0xA7FF), *range(0xFF21, 0xFF5B), *range(0x1D400, 0x1F18A)):
        name, character = unicodedata.name(chr(code), ""), chr(code)
        letter = unicodedata.normalize("NFKC", character).strip("()")
        if len(letter) != 1 or letter not in string.ascii_letters:
            named = name.startswith("NEGATIVE ") or name[:-1] == "LATIN LETTER SMALL CAPITAL "
            letter = name.rsplit(" ", 1)[-1] if named else ""
        if len(letter) == 1 and letter.isascii() and letter.isalpha() and unicodedata.category(character) != "Lm":
            table[code] = ord(letter.lower() if "SMALL CAPITAL" in name else letter)
    table[[code for code in range(0x2100, 0x2150) if table[code]]] = 0
    for name in "BGHILNRY":  # the other small capitals, in the block of the phonetic alphabet
        table[ord(unicodedata.lookup(f"LATIN LETTER SMALL CAPITAL {name}"))] = ord(name.lower())
    return table


@cache
def lookalikes() -> npt.NDArray[np.uint32]:
    """Of each letter outside ASCII the ASCII letter that it looks like, of all others 0; letters for show too."""
    table = styled().copy()
    path = Path(__file__).parent / "data" / "confusables.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            letter, others = line.split(" ")
            table[[ord(other) for other in others]] = ord(letter)
    return table


@cache
def folds() -> npt.NDArray[np.uint32]:
    """Each code point, or the ASCII character that it looks like."""
    found = lookalikes()
    table = np.where(found > 0, found, np.arange(SEPARATOR + 1, dtype=np.uint32))
    table[0xFF01:0xFF5F] = np.arange(0x21, 0x7F)
    return table.astype(np.uint32)


def fold(text: str) -> str:
    """A text as its reader sees it: no invisible characters, and plain letters for those that look like them.

    Only for judging: scripts other than Latin lose letters to Latin by it.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return folds()[codes[invisible()[codes] == PLAIN]].tobytes().decode("utf-32-le", "replace")
