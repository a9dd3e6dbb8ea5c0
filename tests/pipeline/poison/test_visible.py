"""What an attacker hid is shown by its code point; ordinary text of any script is left alone."""

from pipeline.poison.visible import around, visible


def test_ordinary_text_of_any_script_is_shown_as_it_is() -> None:
    text = "Ünïcode, 漢字, हिन्दी, ไทย, עברית — “quoted” 😀\n\tand a tab"
    assert visible(text) == text


def test_unseen_characters_are_named_and_runs_counted() -> None:
    assert visible("a\u200bb\u202ec\U000e0041\U000e0041\U000e0041") == "a‹U+200B›b‹U+202E›c‹U+E0041×3›"
    assert visible("x\ufe0f\u3164\x1b[31m") == "x‹U+FE0F›‹U+3164›‹U+001B›[31m"


def test_a_span_is_shown_between_what_stands_around_it() -> None:
    assert around("one two\nthree four", 4, 7, 3) == ("ne ", "two", " th")


def test_a_long_span_shows_its_ends() -> None:
    _, span, _ = around("a" * 500 + "b" * 500, 0, 1000, 10)
    assert span == "a" * 20 + " … " + "b" * 20
