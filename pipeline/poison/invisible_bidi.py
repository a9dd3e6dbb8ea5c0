"""Bidirectional controls: which are unpaired, which show letters in another order, and which pairs a cut would part.

Boucher & Anderson 2021 ("Trojan Source"); pairing as in Unicode's annex 9, BD9 to BD11.
"""

from bisect import bisect, bisect_right
from collections.abc import Iterable, Iterator
from itertools import groupby
from unicodedata import bidirectional

import numpy as np

from pipeline.filter.text import TextBatch
from pipeline.filter.words import Positions
from pipeline.poison.characters_tables import BIDI, invisible

EMBEDDINGS, OVERRIDES, ISOLATES = "\u202a\u202b", "\u202d\u202e", "\u2066\u2067\u2068"
POP_EMBEDDING, POP_ISOLATE, RIGHT_TO_LEFT_OVERRIDE = "\u202c", "\u2069", "\u202e"
PARAGRAPH_ENDS = np.array([0x0A, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2029], np.uint32)


def controls_by_paragraph(texts: TextBatch, controls: Positions) -> Iterator[list[int]]:
    """The positions of controls, which ascend, by paragraph; a control acts on nothing behind its end."""
    if not len(controls):
        return
    ends = np.flatnonzero(np.isin(texts.code_points, PARAGRAPH_ENDS))
    paragraphs = np.searchsorted(ends, controls) + texts.document_of(controls)
    for _, group in groupby(zip(controls.tolist(), paragraphs.tolist(), strict=True), key=lambda item: item[1]):
        yield [position for position, _ in group]


def pairs(controls: list[int], joined: str) -> list[tuple[int, int]]:
    """Of one paragraph's controls those that open something and those that close it (annex 9, BD9 to BD11)."""
    found: list[tuple[int, int]] = []
    stack: list[int] = []
    for position in controls:
        control = joined[position]
        if control in EMBEDDINGS or control in OVERRIDES or control in ISOLATES:
            stack.append(position)
        elif control == POP_EMBEDDING:
            if stack and joined[stack[-1]] not in ISOLATES:
                found.append((stack.pop(), position))
        else:
            while stack and joined[stack[-1]] not in ISOLATES:
                stack.pop()
            if stack:
                found.append((stack.pop(), position))
    return found


def unsound(controls: list[int], joined: str) -> list[int]:
    """Of one paragraph's controls those that are unpaired, or override the direction of letters between them."""
    against = {control: _against(control, controls, joined) for control in OVERRIDES}
    sound: set[int] = set()
    for opener, closer in pairs(controls, joined):
        turned = against.get(joined[opener], [])
        at = bisect(turned, opener)
        if at == len(turned) or turned[at] > closer:
            sound |= {opener, closer}
    return [position for position in controls if position not in sound]


def parted(texts: TextBatch, spans: Iterable[tuple[int, int, int]]) -> list[int]:
    """Positions in the batch of controls, both of each pair, where a span (document, start, end) holds one of them.

    Cutting the span would leave the other alone, and turn what follows.
    """
    controls = np.flatnonzero(invisible()[texts.code_points] == BIDI)
    if not len(controls):
        return []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted((int(texts.begin[row]) + start, int(texts.begin[row]) + end) for row, start, end in spans):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    found: list[int] = []
    for group in controls_by_paragraph(texts, controls) if starts else ():
        for pair in pairs(group, texts.joined):
            # The span that holds a control, by number; between two spans, half of that.
            opener, closer = (bisect_right(starts, place) + bisect_right(ends, place) for place in pair)
            if opener != closer and (opener % 2 or closer % 2):
                found += pair
    return sorted(found)


def _against(override: str, controls: list[int], joined: str) -> list[int]:
    """Where letters and digits stand that an override shows against their own direction; a phone number has none.

    They are looked for once a paragraph, from the first such override to the last control.
    """
    first = next((position for position in controls if joined[position] == override), None)
    if first is None:
        return []
    classes = ("L", "EN") if override == RIGHT_TO_LEFT_OVERRIDE else ("R", "AL")
    return [place for place in range(first, controls[-1]) if bidirectional(joined[place]) in classes]
