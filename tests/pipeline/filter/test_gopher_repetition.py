"""Each rule of GopherRepetition on both sides of its threshold, and all measures against a plain count."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.filter.gopher_repetition import DUPLICATED, TOP, GopherRepetition
from pipeline.filter.text import TextBatch, split_words

Reason = Callable[..., str | None]
Measure = Callable[..., tuple[str, dict[str, Any]]]

LETTERS = ["aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii", "jj"]
DEFAULTS = GopherRepetition()


def repeated(pieces: list[str]) -> tuple[int, int]:
    """(number, characters) of the pieces that were there before."""
    seen: set[str] = set()
    again = []
    for piece in pieces:
        if piece in seen:
            again.append(piece)
        seen.add(piece)
    return len(again), sum(map(len, again))


def top(words: list[str], n: int) -> int:
    """Characters under the most frequent n-gram, the first of several (a Counter keeps the order of its keys)."""
    counts = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(counts.values(), default=0)
    return next((len(ngram) * count for ngram, count in counts.items() if count == most), 0)


def duplicated(words: list[str], n: int) -> int:
    """Characters of the n-grams that were there before, walking behind each that is found."""
    seen: set[str] = set()
    at = characters = 0
    while at + n <= len(words):
        ngram = "".join(words[at : at + n])
        if ngram in seen:
            characters += len(ngram)
            at += n
        else:
            seen.add(ngram)
            at += 1
    return characters


def twin(text: str) -> dict[str, float]:
    """All measures of a text, counted one after another."""
    paragraphs, lines = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)
    words = split_words(text)
    measures: dict[str, float] = {"characters": len(text)}
    for name, pieces in (("paragraph", paragraphs), ("line", lines)):
        number, characters = repeated(pieces)
        measures |= {f"duplicate_{name}s": number / len(pieces), f"duplicate_{name}_chars": characters / len(text)}
    measures |= {f"top_{n}_gram": top(words, n) / len(text) for n in TOP}
    return measures | {f"duplicate_{n}_grams": duplicated(words, n) / len(text) for n in DUPLICATED}


words = st.sampled_from(["a", "b", "ab", "ba", "aab", "abcdefgh", "the", "中", "é", "."])
prose = st.lists(words, max_size=60).map(" ".join)
paged = st.lists(st.one_of(words, st.sampled_from(["\n", "\n\n", " "])), max_size=60).map("".join)


@given(st.lists(st.one_of(prose, paged).filter(bool), max_size=4))
@example(["a b a b", "a a", "a"])
@example(["ab c d e f x abc d e f x ab c d e f"])
@example(["x a", "x b", "x c"])  # the last word of one may not stand for the next document
def test_measures_are_those_of_a_plain_count(batch: list[str]) -> None:
    columns = GopherRepetition().measure(TextBatch(pa.array(batch, pa.string())))
    for document, text in enumerate(batch):
        assert {name: values[document].as_py() for name, values in columns.items()} == twin(text)


def on_both_sides(text: str, characters: int, limit: float) -> tuple[str, str]:
    """The text, with one more word, so long that the characters are just no more than the limit, and just more."""
    length = next(length for length in range(1, 1000) if characters / length <= limit)
    enough = text + " " + "x" * (length - len(text) - 1)
    return enough, enough[:-1]


@pytest.mark.parametrize("n", TOP)
def test_the_most_frequent_ngram_counts_with_its_spaces(reason: Reason, n: int) -> None:
    ngram = " ".join(LETTERS[:n])
    few, many = on_both_sides(f"{ngram} z {ngram}", 2 * len(ngram), getattr(DEFAULTS, f"max_top_{n}_gram"))
    assert reason(GopherRepetition, f"max_top_{n}_gram", few) is None
    assert reason(GopherRepetition, f"max_top_{n}_gram", many) == f"top_{n}_gram"


@pytest.mark.parametrize("n", DUPLICATED)
def test_a_duplicated_ngram_counts_once_without_its_spaces(reason: Reason, n: int) -> None:
    ngram = " ".join(LETTERS[:n])
    few, many = on_both_sides(f"{ngram} z {ngram}", 2 * n, getattr(DEFAULTS, f"max_duplicate_{n}_grams"))
    assert reason(GopherRepetition, f"max_duplicate_{n}_grams", few) is None
    assert reason(GopherRepetition, f"max_duplicate_{n}_grams", many) == f"duplicate_{n}_grams"


def test_ngrams_are_the_same_wherever_their_words_are_split(measure: Measure) -> None:
    text = "the web site for me x the website for me x"
    assert measure(DEFAULTS, text)[1]["duplicate_5_grams"] == 0
    text = "the web site for me, the webs ite for me"
    assert measure(DEFAULTS, text)[1]["duplicate_5_grams"] == len("thewebsiteforme") / len(text)


def test_three_tenths_of_lines_may_be_duplicates(reason: Reason) -> None:
    assert reason(GopherRepetition, "max_duplicate_lines", "a\nb\nc\nd\ne\nf\ng\na\na\na") is None
    assert reason(GopherRepetition, "max_duplicate_lines", "a\nb\nc\nd\ne\nf\na\na\na") == "duplicate_lines"


def test_three_tenths_of_paragraphs_may_be_duplicates(reason: Reason) -> None:
    assert reason(GopherRepetition, "max_duplicate_paragraphs", "\n\n".join("abcdefgaaa")) is None
    assert reason(GopherRepetition, "max_duplicate_paragraphs", "\n\n".join("abcdefaaa")) == "duplicate_paragraphs"


def test_a_fifth_of_the_characters_may_be_in_duplicate_lines(reason: Reason) -> None:
    assert reason(GopherRepetition, "max_duplicate_line_chars", "aaaa\nbbbbbbbbbb\naaaa") is None
    assert reason(GopherRepetition, "max_duplicate_line_chars", "aaaa\nbbbbbbbbb\naaaa") == "duplicate_line_chars"


def test_a_fifth_of_the_characters_may_be_in_duplicate_paragraphs(reason: Reason) -> None:
    field = "max_duplicate_paragraph_chars"
    assert reason(GopherRepetition, field, "aaaa\n\nbbbbbbbb\n\naaaa") is None
    assert reason(GopherRepetition, field, "aaaa\n\nbbbbbbb\n\naaaa") == "duplicate_paragraph_chars"


def test_no_text_is_dropped_and_a_missing_one_is_unmeasured(reason: Reason) -> None:
    assert reason(GopherRepetition, "max_duplicate_lines", "") == "empty_text"
    assert reason(GopherRepetition, "max_duplicate_lines", None) == "unmeasured"
    assert reason(GopherRepetition, "max_duplicate_lines", "a") is None
