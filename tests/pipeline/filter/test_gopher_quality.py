"""Each rule of GopherQuality on both sides of its threshold."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pipeline.filter.characters import punctuation
from pipeline.filter.gopher_quality import GopherQuality
from pipeline.filter.text import TextBatch, split_words

Reason = Callable[..., str | None]


def twin(text: str) -> dict[str, float | None]:
    """All measures of a text, counted one after another."""
    words, lines = split_words(text), text.splitlines()
    proper = [word for word in words if any(character not in punctuation() for character in word)]
    signs = max(text.count("#"), text.count("...") + text.count("…"))
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    ellipses = sum(line.rstrip().endswith(("...", "…")) for line in lines)
    letters = sum(any(character.isalpha() for character in word) for word in words)
    return {
        "words": len(proper),
        "mean_word_length": sum(map(len, proper)) / len(proper) if proper else None,
        "symbol_ratio": signs / len(words) if words else None,
        "bullet_lines": bullets / len(lines) if lines else None,
        "ellipsis_lines": ellipses / len(lines) if lines else None,
        "alphabetic_words": letters / len(words) if words else None,
        "stop_words": len(set(GopherQuality().stop_words) & set(words)),
    }


pieces = st.sampled_from(
    [" ", "\n", "\r\n", "..", ".", "…", "#", "•", "-", "the", "The", "of", "a1", "7", "$", "中", "\u2028"]
)


@given(st.lists(st.one_of(st.lists(pieces, max_size=20).map("".join), st.text(max_size=10)), max_size=4))
def test_measures_are_those_of_a_plain_count(batch: list[str]) -> None:
    columns = GopherQuality().measure(TextBatch(pa.array(batch, pa.string())))
    for document, text in enumerate(batch):
        assert {name: values[document].as_py() for name, values in columns.items()} == twin(text)


def test_50_words_are_enough(reason: Reason) -> None:
    assert reason(GopherQuality, "min_words", "word, " * 50) is None


def test_49_words_are_not(reason: Reason) -> None:
    assert reason(GopherQuality, "min_words", "word, " * 49) == "too_few_words"


@pytest.mark.parametrize(("words", "verdict"), [(100_000, None), (100_001, "too_many_words")])
def test_100_000_words_are_not_too_many(reason: Reason, words: int, verdict: str | None) -> None:
    assert reason(GopherQuality, "max_words", "a. " * words) == verdict


@pytest.mark.parametrize(
    ("field", "text", "verdict"),
    [
        ("min_mean_word_length", "a five5 . . .", None),
        ("min_mean_word_length", "a four . . .", "mean_word_length"),
        ("max_mean_word_length", "nine_nine elevenchars", None),
        ("max_mean_word_length", "tencharss1 elevenchars", "mean_word_length"),
        ("max_symbol_ratio", "# " + "word " * 9, None),
        ("max_symbol_ratio", "# " + "word " * 8, "symbol_ratio"),
        ("max_symbol_ratio", "... " + "word " * 9, None),
        ("max_symbol_ratio", "…… " + "word " * 9, "symbol_ratio"),
        ("max_symbol_ratio", "...... " + "word " * 9, "symbol_ratio"),
        ("max_bullet_lines", "- a\n" * 9 + "b", None),
        ("max_bullet_lines", " • a\n" * 10 + "b", "bullet_lines"),
        ("max_ellipsis_lines", "a... \n" * 3 + "b\n" * 7, None),
        ("max_ellipsis_lines", "a…\n" * 3 + "b\n" * 6, "ellipsis_lines"),
        ("min_alphabetic_words", "a b c d 5", None),
        ("min_alphabetic_words", "a b c 5", "alphabetic_words"),
        ("min_alphabetic_words", "中 文 字 、", "alphabetic_words"),
        ("min_alphabetic_words", "中 文 字 是 、", None),
        ("min_stop_words", "the word of", None),
        ("min_stop_words", "the word the The", "stop_words"),
    ],
)
def test_on_both_sides_of_the_threshold(reason: Reason, field: str, text: str, verdict: str | None) -> None:
    assert reason(GopherQuality, field, text) == verdict


def test_a_missing_text_is_unmeasured_and_an_empty_one_has_no_words(reason: Reason) -> None:
    assert reason(GopherQuality, "min_words", None) == "unmeasured"
    assert reason(GopherQuality, "min_words", "") == "too_few_words"


def test_a_mean_of_no_words_is_unmeasured(reason: Reason) -> None:
    assert reason(GopherQuality, "min_mean_word_length", "...") == "unmeasured"


def test_other_stop_words_are_other_measures(reason: Reason) -> None:
    assert reason(GopherQuality, "min_stop_words", "der Hund und die Katze", stop_words=("der", "die", "und")) is None
    assert GopherQuality().measuring() != GopherQuality(stop_words=("der", "die")).measuring()
    assert GopherQuality().measuring() == GopherQuality(min_words=3, min_stop_words=None).measuring()


def test_a_rule_that_is_none_is_off() -> None:
    off: dict[str, Any] = {
        field.name: None for field in dataclasses.fields(GopherQuality) if field.name != "stop_words"
    }
    assert GopherQuality(**off).rules() == ()


def test_contradictions_say_what_to_change() -> None:
    with pytest.raises(
        ValueError, match=r"^gopher_quality.min_words is 500000, more than max_words \(100000\); no doc"
    ):
        GopherQuality(min_words=500_000)
    with pytest.raises(ValueError, match="Lower min_mean_word_length or raise max_mean_word_length"):
        GopherQuality(min_mean_word_length=11)
    with pytest.raises(ValueError, match="min_stop_words is 9"):
        GopherQuality(min_stop_words=9)


@pytest.mark.parametrize(
    "recipe", [{"min_wrods": 5}, {"min_words": -1}, {"max_bullet_lines": 1.5}, {"min_words": 10, "max_words": 9}]
)
def test_a_recipe_is_checked(recipe: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(GopherQuality).validate_python(recipe)


def test_a_recipe_may_turn_rules_off() -> None:
    block = TypeAdapter(GopherQuality).validate_python({"min_words": None, "max_symbol_ratio": 0.2})
    assert block == GopherQuality(min_words=None, max_symbol_ratio=0.2)
