"""Each rule of FineWeb on both sides of its threshold."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.characters import sentence_ends
from pipeline.filter.fineweb import FineWeb
from pipeline.filter.text import TextBatch, split_words

Reason = Callable[..., str | None]


def twin(text: str) -> dict[str, float | None]:
    """All measures of a text, counted one after another."""
    lines = [line for line in text.split("\n") if line.strip()]
    again = sum(len(line) for at, line in enumerate(lines) if line in lines[:at])
    words, characters = split_words(text), len(text.replace("\n", ""))
    return {
        "lines": len(lines),
        "line_end_punctuation": sum(line[-1] in sentence_ends() for line in lines) / len(lines) if lines else None,
        "short_lines": sum(len(line) <= 30 for line in lines) / len(lines) if lines else None,
        "char_duplicates": again / characters if characters else None,
        "newline_ratio": text.count("\n") / len(words) if words else None,
    }


pieces = st.sampled_from([" ", "\n", "\n\n", "\r\n", ".", "。", "?", "a", "a b.", "x" * 30, "é"])


@given(st.lists(st.lists(pieces, max_size=20).map("".join), max_size=4))
def test_measures_are_those_of_a_plain_count(batch: list[str]) -> None:
    columns = FineWeb().measure(TextBatch(pa.array(batch, pa.string())))
    for document, text in enumerate(batch):
        assert {name: values[document].as_py() for name, values in columns.items()} == twin(text)


@pytest.mark.parametrize(
    ("field", "text", "verdict"),
    [
        ("min_line_end_punctuation", "Yes!\n" * 3 + "no\n" * 22, None),
        ("min_line_end_punctuation", "Yes!\n" * 3 + "no\n" * 23, "line_end_punctuation"),
        ("min_line_end_punctuation", "はい。\n" + "no\n" * 7, None),
        ("min_line_end_punctuation", "Yes. \n", "line_end_punctuation"),
        ("max_short_lines", "x" * 30 + "\n" + "x" * 31, None),
        ("max_short_lines", ("x" * 30 + "\n") * 67 + ("x" * 31 + "\n") * 33, None),
        ("max_short_lines", ("x" * 30 + "\n") * 68 + ("x" * 31 + "\n") * 32, "short_lines"),
        ("max_char_duplicates", "a\na\n" + "b" * 98, None),
        ("max_char_duplicates", "a\na\n" + "b" * 97, "char_duplicates"),
        ("max_newline_ratio", "a\nb\nc\nd e f g h i j", None),
        ("max_newline_ratio", "a\nb\nc\nd e f g h i", "newline_ratio"),
        ("max_newline_ratio", "\n\n \n", "no_lines"),
        ("max_newline_ratio", None, "unmeasured"),
    ],
)
def test_on_both_sides_of_the_threshold(reason: Reason, field: str, text: str | None, verdict: str | None) -> None:
    assert reason(FineWeb, field, text) == verdict


def test_how_short_a_short_line_is_can_be_changed(reason: Reason) -> None:
    assert reason(FineWeb, "max_short_lines", "x" * 30, short_line_length=29) is None
    assert FineWeb().measuring() != FineWeb(short_line_length=29).measuring()
    assert FineWeb().measuring() == FineWeb(max_short_lines=None).measuring()
