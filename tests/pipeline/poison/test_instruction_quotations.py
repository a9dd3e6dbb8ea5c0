"""Quotation marks are paired as people pair them, within a line; what has no second mark is no quotation."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch
from pipeline.poison.instruction_quotations import CLOSERS, quotations


def quoted(*texts: str) -> list[list[str]]:
    batch = TextBatch(pa.array(texts, pa.string()))
    pieces = quotations(batch, np.arange(len(texts)))
    found: list[list[str]] = [[] for _ in texts]
    for start, end, document in zip(pieces.start, pieces.end, pieces.document, strict=True):
        found[document].append(batch.joined[start:end])
    return found


@pytest.mark.parametrize(
    ("text", "quotation"),
    [
        ('He said "go home" now.', '"go home"'),
        ("He said “go home” now.", "“go home”"),
        ("Er sagte „geh heim“ und ging.", "„geh heim“"),
        ("Er sagte ‚geh heim‘ und ging.", "‚geh heim‘"),
        ("Il dit «rentrez» et partit.", "«rentrez»"),
        ("Han sade ”gå hem” och gick.", "”gå hem”"),
        ("Hän sanoi »mene kotiin» ja lähti.", "»mene kotiin»"),
        ("彼は「帰れ」と言った。", "「帰れ」"),
        ('他说"回家"了。', '"回家"'),
        ("Type `go home` now.", "`go home`"),
        ("He said ‘go home’ now.", "‘go home’"),
        ("He said 'don't go home' now.", "'don't go home'"),
        ('He (or "she") went.', '"she"'),
    ],
)
def test_each_manner_of_quoting_is_read(text: str, quotation: str) -> None:
    assert quoted(text) == [[quotation]]


def test_the_outermost_of_quotations_within_each_other_counts() -> None:
    assert quoted('She read: “He said "go home" to us.” We left.') == [['“He said "go home" to us.”']]
    assert quoted('She read: "He said "go home" to us." We left.') == [['"He said "go home" to us."']]


def test_a_mark_for_inches_or_without_a_second_one_is_none() -> None:
    assert quoted('It is 5" wide, and "good" too.', 'It is 5" wide', "“and so on", "ends”") == [['"good"'], [], [], []]


def test_apostrophes_are_no_marks() -> None:
    assert quoted("don't, can’t, the users' rights, rock 'n' roll wasn't", "It’s the miller’s") == [["'n'"], []]


def test_no_quotation_reaches_into_another_line_or_document() -> None:
    assert quoted('"one\ntwo"', '"three', 'four"') == [[], [], []]


def test_marks_that_never_close_keep_no_quotation_from_being_read() -> None:
    assert quoted(" «" * 100_000 + ' "good" «bad»') == [['"good"', "«bad»"]]


def test_only_the_documents_asked_for_are_read() -> None:
    batch = TextBatch(pa.array(['"one"', '"two"', '"three"']))
    assert quotations(batch, np.array([1])).document.tolist() == [1]


@given(st.lists(st.text("ab \n.,\"'“”„«»‘’`", max_size=30), max_size=4))
def test_quotations_do_not_overlap_and_stand_between_marks_that_fit(texts: list[str]) -> None:
    found = quoted(*texts)
    assert found == [quoted(text)[0] for text in texts]
    for text, pieces in zip(texts, found, strict=True):
        assert all(len(piece) > 1 and piece[-1] in CLOSERS[piece[0]] and "\n" not in piece for piece in pieces)
        at = 0
        for piece in pieces:
            at = text.index(piece, at) + len(piece)
