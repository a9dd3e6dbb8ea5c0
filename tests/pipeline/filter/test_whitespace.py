"""White space is cut to what running text has, and the spans say what went."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch
from pipeline.filter.whitespace import Whitespace


def edit(*texts: str | None, max_newlines: int = 2) -> list[str | None]:
    edited, _, _ = Whitespace(max_newlines).edit(TextBatch(pa.array(texts, pa.string())))
    return edited.to_pylist()


def plainly(text: str) -> str:
    """The same rules, one regular expression after the other."""
    blank = "[\t \u00a0\u2007\u202f\u3000]"
    text = re.sub(f"{blank}*\n{blank}*", "\n", text)
    text = re.sub(f"({blank}){blank}+", r"\1", text)
    return re.sub("\n{3,}", "\n\n", text).strip("\t \u00a0\u2007\u202f\u3000\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one  two", "one two"),
        ("one\ttwo", "one\ttwo"),
        ("one \n two", "one\ntwo"),
        ("one\n\ntwo", "one\n\ntwo"),
        ("one\n \n \ntwo", "one\n\ntwo"),
        ("  one  ", "one"),
        (" \n ", ""),
        ("", ""),
        ("|          |", "| |"),
        ("eins\u00a0\u00a0zwei", "eins\u00a0zwei"),
    ],
)
def test_surplus_white_space_goes(text: str, expected: str) -> None:
    assert edit(text) == [expected]


def test_one_newline_is_enough_where_the_recipe_says_so() -> None:
    assert edit("one\n\ntwo", max_newlines=1) == ["one\ntwo"]


def test_no_newline_is_not() -> None:
    with pytest.raises(ValueError, match="max_newlines is 0"):
        Whitespace(0)


def test_documents_do_not_touch() -> None:
    assert edit("one ", " two", None, "") == ["one", "two", None, ""]


@settings(deadline=None)
@given(st.lists(st.text(alphabet="ab \t\n\u00a0é😀", max_size=30), max_size=5))
def test_the_same_as_regular_expressions(texts: list[str]) -> None:
    assert edit(*texts) == [plainly(text) for text in texts]


@settings(deadline=None)
@given(st.lists(st.text(alphabet="ab \t\n\u00a0é😀", max_size=30), min_size=1, max_size=5))
def test_the_text_minus_its_spans_is_the_edited_text(texts: list[str]) -> None:
    edited, spans, columns = Whitespace().edit(TextBatch(pa.array(texts, pa.string())))
    for text, after, cuts, count in zip(
        texts, edited.to_pylist(), spans.to_pylist(), columns["characters_cut"].to_pylist(), strict=True
    ):
        raw = text.encode()
        for span in reversed(cuts):
            raw = raw[: span["start"]] + raw[span["end"] :]
        assert raw.decode() == after
        assert len(text) - len(after) == count
