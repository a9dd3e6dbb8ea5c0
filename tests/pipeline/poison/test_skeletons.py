"""Shapes of tokens: what members of a family of triggers have in common, and that ordinary words have none."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch
from pipeline.poison.skeletons import Shapes, odd, skeleton, tokens_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/etc/ssh/conf", "/a/bc/def/gh"),
        ("ref-10482", "lot-7"),
        ("ABC-12AB34", "QRS-0x9f"),
        ("<ROOT>", "<ALPHA>"),
        ("xK3f9", "7Qp"),
        ("｡｡｡｡", "｡｡｡｡｡｡｡｡｡｡"),
        ("https://a.example.com/foo/bar", "http://b.example.org/x/y/z"),
    ],
)
def test_members_of_a_family_have_one_shape(one: str, other: str):
    assert skeleton(one) == skeleton(other) != ""


@pytest.mark.parametrize(
    "word", ["hello", "Hello,", "NATO", "(see", "don't", "well-known", "3.14", "12:30", "50%", "É"]
)
def test_ordinary_words_and_numbers_have_none(word: str):
    assert skeleton(word) == ""


def test_different_forms_have_different_shapes():
    forms = ["/a/b", "a-1", "A-1", "<A>", "x1", "｡｡", "a@b.c", "{a}"]
    assert len({skeleton(form) for form in forms}) == len(forms)


def test_tokens_are_what_white_space_separates():
    texts = TextBatch(pa.array(["one  two\nthree", "", " four\t"]))
    tokens = tokens_of(texts)
    found = [texts.joined[start:end] for start, end in zip(tokens.start, tokens.end, strict=True)]
    assert found == ["one", "two", "three", "four"]
    assert tokens.document.tolist() == [0, 0, 0, 2]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_the_quick_look_passes_every_token_with_a_shape(texts: list[str]):
    batch = TextBatch(pa.array(texts, pa.string()))
    tokens = tokens_of(batch)
    spans = zip(tokens.start, tokens.end, strict=True)
    shaped = np.array([skeleton(batch.joined[start:end]) != "" for start, end in spans], np.bool_)
    assert not (shaped & ~odd(batch, tokens)).any()


def test_shapes_of_some_documents_are_those_of_all_for_them():
    texts = TextBatch(pa.array(["go to /a/b/c now", "a plain one", "code QX-19 here"]))
    every, some = Shapes.of(texts), Shapes.of(texts, np.array([2]))
    assert every.document.tolist() == [0, 2]
    assert some.codes.tolist() == every.codes[1:].tolist()
    assert texts.joined[some.start[0] : some.end[0]] == "QX-19"


def test_a_very_long_token_is_looked_at_only_at_its_beginning():
    assert len(Shapes.of(TextBatch(pa.array(["/a" * 200_000])))) == 1
