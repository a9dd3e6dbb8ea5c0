"""Literals of chat templates and control tokens in a text: `<|im_start|>`, `[INST]`, `<<SYS>>`, also in disguise.

A tokenizer that parses specials makes control ids of them, and a model learns who speaks from them. They are found in
one pass of RE2 over the batch as folded bytes: without spaces and invisible characters, in small letters, with
full-width forms and look-alikes as what they look like.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import re2

from pipeline.filter.characters import SEPARATOR
from pipeline.filter.text import TextBatch
from pipeline.filter.words import Positions
from pipeline.poison.characters_tables import MARK, PLAIN, fold, folds, invisible, scripts
from pipeline.poison.control_turns import Match, find_turns
from pipeline.poison.finding import Findings

VERSION = 2

PLAIN_FORMS = {"<": "‹〈⟨❮≺", ">": "›〉⟩❯≻", "|": "│┃ǀ∣¦￨丨", "[": "〔【", "]": "〕】", "_": "▁‗"}
"""Signs that stand for those of the literals, DeepSeek's own ▁ among them; full-width forms are folded anyway."""

ENTITIES = {"<": "lt|#60|#x3c", ">": "gt|#62|#x3e", "|": "vert|verbar|#124|#x7c", "[": "lbrack|lsqb|#91|#x5b"}
ENTITIES["]"] = "rbrack|rsqb|#93|#x5d"

ASKS = "human|user|prompter|###instruction|###human|###user"
ANSWERS = "assistant|ai|chatbot|bot|chatgpt|gpt|claude|model|###response|###assistant"
ROLES = rf"\n[*_>-]{{0,4}}(?:({ASKS})|({ANSWERS}))[*_]{{0,2}}:"
"""Lines that begin with the name of a speaker, as in transcripts of chats; both sides have to speak."""

OTHER_SIGN = "\x01"
"""Stands in the folded bytes for all that looks like no ASCII character."""

ROUNDS = 8
"""How often what stripping would join is looked for again: "<|im_<|im_start|>start|>"."""

LINE_ENDS = "\n\r\x85\u2028\u2029"

HTML_NEAR = 300
"""Characters within which another HTML tag makes `<s>` one too."""

HTML_TAG = (
    rb"</?(?:b|i|u|p|a|br|em|li|ul|ol|td|tr|h[1-6]|del|ins|strong|strike|span|div|table|small|code|pre)"
    rb"(?:>|/>| class=| href=| style=)"
)


@dataclass(frozen=True)
class Literals:
    """What is looked for: the pattern over folded bytes, and each literal, folded, as it is written and its family."""

    pattern: Any
    known: dict[str, tuple[str, str, bool]]


def find(texts: TextBatch, literals: Sequence[str] = ()) -> Findings:
    """The findings of control_tokens, control_turns and control_roles.

    `literals` are those of the configured tokenizer besides.

    Spans are such that a text without them has no literal left. The score is 1 for a literal as
    it is written, 2 for one in disguise; for roles their number.
    """
    found = Findings()
    matches = _search(texts, literals)
    turns = find_turns(texts, matches)
    joined = _joined_by_stripping(texts, matches, literals)
    if turns:  # whether they are cut out is for the recipe to say
        more = _joined_by_stripping(texts, matches + turns, literals)
        joined = list(dict.fromkeys(joined + more))
    for match in matches + joined:
        spelt = texts.strings[match.document][match.start : match.end]
        score = 1.0 if spelt == match.literal else 2.0
        shown = spelt if len(spelt) <= 80 else f"{spelt[:40]} ... {spelt[-36:]}"
        found.add(match.document, "control_tokens", match.start, match.end, score, f"{match.family}: {shown}")
    for turn in turns:
        says = texts.strings[turn.document][turn.start : turn.end]
        found.add(turn.document, "control_turns", turn.start, turn.end, 1.0, f"{turn.family}: {says}")
    _find_roles(found, texts)
    return found


def has_literal(strings: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of the texts have a literal."""
    has = np.zeros(len(strings), np.bool_)
    has[[match.document for match in _search(TextBatch(pa.array(strings, pa.string())))]] = True
    return has


def _search(texts: TextBatch, extra: Sequence[str] = ()) -> list[Match]:
    searched = _literals(tuple(extra))
    data, places = _folded(texts)
    starts, ends, keys = [], [], []
    for match in searched.pattern.finditer(data):
        starts.append(int(places[match.start()]))
        ends.append(int(places[match.end() - 1]) + 1)
        keys.append(_resolved(match.group().decode()))
    if not starts:
        return []
    documents = texts.document_of(np.array(starts, np.int64)).tolist()
    found = []
    for document, start, end, key in zip(documents, starts, ends, keys, strict=True):
        literal, family, exact = searched.known.get(key, (key, "other", True))
        spelt = texts.joined[start:end]
        begin = int(texts.begin[document])
        if not exact or (fold(spelt) == literal if family != "other" else not any(map(str.isspace, spelt))):
            found.append(Match(document, start - begin, end - begin, literal, family))
    return _without_strikethrough(texts, found)


def _joined_by_stripping(texts: TextBatch, matches: list[Match], extra: Sequence[str]) -> list[Match]:
    """Literals that stand in a text once those found are cut out of it; their spans are around what was cut."""
    found: list[Match] = []
    kept: dict[int, Positions] = {}
    new = matches
    for _ in range(ROUNDS):
        cut: dict[int, list[tuple[int, int]]] = {}
        for match in new:
            cut.setdefault(match.document, []).append((match.start, match.end))
        if not cut:
            return found
        rows = sorted(cut)
        for row in rows:
            keep = kept.get(row, np.arange(len(texts.strings[row])))
            gone = np.zeros(len(texts.strings[row]) + 1, np.bool_)
            for start, end in cut[row]:
                gone[start:end] = True
            kept[row] = keep[~gone[keep]]
        left = ["".join([texts.strings[row][place] for place in kept[row].tolist()]) for row in rows]
        again = _search(TextBatch(pa.array(left, pa.string())), extra)
        new = []
        for match in again:
            row = rows[match.document]
            start, end = int(kept[row][match.start]), int(kept[row][match.end - 1]) + 1
            new.append(Match(row, start, end, match.literal, match.family))
        found += new
    for match in new:  # nested deeper than anybody does by accident: the line goes, and no literal has two lines
        text = texts.strings[match.document]
        ends = [place for end in LINE_ENDS if (place := text.find(end, match.end)) >= 0]
        start = max(text.rfind(end, 0, match.start) for end in LINE_ENDS) + 1
        found.append(Match(match.document, start, min(ends, default=len(text)), "", "nested"))
    return found


def _without_strikethrough(texts: TextBatch, matches: list[Match]) -> list[Match]:
    """The matches without the <s> of HTML: in a text with no other literal, in pairs on a line or near other tags."""
    others = {match.document for match in matches if match.literal not in ("<s>", "</s>")}
    found = []
    for match in matches:
        if match.document not in others and match.literal in ("<s>", "</s>"):
            text = texts.strings[match.document]
            around = text[max(match.start - HTML_NEAR, 0) : match.end + HTML_NEAR]
            if _paired(text, match) or _html().search(around.lower().encode()):
                continue
        found.append(match)
    return found


def _paired(text: str, match: Match) -> bool:
    """Whether <s> and </s> stand on one line with text between them."""
    if match.literal == "<s>":
        between = text[match.end : match.end + HTML_NEAR].partition("\n")[0]
        return between.find("</s>") > 0
    return text[max(match.start - HTML_NEAR, 0) : match.start].rpartition("\n")[2].rfind("<s>") >= 0


def _find_roles(found: Findings, texts: TextBatch) -> None:
    data, places = _folded(texts)
    rows: dict[int, list[tuple[int, int, bool]]] = {}
    for match in _roles().finditer(data):
        start, end = int(places[match.start() + 1]), int(places[match.end() - 1]) + 1
        document = int(texts.document_of(np.array([start]))[0])
        rows.setdefault(document, []).append((start, end, match.group(1) is not None))
    for document, roles in rows.items():
        if len({asks for _, _, asks in roles}) == 2:
            start, end = roles[0][0], roles[-1][1]
            first, second = (next(role for role in roles if role[2] == asks) for asks in (True, False))
            evidence = " ".join(texts.joined[role[0] : role[1]] for role in sorted([first, second]))
            begin = int(texts.begin[document])
            found.add(document, "control_roles", start - begin, end - begin, len(roles), evidence)


# What is looked for


@cache
def _literals(extra: tuple[str, ...]) -> Literals:
    known: dict[str, tuple[str, str, bool]] = {}
    for literal in extra:
        known[_key(literal)] = (literal, "tokenizer", OTHER_SIGN in _key(literal))
    for family, literal, exact in read_literals():
        known.setdefault(_key(literal), (literal, family, exact))
    listed = "|".join(_spelt(key) for key in sorted(known, key=len, reverse=True) if key)
    any_token = f"{_spelt('<|')}/?[a-z][a-z0-9_.:/-]{{0,47}}{_spelt('|>')}"
    options = re2.Options()
    options.max_mem = 64 << 20
    return Literals(re2.compile(f"{listed}|{any_token}".encode(), options), known)


def read_literals() -> Iterator[tuple[str, str, bool]]:
    """(family, literal, whether it is found only as it is written) of data/control_tokens.txt."""
    family = ""
    path = Path(__file__).parent / "data" / "control_tokens.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]") and line[1:-1].islower() and "|" not in line:
            family = line[1:-1]
        elif line and not line.startswith("#"):
            yield family, line.removeprefix("= "), line.startswith("= ")


@cache
def _roles() -> Any:
    return re2.compile(ROLES.encode())


@cache
def _html() -> Any:
    return re2.compile(HTML_TAG)


def _spelt(key: str) -> str:
    """A folded literal as a pattern in which signs may be HTML entities."""
    return "".join(
        f"(?:{re2.escape(sign)}|&(?:amp;){{0,2}}(?:{ENTITIES[sign]});)" if sign in ENTITIES else re2.escape(sign)
        for sign in key
    )


def _key(literal: str) -> str:
    """A literal as it stands in the folded bytes."""
    folded = _bytes()[np.frombuffer(literal.encode("utf-32-le"), np.uint32)]
    return folded[folded > 0].tobytes().decode("ascii")


def _resolved(found: str) -> str:
    """Folded bytes without HTML entities."""
    for sign, names in ENTITIES.items() if "&" in found else ():
        for name in names.split("|"):
            for ampersand in ("&amp;amp;", "&amp;", "&"):
                found = found.replace(f"{ampersand}{name};", sign)
    return found


def _folded(texts: TextBatch) -> tuple[bytes, Positions]:
    """The batch as bytes, and where in the batch each stands; spaces and invisible characters are left out."""
    folded = _bytes()[texts.code_points]
    places = np.flatnonzero(folded)
    return folded[places].tobytes(), places


@cache
def _bytes() -> npt.NDArray[np.uint8]:
    """Of each code point the small ASCII character that it looks like; 0 for what nobody sees; 1 for all else."""
    table = np.ones(SEPARATOR + 1, np.uint8)
    looks = folds()
    ascii_like = looks < 0x80
    lowered = np.arange(0x80, dtype=np.uint8)
    lowered[ord("A") : ord("Z") + 1] += 32
    table[ascii_like] = lowered[looks[ascii_like]]
    table[: ord(" ") + 1] = 0
    for sign, others in PLAIN_FORMS.items():
        table[[ord(other) for other in others]] = ord(sign)
    table[(invisible() != PLAIN) | (scripts() == MARK)] = 0
    table[[ord(space) for space in "\u00a0\u3000\u202f\u205f\u1680" + "".join(map(chr, range(0x2000, 0x200B)))]] = 0
    table[[*map(ord, LINE_ENDS), SEPARATOR]] = ord("\n")
    return table
