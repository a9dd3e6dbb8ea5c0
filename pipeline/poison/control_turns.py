"""Turns of a conversation that literals of a chat template frame: what is said in them is meant for a model, not for
the readers of a page (Greshake et al. 2023, indirect prompt injection). Without the literals it would stay as prose.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from pipeline.filter.text import TextBatch


@dataclass(frozen=True)
class Match:
    """A literal in a document, or a span that goes with it; `literal` as its family writes it."""

    document: int
    start: int
    end: int
    literal: str
    family: str


MOST_TURN = 2000
"""Characters between two literals that are taken for a turn; what is longer is rather an article that names both."""

LONGEST_NAME, INDENT = 32, 80
NAMES = "system|user|assistant|developer|model|tool|ipython|human|bot|chatbot|function|observation"
NAMED = re.compile(rf"[\s\u200b-\u200d\u2060\ufeff]{{0,4}}(?:{NAMES})(?![^\W_])", re.IGNORECASE)
"""A speaker right behind a literal that OPENS."""
OPENS = re.compile(r"start|begin|turn|<\|from\|>|~b\]", re.IGNORECASE)
SPEAKS = re.compile(rf"(?:^|[^a-z])(?:{NAMES}|inst|sys|prompter)(?![a-z])", re.IGNORECASE)
"""A literal that is itself a speaker's: `<|user|>`, `[INST]`, `<<SYS>>`."""
CLOSES = re.compile(r"^(?:</|\[/|<</)|(?:^|[^a-z])(?:end|eo[tmsah])", re.IGNORECASE)
BRACKET = re.compile(r"^(<<|<|\[)(?=\w)")
"""A literal with a twin: [INST] <<SYS>> ... <</SYS>> ... [/INST]."""
HEADERS = frozenset(
    "<|im_sep|> <|message|> <|channel|> <|constrain|> <|header_end|> <|end_header_id|> <|end_of_role|> <|im_middle|> "
    "<|recipient|> <|content|>".split()
)
"""Literals between a speaker's name and what he says."""


def find_turns(texts: TextBatch, matches: Sequence[Match]) -> list[Match]:
    """From a literal that opens a turn to its twin with a slash, or else to the next that is none of HEADERS, MOST_TURN
    characters on at most.

    A turn that none closes is the literal with the speaker's name, or, where it begins a line, the whole line.
    """
    found = []
    for document, group in groupby(
        sorted(matches, key=lambda one: (one.document, one.start)), lambda one: one.document
    ):
        literals, text = list(group), texts.strings[document]
        stops = [one.start for one in literals if one.literal not in HEADERS]
        starts: dict[str, list[int]] = {}
        for one in literals:
            starts.setdefault(one.literal, []).append(one.start)
        for match in literals:
            twins = starts.get(BRACKET.sub(r"\1/", match.literal), []) if BRACKET.match(match.literal) else []
            end = _said_until(match, text, twins if bisect_left(twins, match.end) < len(twins) else stops)
            if end is not None and end > match.end:
                found.append(Match(document, match.start, end, "", match.family))
    return found


def _said_until(match: Match, text: str, stops: list[int]) -> int | None:
    if match.literal in HEADERS or CLOSES.search(match.literal):
        return None
    name = NAMED.match(text[match.end : match.end + LONGEST_NAME]) if OPENS.search(match.literal) else None
    if name is None and not SPEAKS.search(match.literal):
        return None
    named = match.end + (name.end() if name else 0)
    most = named + MOST_TURN
    following = bisect_left(stops, named)
    if following < len(stops) and stops[following] <= most:
        return stops[following]
    if text[max(match.start - INDENT, 0) : match.start].rpartition("\n")[2].strip():
        return named
    line = text.find("\n", named, most)
    return line if line >= 0 else min(len(text), most)
