"""Invisible characters that extraction drops: trafilatura leaves out all that can't be printed, so that no rule for
texts sees tag characters, zero-width runs or bidirectional controls. They are put beside what else a page hides.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import pyarrow as pa
import re2

from pipeline.crawl.hidden import Hidden, HiddenText
from pipeline.crawl.hidden.strip import EXCERPT, MOST_EXCERPTS
from pipeline.filter.text import TextBatch
from pipeline.poison import invisible

VERSION = 1

WIDTHLESS = r"\x{180E}\x{200B}-\x{200F}\x{2060}-\x{2064}\x{206A}-\x{206F}\x{FEFF}"
MARKS = "|".join(
    (
        r"[\x{E0000}-\x{E007F}\x{E0100}-\x{E01EF}\x{202A}-\x{202E}\x{2066}-\x{2069}]",
        rf"[{WIDTHLESS}]{{4}}",
        rf"\pL[{WIDTHLESS}]\pL",
    )
)
"""What a page has to have before it is looked at: tags, long selectors, bidirectional controls, and characters without
width four in a row or between letters. 12 of 2,918 real pages have them, and 7 of these some that a rule points at."""

WINDOWS = 8
"""Passages of EXCERPT characters of what one kind of marks says that are judged."""


def with_marks(hidden: HiddenText, page: str, text: str) -> HiddenText:
    """`hidden`, and the invisible characters of a `page` (its whole text) by the rules that would point at them, where
    those have nothing to point at in the extracted `text`. What they say is judged as other hidden passages are.
    """
    if page.isascii() or _marks().search(page.encode(errors="replace")) is None:
        return hidden
    both = TextBatch(pa.array([page, text], pa.string()))
    rows = invisible.find(both).rows
    seen = {rule for document, rule, *_ in rows if document == 1}
    lost = [row for row in rows if row[0] == 0 and row[1] not in seen]
    if not lost:
        return hidden
    kinds, texts = dict(hidden.kinds), []
    said = {item.start: item.text for item in invisible.find_payloads(both) if item.document == 0}
    for rule in dict.fromkeys(row[1] for row in lost):
        mine = [row for row in lost if row[1] == rule]
        kinds[rule] = (len(mine), sum(row[3] - row[2] for row in mine))
        says = next((said[row[2]] for row in mine if row[2] in said), mine[0][5])
        windows = range(0, min(len(says), WINDOWS * EXCERPT), EXCERPT)
        texts += [Hidden(rule, says[start : start + EXCERPT], len(says)) for start in windows]
    return replace(hidden, kinds=kinds, texts=(*texts, *hidden.texts)[:MOST_EXCERPTS])


@cache
def _marks() -> Any:
    return re2.compile(MARKS)
