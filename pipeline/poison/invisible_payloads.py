"""What invisible characters carry, decoded: tag characters, variation selectors, bits in zero-width characters.

Tags mirror ASCII ("ASCII smuggling", Goodside 2024); variation selectors 1 to 256 can stand for bytes (Butler 2025);
two zero-width characters can stand for the bits of a text, a third for the gaps between its letters.
"""

from collections import Counter

TAGS, CANCEL = 0xE0000, 0xE007F
SHORT_SELECTORS, LONG_SELECTORS = range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
LEAST_BITS = 16
"""Bits from which zero-width characters are tried as text: two letters."""


def visible_code(character: str) -> str:
    """An invisible character for a person to read: [U+200B]."""
    return f"[U+{ord(character):04X}]"


def tag_text(run: str) -> str:
    """The ASCII text that tag characters mirror; what mirrors nothing is left out."""
    codes = [ord(character) - TAGS for character in run]
    return "".join(chr(code) for code in codes if 0x20 <= code < 0x7F)


def selector_bytes(run: str) -> bytes:
    """Variation selector n as the byte n - 1."""
    codes = [ord(character) for character in run]
    short = [code - SHORT_SELECTORS.start for code in codes if code in SHORT_SELECTORS]
    if len(short) == len(codes):
        return bytes(short)
    found = [
        code - SHORT_SELECTORS.start if code in SHORT_SELECTORS else code - LONG_SELECTORS.start + 16 for code in codes
    ]
    return bytes(found)


def selector_text(run: str) -> str:
    """The text whose UTF-8 bytes variation selectors stand for; bytes that are no text are shown in hexadecimal."""
    data = selector_bytes(run)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data.hex()
    return text if readable(text) else data.hex()


def bit_text(run: str) -> str:
    """The text that the bits of two zero-width characters spell, if any; 8 or 7 bits a letter, or parted by a third."""
    found = [symbol for symbol, _ in Counter(run).most_common()]
    if len(run) < LEAST_BITS or len(found) not in (2, 3):
        return ""
    for zero, one in (sorted(found[:2]), sorted(found[:2], reverse=True)):
        bits = run.translate({ord(zero): "0", ord(one): "1"})
        if len(found) == 3:
            letters = [letter for letter in bits.split(found[2]) if letter]
            text = _letters(letters) if max(map(len, letters)) <= 21 else ""
        else:
            text = next((text for size in (8, 7) if len(bits) % size == 0 and (text := _letters(_cut(bits, size)))), "")
        if text:
            return text
    return ""


def readable(text: str) -> bool:
    """Whether a text has letters and nothing that can't be printed, white space aside."""
    return any(map(str.isalpha, text)) and all(letter.isprintable() or letter.isspace() for letter in text)


def _cut(bits: str, size: int) -> list[str]:
    return [bits[start : start + size] for start in range(0, len(bits), size)]


def _letters(letters: list[str]) -> str:
    codes = [int(letter, 2) for letter in letters]
    if max(codes) > 0x10FFFF or any(0xD800 <= code < 0xE000 for code in codes):
        return ""
    text = "".join(map(chr, codes))
    plain = sum(letter.isascii() and (letter.isalnum() or letter.isspace()) for letter in text)
    return text if readable(text) and plain >= 0.7 * len(text) else ""
