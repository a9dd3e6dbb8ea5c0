"""Text never becomes markup, whatever it says."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.markup import Markup, escape, join, tag


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onclick='", "&lt;b&gt;"]
)
def test_hostile_text_comes_back_as_the_same_text(text: str) -> None:
    assert html.unescape(escape(text)) == text
    assert not set("<>\"'") & set(escape(text))


def test_children_and_attributes_are_escaped_unless_they_are_markup() -> None:
    made = tag("p", "<b>", tag("b", "bold"), title='a "quote"')
    assert made == '<p title="a &quot;quote&quot;">&lt;b&gt;<b>bold</b></p>'


def test_joined_strings_stay_escaped() -> None:
    assert join(["<", Markup("<br>"), None, 3], " & ") == "&lt; &amp; <br> &amp; 3"


def test_putting_markup_together_with_text_by_hand_gives_text() -> None:
    assert not isinstance(Markup("<b>") + "<script>", Markup)


def test_control_characters_and_overrides_of_direction_are_shown_as_what_they_are_not() -> None:
    assert escape("a\x00b\u202egpj.exe\u2066") == "a\ufffdb\ufffdgpj.exe\ufffd"


def test_line_breaks_and_tabs_stay() -> None:
    assert escape("a\n\tb") == "a\n\tb"


def test_names_of_attributes_follow_python_s_rules() -> None:
    assert tag("i", class_="x", aria_label="y", hidden=None, viewBox="0 0 1 1") == (
        '<i class="x" aria-label="y" viewBox="0 0 1 1"></i>'
    )


def test_an_element_s_name_is_not_taken_from_text() -> None:
    with pytest.raises(ValueError, match="not an element's name"):
        tag("b onclick=x")


@given(st.text())
def test_no_text_escapes(text: str) -> None:
    escaped = escape(text)
    assert not set("<>\"'") & set(escaped)
    assert tag("p", text) == f"<p>{escaped}</p>"
