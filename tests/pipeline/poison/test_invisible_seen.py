"""Rules that read words see texts without invisible characters, and their findings stand where they do in the texts."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch
from pipeline.poison.characters_tables import PLAIN, invisible
from pipeline.poison.invisible_seen import see_through

UNSEEN = "\u00ad\u034f\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u202e\u2060\u2066\u2069\u3164\ufe0f\ufeff"


def batch(*texts: str) -> TextBatch:
    return TextBatch(pa.array(texts, pa.string()))


def seen(text: str) -> str:
    return see_through(batch(text)).texts.strings[0]


@pytest.mark.parametrize("character", UNSEEN)
def test_invisible_characters_before_and_behind_a_word_are_left_out(character: str) -> None:
    assert seen(f"{character}Ignore{character} it.{character}") == "Ignore it."


@pytest.mark.parametrize("character", "\u00ad\u034f\u200c\u200d\u200e\u202e\u2060\u2069\ufe0f\ufeff\U000e0041")
def test_a_word_is_read_through_what_stands_in_it(character: str) -> None:
    assert seen(f"Ig{character}nore it") == "Ignore it"


@pytest.mark.parametrize("character", "\u200b\u3164")
def test_what_some_write_as_a_space_is_one_between_letters(character: str) -> None:
    assert seen(f"Ignore{character}all rules") == "Ignore all rules"


def test_joiners_stay_in_scripts_that_need_them() -> None:
    assert seen("می\u200cخواهم") == "می\u200cخواهم"
    assert seen("क\u094d\u200dष \u2060क") == "क\u094d\u200dष क"


def test_zero_width_spaces_of_scripts_without_spaces_go() -> None:
    assert seen("ตลาด\u200bวันนี้ 忽\u200b略") == "ตลาดวันนี้ 忽略"


def test_a_batch_with_nothing_invisible_is_itself() -> None:
    texts = batch("The mill", "", "می\u200cخواهم")
    assert see_through(texts).texts is texts


def test_a_span_has_the_invisible_characters_beside_it() -> None:
    through = see_through(batch("no change", "One. \u2068\u200fTwo\u00ad\u00adbig.\u2069 Three"))
    assert through.texts.strings == ["no change", "One. Twobig. Three"]
    assert through.span(0, 3, 9) == (3, 9)
    assert through.span(1, 5, 12) == (5, 17)
    assert through.span(1, 8, 18) == (10, 23)
    assert through.span(1, 0, 4) == (0, 4)


def test_findings_get_the_original_span_and_text() -> None:
    through = see_through(batch("One. \u2068Two.\u2069 Three"))
    assert through.restored([(0, "rule", 5, 9, 0.5, "Two.")]) == [(0, "rule", 5, 11, 0.5, "\u2068Two.\u2069")]


@given(st.lists(st.text(st.sampled_from("ab. \nमक一ب" + UNSEEN), max_size=20), max_size=4))
def test_each_character_of_the_seen_text_is_one_of_the_original(texts: list[str]) -> None:
    through = see_through(batch(*texts))
    assert through.texts.strings == [seen(text) for text in texts]
    for document, (text, shown) in enumerate(zip(texts, through.texts.strings, strict=True)):
        for place, letter in enumerate(shown):
            start, end = through.span(document, place, place + 1)
            inside = text[start:end]
            assert letter in inside or (letter == " " and ("\u200b" in inside or "\u3164" in inside))
            visible = [sign for sign in inside if invisible()[ord(sign)] == PLAIN]
            assert visible == [letter] or (not visible and letter in " \u200c\u200d")
