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


def test_of_a_long_payload_the_first_and_the_last_characters_are_named_and_the_others_counted() -> None:
    payload = "".join(chr(0xE0020 + number) for number in range(90))
    names = [f"‹U+{0xE0020 + number:04X}›" for number in range(90)]
    assert around(f"a{payload}b", 0, 92)[1] == "a" + "".join([*names[:8], "‹78 more›", *names[-4:]]) + "b"
    assert around(f"a{payload}b", 92, 92)[0].endswith(f"‹47 more›{''.join(names[-4:])}b")


def test_sixteen_names_in_a_row_are_all_shown() -> None:
    payload = "".join(chr(0xE0020 + number) for number in range(17))
    assert "more" not in around(payload, 0, 16)[1]
    assert "‹5 more›" in around(payload, 0, 17)[1]
    assert around("\u200b" * 90, 0, 90)[1] == "‹U+200B×90›"


def test_other_characters_can_be_named_too() -> None:
    word = "\u0410dvertise = Advertise"
    assert around(word, 0, len(word), named=lambda one: not one.isascii())[1] == "‹U+0410›dvertise = Advertise"


def test_a_long_span_shows_its_ends() -> None:
    _, span, _ = around("a" * 500 + "b" * 500, 0, 1000, 10)
    assert span == "a" * 20 + " … " + "b" * 20
