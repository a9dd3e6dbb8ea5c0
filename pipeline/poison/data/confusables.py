"""Writes confusables.txt, the letters that look like Latin ones, from the data that confusable_homoglyphs ships.

python pipeline/poison/data/confusables.py, with confusable_homoglyphs (MIT) installed; it is needed for nothing else.
"""

import string
import unicodedata
from collections import defaultdict
from pathlib import Path

HEAD = """\
# Letters that look like a Latin letter: the Latin letter, then its look-alikes. Written by confusables.py.
# From Unicode's confusables.txt (UTS #39) as confusable_homoglyphs {version} has it, without what NFKC folds anyway.
# Copyright (c) Unicode, Inc., under the Unicode License, https://www.unicode.org/license.txt
"""

OUGHT = "k\u043aκ t\u0442τ m\u043c h\u043d b\u0432 e\u0454\u0435ε nη w\u03c9 r\u0433 a\u03b1"
"""Pairs that attacks use and Unicode's list lacks, as it wants glyphs to be equal: a Latin letter, its look-alikes."""


def main() -> None:
    """Write the table beside this file."""
    from importlib.metadata import version

    from confusable_homoglyphs.confusables import confusables_data

    pairs = [(one, other["c"]) for one, others in confusables_data.items() for other in others]
    looks: dict[str, set[str]] = defaultdict(set)
    for one, other in [*pairs, *(pair[::-1] for pair in pairs)]:
        if one in string.ascii_letters and len(other) == 1 and wanted(other):
            looks[one].add(other)
    for item in OUGHT.split():
        looks[item[0]].update(item[1:])
    looks = {letter: {other for other in others if nearest(other, looks) == letter} for letter, others in looks.items()}
    looks["I"] = looks.get("I", set()) | {other for other in looks["l"] if other.isupper()}
    looks["l"] -= looks["I"]
    lines = [f"{letter} {''.join(sorted(looks[letter]))}\n" for letter in sorted(looks) if looks[letter]]
    head = HEAD.format(version=version("confusable_homoglyphs"))
    Path(__file__).with_suffix(".txt").write_text(head + "".join(lines), encoding="utf-8")


def wanted(character: str) -> bool:
    """Letters outside ASCII that compatibility normalisation leaves alone."""
    folded = unicodedata.normalize("NFKC", character)
    return unicodedata.category(character)[0] == "L" and ord(character) > 127 and folded == character


def nearest(character: str, looks: dict[str, set[str]]) -> str:
    """Of the Latin letters that a character looks like, the first of its own case."""
    letters = sorted(letter for letter, others in looks.items() if character in others)
    return min(letters, key=lambda letter: letter.isupper() != character.isupper())


if __name__ == "__main__":
    main()
