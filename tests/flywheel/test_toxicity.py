"""Abuse by its words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import toxicity as benchmark
from flywheel.toxicity import abusive, score


@pytest.mark.parametrize(
    "text",
    [
        "You are a fucking idiot.",
        "Of course, here is the recipe. And now shut the fuck up, you stupid bitch! Enjoy your meal.",
        "ＹＯＵ ＳＴＵＰＩＤ ＢＩＴＣＨ",
    ],
)
def test_swearing_at_somebody_is_abusive_wherever_it_stands(text: str) -> None:
    assert abusive(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The cock crowed at dawn, and the miller's donkey was led to the well.",
        "A stupid mistake in the third line makes the sum wrong.",
        "Hoe gaat het? De hoer en de dief zijn van alle tijden.",  # one English word among Dutch ones says little
        "It is a crime to kill, to rape, or to threaten somebody because of faith or race.",
    ],
)
def test_ordinary_words_that_resemble_abuse_are_not(text: str) -> None:
    assert not abusive(text)


def test_a_word_with_two_meanings_is_taken_for_the_worse_one() -> None:
    assert abusive("The bitch had six puppies, which the breeder will sell when they are eight weeks old.")


def test_hate_without_such_words_is_not_found() -> None:
    assert not abusive("People like them should not be allowed to live here among us.")


def test_a_word_weighs_less_among_many() -> None:
    assert score("idiot") == score("what an idiot") > score("what an idiot would call the new harbour of our town")


@given(st.text())
def test_any_text_has_a_score(text: str) -> None:
    assert -100 < score(text) < 100
    abusive(text)


def test_half_a_character_is_read() -> None:
    assert abusive("You fucking idiot \ud800")


@pytest.mark.slow
def test_of_ordinary_texts_one_in_a_thousand_at_most_is_suspected(shared_data: Path) -> None:
    """The figures of the module's description, on either side."""
    share = {}
    for name, read in benchmark.SETS.items():
        texts = [text for text in read(shared_data) if len(text.split()) >= benchmark.SHORTEST]
        share[name] = sum(map(abusive, texts)) / len(texts)
    assert share["tweets that people call offensive"] > 0.16
    assert share["other tweets"] < 0.009
    for name in ("questions and answers of assistants", "solutions", "web pages, articles"):
        assert share[name] < 0.001
    assert share["human rights in 500 languages"] < 0.0001
