"""Encoded text, decoded and judged again as text: encoded_instructions, or else encoded_text.

Models read base64, rot13, reversed text and leet well enough to be told things in them (Wei et al. 2023, "Jailbroken");
people who skim a page do not. One more level of encoding is looked into, and MOST_DECODED characters of a document.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filter.text import TextBatch
from pipeline.poison import characters, control, invisible
from pipeline.poison.characters_tables import fold, scripts, styled
from pipeline.poison.encoded_decoders import LEAST_LETTERS
from pipeline.poison.encoded_forms import LONGEST, find_forms
from pipeline.poison.encoded_words import find_coded
from pipeline.poison.finding import Findings

VERSION = 5

Place = tuple[int, int, int]
"""Document, start and end."""

Judge = Callable[[Sequence[str]], npt.NDArray[np.generic]]
"""Texts -> how surely each reads as instructions to a model, 0 to 1."""

MOST_DECODED = LONGEST
"""Characters that are decoded and judged of one document; what is left is named in a finding."""

MOST_STRETCHES = 256
"""Stretches of one document that are judged."""

LEVELS = 2
"""Encodings inside each other that are looked into."""

CONTROL_SCORE = 1.0
"""The score of a decoded text that holds a control token's literal."""

HYPHENATED = 0.9
"""Score from which a line with soft hyphens alone counts: most are honest, so they are no evidence. One that scores
less is instructions_weak, as it would be without them."""

NAMED = "text that nobody sees"
ALIKE, UNSEEN, HYPHENS = "look-alike letters", "invisible characters", "soft hyphens"
DISGUISED = frozenset({ALIKE, UNSEEN, f"{ALIKE} and {UNSEEN}", HYPHENS})
"""Forms of a line that is decoded by reading it as it looks. control.py reads literals so, too: those are its own."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of a document, in its code points, how it is encoded, and what it says.

    `tagged`: it is worth a finding even where it says nothing to a model; other rules have findings for the others.
    """

    document: int
    start: int
    end: int
    form: str
    text: str
    tagged: bool


def find(texts: TextBatch, judge: Judge | None = None, threshold: float | None = None) -> Findings:
    """The findings of encoded_instructions and encoded_text.

    `judge` is the instruction rule's, and a text reads as instructions from `threshold` up (its threshold for a weak
    finding: encoding is half the evidence). The evidence is the form and the decoded text; encoded_text's score is the
    number of decoded characters.
    """
    found = Findings()
    kept: list[Stretch] = []
    room: dict[int, list[int]] = {}
    left_out: dict[int, list[Stretch]] = {}
    for stretch in _stretches(texts):
        used = room.setdefault(stretch.document, [0, 0])
        if used[0] + len(stretch.text) > MOST_DECODED or used[1] >= MOST_STRETCHES:
            left_out.setdefault(stretch.document, []).extend(
                [stretch] if stretch.tagged or stretch.form == HYPHENS else []
            )
        else:
            used[0] += len(stretch.text)
            used[1] += 1
            kept.append(stretch)
    deepest = kept
    for _ in range(LEVELS - 1):
        deepest = list(_within(deepest))
        kept += deepest
    if kept:
        _judge(found, kept, judge, threshold)
    for document, others in left_out.items():
        if not others:
            continue  # what other rules point at
        says = f"{len(others)} more encoded stretches, which were not judged"
        found.add(document, "encoded_text", others[0].start, others[-1].end, sum(len(o.text) for o in others), says)
    return found


def _judge(found: Findings, stretches: list[Stretch], judge: Judge | None, threshold: float | None) -> None:
    if judge is None or threshold is None:
        from pipeline.poison import instructions

        judge = judge or instructions.score_strings
        threshold = instructions.WEAK if threshold is None else threshold
    said = [stretch.text for stretch in stretches]
    scores = np.asarray(judge(said), np.float64)
    encoded = np.array([stretch.form not in DISGUISED for stretch in stretches])
    scores[encoded & control.has_literal(said)] = CONTROL_SCORE
    hit = scores >= threshold
    worst: dict[Place, int] = {}

    def badness(number: int) -> tuple[bool, bool, float]:
        return bool(hit[number]), bool(hit[number]) or stretches[number].tagged, float(scores[number])

    for number, stretch in enumerate(stretches):
        place = stretch.document, stretch.start, stretch.end
        if place not in worst or badness(number) > badness(worst[place]):
            worst[place] = number
    for place in _too_wide(stretches, {place: bool(hit[number]) for place, number in worst.items()}):
        del worst[place]
    for (document, start, end), number in worst.items():
        stretch, evidence = stretches[number], f"{stretches[number].form}: {stretches[number].text}"
        if hit[number]:
            weak = stretch.form == HYPHENS and scores[number] < HYPHENATED
            rule = "instructions_weak" if weak else "encoded_instructions"
            found.add(document, rule, start, end, scores[number], evidence)
        elif stretch.tagged:
            found.add(document, "encoded_text", start, end, len(stretch.text), evidence)


def _too_wide(stretches: list[Stretch], hits: dict[Place, bool]) -> list[Place]:
    """Hits on whole lines that are read as they look, of which a hit on a part is all that matters."""
    lines = {
        (stretch.document, stretch.start, stretch.end)
        for stretch in stretches
        if stretch.form.partition(", ")[0] in DISGUISED
    }
    sure: dict[int, list[tuple[int, int]]] = {}
    for (document, start, end), hit in hits.items():
        if hit:
            sure.setdefault(document, []).append((start, end))
    return [
        (document, start, end)
        for document, spans in sure.items()
        for start, end in spans
        if (document, start, end) in lines
        and any(start <= first and last <= end and (first, last) != (start, end) for first, last in spans)
    ]


def _stretches(texts: TextBatch) -> Iterator[Stretch]:
    """Everything that the batch says in another way than its characters, in order of documents."""
    forms = [(item.start, item.end, item.form, item.text, item.needless) for item in find_forms(texts)]
    coded = [(item.start, item.end, item.code, item.text, True) for item in find_coded(texts)]
    disguised = [(start, end, form, text, False) for start, end, form, text in _disguised(texts)]
    places = [*forms, *coded, *disguised]
    documents = texts.document_of(np.array([start for start, *_ in places], np.int64)).tolist()
    begins = texts.begin
    found = [
        Stretch(document, start - int(begins[document]), end - int(begins[document]), form, text, tagged)
        for document, (start, end, form, text, tagged) in zip(documents, places, strict=True)
    ]
    hidden = invisible.find_payloads(texts)
    found += [Stretch(item.document, item.start, item.end, NAMED, item.text, False) for item in hidden]
    yield from sorted(found, key=lambda stretch: (stretch.document, stretch.start))


def _within(stretches: list[Stretch]) -> Iterator[Stretch]:
    """What the decoded texts encode in their turn; it stands where the outer stretch stands."""
    if stretches:
        inner = TextBatch(pa.array([stretch.text for stretch in stretches], pa.string()))
        for found in _stretches(inner):
            outer = stretches[found.document]
            tagged = outer.tagged or found.tagged
            yield replace(outer, form=f"{outer.form}, {found.form}", text=found.text, tagged=tagged)


def _disguised(texts: TextBatch) -> Iterator[tuple[int, int, str, str]]:
    """Lines with look-alike letters, letters for show or invisible characters in their words, as a reader sees them."""
    found = characters.find(texts).rows
    marks = [
        (int(texts.begin[row[0]]) + row[2], ALIKE if row[1] == "mixed_script" else UNSEEN)
        for row in found
        if row[1] in REWRITTEN
    ]
    fancy = np.flatnonzero(styled()[texts.code_points])
    marks += [(place, ALIKE) for place in _long_runs(texts, fancy)]
    known = {place for place, _ in marks}
    hyphens = np.flatnonzero(texts.code_points == 0xAD).tolist()
    marks += [(place, HYPHENS) for place in hyphens if place not in known]
    marks.sort()
    marked = [place for place, _ in marks]
    lines: list[list[int]] = []
    latest = -1
    for place, document in zip(marked, texts.document_of(np.array(marked, np.int64)).tolist(), strict=True):
        if lines and place < lines[-1][1]:
            continue
        low, high = max(place - AROUND, 0), place + AROUND
        start = max(texts.joined.rfind("\n", low, place) + 1, low)
        end = min(texts.joined.find("\n", place, high) % (high + 1), high)  # -1, not found, is `high`
        if document == latest and start <= lines[-1][1] + 1 and end - lines[-1][0] < MOST_TOGETHER:
            lines[-1][1] = end
        else:
            lines.append([start, end])
        latest = document
    for start, end in lines:
        low, high = bisect_left(marked, start), bisect_left(marked, end)
        kinds = {kind for _, kind in marks[low:high]}
        form = " and ".join(kind for kind in (ALIKE, UNSEEN) if kind in kinds) or HYPHENS
        marked_only = _sentences(texts.joined, start, end, marked[low], marked[high - 1])
        for first, last in dict.fromkeys([(start, end), marked_only]):
            text = fold(texts.joined[first:last])
            if sum(map(str.isalpha, text)) >= LEAST_LETTERS:
                yield first, last, form, text


def _sentences(text: str, start: int, end: int, first: int, last: int) -> tuple[int, int]:
    """The sentences of a line that hold its marks, from the `first` to the `last`; roughly, by what ends one."""
    before = [match.end() for match in SENTENCE_END.finditer(text, start, first)]
    behind = SENTENCE_END.search(text, last, end)
    return (before[-1] if before else start), (behind.end() if behind else end)


SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)]*\s+")

REWRITTEN = frozenset(["mixed_script", "invisible_separators", "zero_width"])
"""Rules whose findings stand among words that read otherwise without them."""

AROUND = 600
"""Characters on either side of such a finding that are judged."""

MOST_TOGETHER = 2000
"""Characters of such lines one after another that are judged as one text."""

FANCY = 8
"""Letters for show in a document from which they are read; in Japanese pages they are ordinary."""


def _long_runs(texts: TextBatch, fancy: npt.NDArray[np.int64]) -> list[int]:
    """The letters for show of documents with several, where the letter before or behind is one too."""
    if len(fancy) < FANCY:
        return []
    enough = (texts.per_document(fancy) >= FANCY)[texts.document_of(fancy)]
    table = scripts()
    beside = (table[texts.code_points[fancy - 1]] == table[texts.code_points[fancy]]) | (
        table[texts.code_points[fancy + 1]] == table[texts.code_points[fancy]]
    )
    runs: list[int] = fancy[enough & beside].tolist()
    return runs
