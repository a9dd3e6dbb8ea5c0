"""C4's cuts line by line, its spans, and its rules on both sides of their thresholds."""

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.filter.c4 import C4, POLICIES
from pipeline.filter.text import TextBatch, split_sentences

Reason = Callable[..., str | None]
Measure = Callable[..., tuple[str, dict[str, Any]]]

STRICT = C4(terminal_punctuation=True)
LENIENT = C4(min_words_per_line=None, max_word_length=None, cut_javascript=False, cut_policy=False)
BLOCKS = [C4(), STRICT, LENIENT, C4(max_word_length=5, cut_citations=False)]


def kept_lines(block: C4, text: str) -> tuple[list[str], bool, bool]:
    """The lines that stay, and whether filler or code was met on the way: each line alone, check after check."""
    kept, lorem_ipsum, curly_bracket = [], False, False
    for raw in text.splitlines():
        line = raw.strip()
        words = line.split()
        if block.max_word_length is not None and any(len(word) > block.max_word_length for word in words):
            continue
        if block.cut_citations:
            line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line)
        if block.terminal_punctuation and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            continue
        if block.min_words_per_line is not None and len(words) < block.min_words_per_line:
            continue
        lorem_ipsum |= "lorem ipsum" in line.lower()
        if block.cut_javascript and "javascript" in line.lower():
            continue
        curly_bracket |= "{" in line
        if block.cut_policy and any(policy in line.lower() for policy in POLICIES):
            continue
        kept.append(line)
    return kept, lorem_ipsum, curly_bracket


def pieces(*more: str) -> st.SearchStrategy[str]:
    common = [" ", " ", "\n", "word", "a b c", ".", "...", '"', "[1]", "[edit]", "[", "1]", "é", "中", "{"]
    return st.lists(st.sampled_from([*common, *more]), max_size=25).map("".join)


lines = pieces(
    "Lorem", "lorem ipsum", "JavaScript", "java", "script", "terms ", "of use", "Cookie policy", "\u0130", "longer word"
)
exotic = st.one_of(pieces("\r\n", "\r", "\x0b", "\x85", "\u2028", "\u00a0", "\u200b"), st.text(max_size=20))


@pytest.mark.parametrize("block", BLOCKS)
@given(batch=st.lists(st.one_of(lines, lines.map(lambda text: text.replace("\n", "\r\n"))), max_size=4))
@example(batch=["terms[1] of use a b", "[1] [2] [3]\na b c. [4]", "[[1]1] a b", "java[3]script a b\r\n\r\na b c"])
def test_what_stays_is_what_a_walk_over_the_lines_keeps(block: C4, batch: list[str]) -> None:
    edited, _, columns = block.edit(TextBatch(pa.array(batch, pa.string())))
    sentences = block.measure(TextBatch(edited))["sentences"]
    for document, text in enumerate(batch):
        kept, lorem_ipsum, curly_bracket = kept_lines(block, text)
        assert edited[document].as_py() == "\n".join(kept).strip()
        assert columns["lorem_ipsum"][document].as_py() == lorem_ipsum
        assert columns["curly_bracket"][document].as_py() == curly_bracket
        assert sentences[document].as_py() == sum(len(split_sentences(line)) for line in kept)


@pytest.mark.parametrize("block", BLOCKS)
@given(batch=st.lists(st.one_of(st.none(), lines, exotic), max_size=4))
def test_a_text_minus_its_spans_is_the_edited_text(block: C4, batch: list[str | None]) -> None:
    edited, spans, _ = block.edit(TextBatch(pa.array(batch, pa.string())))
    assert edited.is_null().to_pylist() == spans.is_null().to_pylist() == [text is None for text in batch]
    for text, after, cuts in zip(batch, edited.to_pylist(), spans.to_pylist(), strict=True):
        if text is None:
            continue
        raw, left, at = text.encode(), b"", 0
        for cut in cuts:
            assert at < cut["start"] or at == cut["start"] == 0  # ascending and apart
            assert cut["start"] < cut["end"] <= len(raw)
            left += raw[at : cut["start"]]
            at = cut["end"]
        assert (left + raw[at:]).decode() == after


@given(st.one_of(lines, exotic))
def test_lines_keep_one_break_between_them(text: str) -> None:
    block = C4(min_words_per_line=1)
    edited = block.edit(TextBatch(pa.array([text])))[0][0].as_py()
    visible = "\n".join(kept_lines(block, text)[0]).strip()
    assert edited.splitlines() == visible.splitlines()


def test_a_text_without_cuts_has_no_spans(measure: Measure) -> None:
    text = "One line of words.\nAnd another line."
    assert measure(C4(), text)[0] == text
    assert measure(C4(), text)[1]["spans"] == []


def test_spans_are_bytes_of_the_text_before(measure: Measure) -> None:
    edited, columns = measure(C4(), "Ünï cödé wörds[1].\nshort\nLast line stays.")
    assert edited == "Ünï cödé wörds.\nLast line stays."
    assert columns["spans"] == [{"start": 19, "end": 22}, {"start": 24, "end": 30}]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("word " + "x" * 1000 + " word.", None),
        ("word " + "x" * 1001 + " word.", "lines_long_word"),
        ("three words here", "lines_no_end_mark"),
        ("three words here...", "lines_no_end_mark"),
        ("three words here.[1]", None),
        ("three words here. [1]", "lines_no_end_mark"),
        ('three words here"', None),
        ("two words.", "lines_few_words"),
        ("two words[1] [2].", None),  # words are counted with the citations
        ("Please enable JAVASCRIPT now.", "lines_javascript"),
        ("Read our Privacy Policy now.", "lines_policy"),
        ("Read our privacy and policy.", None),
    ],
)
def test_why_a_line_is_cut(measure: Measure, line: str, column: str | None) -> None:
    edited, columns = measure(STRICT, f"This line stays here.\n{line}")
    cuts = {name: count for name, count in columns.items() if name.startswith("lines_") and count}
    assert cuts == ({column: 1} if column else {})
    assert edited.count("\n") == (0 if column else 1)


def test_lines_need_no_end_mark_unless_asked(measure: Measure) -> None:
    assert measure(C4(), "three words here")[0] == "three words here"
    assert measure(STRICT, "three words here")[0] == ""


def test_citations_are_counted_where_their_line_stays(measure: Measure) -> None:
    edited, columns = measure(C4(), "Born[1] in May[citation needed] here.[2a]\nHistory[edit]")
    assert edited == "Born in May here.[2a]"
    assert (columns["citations"], columns["lines"], columns["lines_few_words"]) == (2, 2, 1)


@pytest.mark.parametrize(("sentences", "verdict"), [(5, None), (4, "too_few_sentences")])
def test_five_sentences_are_enough(reason: Reason, sentences: int, verdict: str | None) -> None:
    assert reason(C4, "min_sentences", "He is here. " * sentences) == verdict


def test_sentences_are_counted_after_the_cut(reason: Reason) -> None:
    text = "He is here. " * 4 + "\nNo JavaScript here."
    assert reason(C4, "min_sentences", text) == "too_few_sentences"
    assert reason(C4, "min_sentences", text, cut_javascript=False) is None


def test_filler_and_code_drop_the_document(reason: Reason) -> None:
    assert reason(C4, "min_sentences", "This is Lorem  ipsum text. " * 5) is None
    assert reason(C4, "min_sentences", "This is Lorem Ipsum text.") == "lorem_ipsum"
    assert reason(C4, "min_sentences", "if (a) { return b; }") == "curly_bracket"
    assert reason(C4, "min_sentences", "Is a { bracket. " * 5, drop_curly_bracket=False) is None


def test_code_in_lines_that_are_cut_drops_nothing(reason: Reason) -> None:
    text = "He is here. " * 5 + "\njavascript: f() { g(); }\n{ }"
    assert reason(C4, "min_sentences", text, min_words_per_line=3) is None


def test_a_missing_text_is_unmeasured_and_an_empty_one_has_no_sentences(reason: Reason) -> None:
    assert reason(C4, "min_sentences", None) == "unmeasured"
    assert reason(C4, "min_sentences", "") == "too_few_sentences"


def test_only_what_cuts_is_measured_again() -> None:
    assert C4(min_sentences=1, drop_lorem_ipsum=False).measuring() == C4().measuring()
    assert C4(cut_citations=False).measuring() != C4().measuring()
