"""What encoded stretches say: base64, base85, base32, hexadecimal, escapes, entities, binary, numbers, octal, Morse.

A decoder takes a stretch and gives its text, or "" where that is none that can be read. Nothing is decompressed.
"""

import base64
import html
import re
from collections.abc import Callable
from urllib.parse import unquote

from pipeline.poison.encoded_words import known

LEAST_LETTERS = 8
"""Letters from which a decoded text is one."""

MORSE = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
        "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- ..--.. .----. -.-.-- -..-.".split(),
        "abcdefghijklmnopqrstuvwxyz0123456789.,?'!/",
        strict=True,
    )
)
"""ITU-R M.1677-1."""


def readable(text: str) -> bool:
    """Whether a decoded text is one: printable, most of it letters and spaces."""
    letters = sum(map(str.isalpha, text))
    return (
        letters >= LEAST_LETTERS
        and letters + text.count(" ") >= 0.6 * len(text)
        and all(letter.isprintable() or letter in "\t\r\n" for letter in text)
    )


def coded(text: str) -> bool:
    """Whether a decoded text is a code again that `readable` takes for none: hexadecimal, binary or decimal numbers."""
    return len(text) >= LEAST_CODED and _CODE.issuperset(text)


_CODE = frozenset("0123456789abcdefABCDEFx\\ ,:;")
LEAST_CODED = 32
"""Characters of such a code: 16 bytes in hexadecimal."""


# base64 and its kin


def decode_base64(run: str) -> str:
    """Standard or URL-safe, with or without padding; UTF-8 or, as shells take it, UTF-16."""
    bare = run.rstrip("=").replace("-", "+").replace("_", "/")
    bare = bare[: len(bare) - (len(bare) % 4 == 1)]
    return _text(base64.b64decode(bare + "=" * (-len(bare) % 4)))


def decode_base32(run: str) -> str:
    """RFC 4648, with or without padding."""
    try:
        return _text(base64.b32decode(run + "=" * (-len(run) % 8)))
    except ValueError:
        return ""


def decode_base85(run: str) -> str:
    """RFC 1924's letters, as Git and Python write it, Ascii85 (with or without its frame), and ZeroMQ's Z85."""
    bare = run[2 * run.startswith("<~") :].removesuffix("~>")
    for codes, decode in (
        (bare, base64.b85decode),
        (bare.replace("z", "!!!!!"), base64.a85decode),
        (bare.translate(_Z85), base64.b85decode),
    ):
        try:
            if text := _text(decode(codes)):
                return text
        except ValueError:
            continue
    return ""


_Z85 = str.maketrans(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
)
"""ZeroMQ RFC 32 -> RFC 1924."""


def decode_hex(run: str) -> str:
    """Two digits a byte, with whatever stands between them; a first or last pair that is a word of the page may go."""
    digits = re.sub(r"0x|\\x|[ ,:;]", "", run)
    digits = digits[: len(digits) - len(digits) % 2]
    for first, last in ((0, 0), (2, 0), (0, 2), (2, 2)):
        try:
            if text := _text(bytes.fromhex(digits[first : len(digits) - last])):
                return text
        except ValueError:
            return ""
    return ""


def _text(data: bytes) -> str:
    """Bytes as text, "" where they are none."""
    wide = len(data) > 8 and data[1::2].count(0) > 0.4 * len(data)
    try:
        text = data.decode("utf-16-le" if wide else "utf-8")
    except UnicodeDecodeError:
        return ""
    return text if readable(text) or coded(text) else ""


# Escapes


def decode_percent(stretch: str) -> str:
    """Percent encoding, twice where it was done twice."""
    text = unquote(unquote(stretch), errors="ignore").replace("+", " ")
    return text if readable(text) else ""


def decode_unicode(stretch: str) -> str:
    r"""\u0069 and \u{0069}, with plain letters between."""
    text = re.sub(r"\\u\{?([0-9A-Fa-f]{4})\}?", lambda match: chr(int(match[1], 16)), stretch)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text if readable(text) else ""


def decode_entities(stretch: str) -> str:
    """Numeric references of HTML, also those whose & was escaped again."""
    text = stretch
    for _ in range(4):
        text = html.unescape(text)
    return text if readable(text) else ""


# Numbers and Morse


def decode_binary(stretch: str) -> str:
    """Seven or eight bits a letter."""
    groups = re.split("[ ,]+", stretch)
    bits = "".join(groups)
    sizes = (len(groups[0]),) if len(groups) > 1 else (8, 7)
    for size in sizes:
        whole = len(bits) - len(bits) % size
        text = _text(bytes(int(bits[at : at + size], 2) for at in range(0, whole, size)))
        if text:
            return text
    return ""


def decode_decimal(stretch: str) -> str:
    """The numbers of ASCII characters, or of bytes of UTF-8; tables of numbers make no words."""
    codes = [int(number) for number in re.findall("[0-9]+", stretch)]
    data = bytes(code if 32 <= code < 256 or code in (9, 10, 13) else 0 for code in codes)
    try:
        text = data.strip(b"\0").decode()
    except UnicodeDecodeError:
        return ""
    return text if readable(text) and known(text) else ""


def decode_octal(stretch: str) -> str:
    """\\151 and the like."""
    codes = [int(code, 8) for code in re.findall("[0-7]{3}", stretch)]
    return _text(bytes(codes)) if max(codes) < 256 else ""


def decode_morse(stretch: str) -> str:
    """Dots and dashes; spaces part letters, a stroke or more spaces part words."""
    words = re.split(r" *[/|] *| {2,}", stretch.strip())
    letters = [[MORSE.get(letter, "\0") for letter in word.split()] for word in words]
    text = " ".join("".join(word) for word in letters)
    return text if readable(text) and known(text) else ""


DECODERS: dict[str, Callable[[str], str]] = {
    "hex": decode_hex,
    "unicode": decode_unicode,
    "percent": decode_percent,
    "entities": decode_entities,
    "binary": decode_binary,
    "decimal": decode_decimal,
    "octal": decode_octal,
    "morse": decode_morse,
}
