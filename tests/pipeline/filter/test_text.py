"""The views of a batch against Python's own string methods."""

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.filter.text import KEPT_POWERS, Pieces, TextBatch, code_of, powers

BREAKS = "a \n\r\x0b\x1c\x85\u2028\t."
batches = st.lists(st.one_of(st.none(), st.text(BREAKS, max_size=20), st.text(max_size=8)), max_size=5)


def texts_of(view: TextBatch, pieces: Pieces) -> list[list[str]]:
    """The pieces of each document."""
    found: list[list[str]] = [[] for _ in range(len(view))]
    for start, end, document in zip(pieces.start, pieces.end, pieces.document, strict=True):
        found[document].append(view.joined[start:end])
    return found


SPLITS: dict[str, Callable[[str], list[str]]] = {
    "lines": str.splitlines,
    "newline_pieces": lambda text: text.split("\n"),
    "newline_run_pieces": lambda text: re.split(r"\n+", text),
    "paragraphs": lambda text: re.split(r"\n{2,}", text.strip()),
}


@pytest.mark.parametrize("view", SPLITS)
@given(batch=batches)
@example(batch=["", None, "\n", "\n\n", "\r\n", "a\r\n\nb\n\n", "\n\n a \n\n"])
def test_pieces_are_those_of_python(view: str, batch: list[str | None]) -> None:
    texts = TextBatch(pa.array(batch, pa.string()))
    assert texts_of(texts, getattr(texts, view)) == [SPLITS[view](text or "") for text in batch]


@given(batches)
def test_stripped_lines_are_those_of_python(batch: list[str | None]) -> None:
    texts = TextBatch(pa.array(batch, pa.string()))
    stripped = texts_of(texts, texts.stripped(texts.lines))
    assert stripped == [[line.strip() for line in (text or "").splitlines()] for text in batch]


@given(st.lists(st.text(max_size=10), max_size=5))
def test_a_text_has_one_hash_wherever_it_stands(batch: list[str]) -> None:
    texts = TextBatch(pa.array(["front", *batch], pa.string()))
    assert texts.codes(texts.documents).tolist() == [code_of(text) for text in ["front", *batch]]


def test_a_hash_counts_what_is_zero() -> None:
    assert len({code_of("a\0" * n) for n in range(5)} | {code_of("\0" * n) for n in range(5)}) == 9


def test_powers_are_the_same_kept_or_not() -> None:
    assert np.array_equal(powers(KEPT_POWERS + 1)[:1000], powers(1000)[:1000])


@given(st.text(st.sampled_from("aAİKΣß\n")), st.sampled_from(["a", "k", "aa"]))
def test_find_ignores_case(text: str, needle: str) -> None:
    texts = TextBatch(pa.array([text]))
    expected = [at for at in range(len(text)) if text[at : at + len(needle)].lower() == needle]
    assert (texts.find(needle) - 1).tolist() == expected


@pytest.mark.parametrize("batch", [[], [None], ["", None], [None, "a"]])
def test_nothing_has_no_words(batch: list[str | None]) -> None:
    texts = TextBatch(pa.array(batch, pa.string()))
    assert texts.word_counts.tolist() == [len(text or "") for text in batch]
    assert len(texts.sentences) == len(batch)


def test_slices_and_chunks_are_texts_too() -> None:
    array = pa.array(["x", "one two", None, "three"])
    assert TextBatch(array[1:]).word_counts.tolist() == [2, 0, 1]
    assert TextBatch(pa.chunked_array([array[:2], array[2:]])).word_counts.tolist() == [1, 2, 0, 1]


def test_where_there_is_no_whole_the_share_is_not_known() -> None:
    texts = TextBatch(pa.array(["a", "b", None]))
    assert texts.share(np.array([1, 1, 1]), np.array([2, 0, 2])).to_pylist() == [0.5, None, None]
