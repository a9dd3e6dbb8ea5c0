"""Characters that nobody sees: tags, variation selectors that carry bytes, bidirectional controls, zero width.

What scripts and emoji need passes (ZWJ and ZWNJ in Indic, Arabic and emoji, U+200B in scripts without spaces, paired
direction marks, hyphenation). Unicode Technical Standards 39 and 51; Boucher & Anderson 2021 ("Trojan Source").
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from pipeline.filter.text import TextBatch
from pipeline.filter.words import Positions
from pipeline.poison import invisible_payloads as payloads
from pipeline.poison.characters_tables import (
    BIDI,
    DIRECTION_MARK,
    FILLER,
    JOINER,
    JOINING,
    MARK,
    PLAIN,
    SELECTOR,
    SOFT_HYPHEN,
    SPACELESS,
    SYMBOL,
    TAG,
    WIDTHLESS,
    invisible,
    scripts,
)
from pipeline.poison.finding import EVIDENCE, Findings
from pipeline.poison.invisible_bidi import controls_by_paragraph, unsound

LONG_RUN = 4
"""Zero-width characters in a row that no script wants. Among 2,799 pages 2 have such runs, as an indent."""

SHARE, LEAST = 0.005, 10
"""A text of which more than this share, and at least so many, are zero-width characters out of place."""

FLAGS = ("gbeng", "gbsct", "gbwls")
"""The regions whose flags are recommended for interchange (UTS 51, RGI_Emoji_Tag_Sequence); tags spell their names."""

HYPHENATED = 3
"""A soft hyphen is one if on one side no other invisible character is nearer than this: no word breaks after each
letter. Real ones also come in pairs, and about one letter ("Lepros-o-rien")."""

NO_BREAK = (0x2060, 0xFEFF)
DASHES = [ord(dash) for dash in "-‐‑–—"]
Read = Callable[[str], str]
SHOWN = 24
"""Characters of the word on either side that the evidence shows."""


@dataclass(frozen=True)
class Payload:
    """What invisible characters of a document say; [`start`, `end`) is where the first of them stand in its text."""

    document: int
    start: int
    end: int
    text: str


def find(texts: TextBatch) -> Findings:
    """The findings of tag_characters, variation_selectors, bidi_controls, zero_width and invisible_separators.

    Spans hold invisible characters only, so that stripping them leaves what a reader sees; the score is their number.
    """
    found = Findings()
    kinds = invisible()[texts.code_points]
    special = np.flatnonzero(kinds)
    if not len(special):
        return found
    of_kind = kinds[special]
    spacers = (of_kind != TAG) & (of_kind != SELECTOR) & (of_kind != BIDI)
    for document, runs in _by_document(texts, _tag_runs(texts, special[of_kind == TAG])):
        _add(found, texts, document, "tag_characters", runs, payloads.tag_text)
    for document, runs in _by_document(texts, _selector_runs(texts, special[of_kind == SELECTOR])):
        _add(found, texts, document, "variation_selectors", runs, payloads.selector_text)
    _find_bidi(found, texts, special[of_kind == BIDI])
    _find_spacers(found, texts, special[spacers], kinds)
    return found


def find_payloads(texts: TextBatch) -> list[Payload]:
    """Texts of two letters or more that invisible characters carry; those of a document are read as one."""
    kinds = invisible()[texts.code_points]
    special = np.flatnonzero(kinds)
    carried: list[Payload] = []
    if not len(special):
        return carried
    of_kind = kinds[special]
    spacers = special[(of_kind == WIDTHLESS) | (of_kind == JOINER) | (of_kind == DIRECTION_MARK)]
    for runs, decode in (
        (_tag_runs(texts, special[of_kind == TAG]), payloads.tag_text),
        (_selector_runs(texts, special[of_kind == SELECTOR]), payloads.selector_text),
        ([run for run in _runs(spacers) if run[1] - run[0] >= LONG_RUN], payloads.bit_text),
    ):
        for document, found in _by_document(texts, runs):
            begin = int(texts.begin[document])
            text = decode("".join(texts.joined[start:end] for start, end in found))
            if sum(map(str.isalpha, text)) >= 2:
                carried.append(Payload(document, found[0][0] - begin, found[0][1] - begin, text))
    return carried


# Tags and selectors


def _tag_runs(texts: TextBatch, tags: Positions) -> list[tuple[int, int]]:
    """Runs of tag characters, without those that spell a flag behind a black flag."""
    found = []
    for start, end in _runs(tags):
        if texts.joined[start - 1] == "\U0001f3f4":
            codes = [chr(ord(character) - payloads.TAGS) for character in texts.joined[start : start + 6]]
            start += 6 if "".join(codes) in [f"{flag}\x7f" for flag in FLAGS] else 0
        if start < end:
            found.append((start, end))
    return found


def _selector_runs(texts: TextBatch, selectors: Positions) -> list[tuple[int, int]]:
    """Runs of two selectors or more, and single ones on characters that have no variants.

    A few that stand alone pass: they are what is left of an emoji, and too few to carry anything.
    """
    found = []
    runs = _runs(selectors)
    alone = np.array([start for start, end in runs if _stands_alone(texts.joined, start, end)], np.int64)
    few = set(alone[(texts.per_document(alone) < payloads.LEAST_BITS)[texts.document_of(alone)]].tolist())
    for start, end in runs:
        if start in few:
            continue
        run = texts.joined[start:end]
        emoji = run.strip("\ufe0f") == "" and len(run) <= 3  # a repeated one is a slip of an editor, and says nothing
        if not ((len(run) == 1 or emoji) and _has_variants(texts.joined[start - 1], run[0])):
            found.append((start, end))
    return found


def _stands_alone(joined: str, start: int, end: int) -> bool:
    """Whether a run is one U+FE0F at a text's start or behind white space, as in posts whose emoji were taken out."""
    return joined[start:end] == "\ufe0f" and joined[start - 1].isspace()


def _has_variants(base: str, selector: str) -> bool:
    """Whether a character can take a selector: emoji, ideographs, some signs (StandardizedVariants.txt, in outline)."""
    script, category = scripts()[ord(base)], unicodedata.category(base)
    if ord(selector) in payloads.LONG_SELECTORS:
        return bool(script == SPACELESS)
    if selector in "\ufe0e\ufe0f":
        return category in ("So", "Sm", "Sk") or base in "#*0123456789\u2139\u203c\u2049\u3030\u303d\u200d"
    return bool(script in (SPACELESS, JOINING)) or category == "Sm" or base in "0‘’“”、。，．：；！？"


# Bidirectional controls


def _find_bidi(found: Findings, texts: TextBatch, controls: Positions) -> None:
    """Controls that open or close nothing within their paragraph, and overrides that show letters in another order."""
    suspects: list[int] = []
    for group in controls_by_paragraph(texts, controls):
        suspects += unsound(group, texts.joined)
    for document, runs in _by_document(texts, _runs(np.array(sorted(suspects), np.int64))):
        _add(found, texts, document, "bidi_controls", runs, _codes)


# Zero width


def _find_spacers(found: Findings, texts: TextBatch, spacers: Positions, kinds: npt.NDArray[np.uint8]) -> None:
    """Runs of zero-width characters: long ones, those inside words, and any where a text has too many."""
    runs = _runs(spacers)
    if not runs:
        return
    start, end = np.array(runs, np.int64).T
    first = kinds[start]
    single = end - start == 1
    before, after = script_beside(texts, start - 1, kinds, -1), script_beside(texts, end, kinds, 1)
    within = is_apart(before) & is_apart(after)
    document = texts.document_of(start)
    apart = start + document * HYPHENATED  # the hyphens of another document are not near
    gap_before, gap_after = np.diff(apart, prepend=-HYPHENATED), np.diff(apart, append=apart[-1] + HYPHENATED + 1)
    hyphen = (end - start <= 2) & (first == SOFT_HYPHEN) & (kinds[end - 1] == SOFT_HYPHEN)
    hyphen &= (gap_before >= HYPHENATED) | (gap_after >= HYPHENATED)
    wanted = hyphen | (
        (end - start < LONG_RUN)
        & (
            ((first == JOINER) & ((before == JOINING) | (after == JOINING)))
            | ((first == JOINER) & single & (before == SYMBOL) & (after == SYMBOL))
            | ((before == SPACELESS) | (after == SPACELESS))
            | ((first == DIRECTION_MARK) & ~within)
            | ((first == FILLER) & single & ~within)
            | ((texts.code_points[start] == 0xFEFF) & single & np.isin(start, texts.begin))
            | (single & np.isin(texts.code_points[start], NO_BREAK) & _beside_dash(texts, start))
        )
    )
    separators = within & ~wanted
    amounts = np.bincount(document, weights=np.where(wanted, 0, end - start), minlength=len(texts))
    many = (amounts >= LEAST) & (amounts > SHARE * texts.characters)
    for crowded in np.flatnonzero(many).tolist():
        many[crowded] = not _breaks_lines(texts, crowded)
    widthless = ~separators & ~wanted & ((end - start >= LONG_RUN) | many[document])
    for number in np.flatnonzero(separators).tolist():
        word = _word(texts, *runs[number])
        begin, (from_, to) = int(texts.begin[document[number]]), runs[number]
        found.add(int(document[number]), "invisible_separators", from_ - begin, to - begin, to - from_, word)
    for number in np.flatnonzero(widthless).tolist():
        _add(found, texts, int(document[number]), "zero_width", [runs[number]], payloads.bit_text)


def _beside_dash(texts: TextBatch, positions: Positions) -> npt.NDArray[np.bool_]:
    """Which characters stand before or behind a dash, where a word joiner keeps a line from breaking."""
    before, behind = texts.code_points[positions - 1], texts.code_points[positions + 1]
    found: npt.NDArray[np.bool_] = np.isin(before, DASHES) | np.isin(behind, DASHES)
    return found


def _breaks_lines(texts: TextBatch, document: int) -> bool:
    """Whether most letters of a document are of scripts that have zero-width characters of their own."""
    letters = scripts()[texts.code_points[texts.begin[document] : texts.end[document]]]
    return bool((letters >= SPACELESS).sum() > is_apart(letters).sum())


def is_apart(script: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Letters of scripts that part words by spaces and don't join letters by controls."""
    return (script > MARK) & (script < SPACELESS)


def script_beside(
    texts: TextBatch, positions: Positions, kinds: npt.NDArray[np.uint8], step: int
) -> npt.NDArray[np.uint8]:
    """The scripts at the positions, where a mark or a control of another kind is what stands beyond it."""
    positions = positions.copy()
    for _ in range(4):
        beyond = (scripts()[texts.code_points[positions]] == MARK) | (kinds[positions] != PLAIN)
        beyond &= (positions > 0) & (positions < len(kinds) - 1)
        positions[beyond] += step
    found: npt.NDArray[np.uint8] = scripts()[texts.code_points[positions]]
    return found


def _codes(run: str) -> str:
    return "".join(map(payloads.visible_code, run))


def _word(texts: TextBatch, start: int, end: int) -> str:
    """The word around invisible characters, with what is invisible in it spelt out."""
    before = texts.joined[max(start - SHOWN, 0) : start].split()[-1:]
    after = texts.joined[end : end + SHOWN].split()[:1]
    word = "".join([*before, texts.joined[start:end], *after])
    return "".join(payloads.visible_code(letter) if invisible()[ord(letter)] else letter for letter in word)


# Runs


def _runs(positions: Positions) -> list[tuple[int, int]]:
    """(first, behind the last) of each run of consecutive positions."""
    if not len(positions):
        return []
    breaks = np.flatnonzero(np.diff(positions) > 1)
    first = positions[np.concatenate(([0], breaks + 1))]
    last = positions[np.concatenate((breaks, [len(positions) - 1]))]
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))


def _by_document(texts: TextBatch, runs: list[tuple[int, int]]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    documents = texts.document_of(np.array([start for start, _ in runs], np.int64)).tolist()
    for document, group in groupby(zip(documents, runs, strict=True), key=lambda item: item[0]):
        yield document, [run for _, run in group]


def _add(found: Findings, texts: TextBatch, document: int, rule: str, runs: list[tuple[int, int]], read: Read) -> None:
    """A finding for each run. The evidence is what the run says, for a short one what all say together."""
    begin = int(texts.begin[document])
    together: str | None = None
    for start, end in runs:
        run = texts.joined[start:end]
        if end - start >= LONG_RUN:
            says = read(run)
        else:
            if together is None:
                together = read("".join(texts.joined[start:end] for start, end in runs[:EVIDENCE]))
            says = together
        says = says or f"{payloads.visible_code(run[0])} and others, {end - start} in a row"
        found.add(document, rule, start - begin, end - begin, end - start, says)
