"""What labellers read: all of a text, and nothing that hides in it or steers the page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.kinds.kind import LIMIT, InvalidSampleError
from labeling.kinds.texts import conversation, harmless, prompt, shown, storable, visible
from pipeline.poison.visible import visible as reference


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a\r\nb\rc\n\td", "a\nb\nc\n\td"),
        ("null \0 and bell \a\a\a", "null ‹U+0000› and bell ‹U+0007×3›"),
        ("\u202egnp.exe", "‹U+202E›gnp.exe"),
        ("\u2066x\u2069", "‹U+2066›x‹U+2069›"),
        ("half \ud83d", "half ‹U+D83D›"),
        ("می\u200cخواهم, 👩\u200d🚀, שלום\u200f!", "می\u200cخواهم, 👩\u200d🚀, שלום\u200f!"),
        ("<script>alert(1)</script> &amp; $left", "<script>alert(1)</script> &amp; $left"),
        ("", ""),
    ],
)
def test_what_steers_a_page_is_named_and_what_languages_need_stays(text: str, read: str) -> None:
    assert harmless(text) == read


def test_of_a_text_under_suspicion_all_that_is_unseen_is_named() -> None:
    assert visible("a\u200b\u200b\u200bb\u00adc\U000e0041d\ufe0fe\u200c") == (
        "a‹U+200B×3›b‹U+00AD›c‹U+E0041›d‹U+FE0F›e‹U+200C›"
    )


@given(
    st.text(
        st.characters() | st.sampled_from("\u200b\u202e\u00ad\u034f\ufe0f\U000e0041\x00\x85\u2028ab \n\t"), max_size=30
    )
)
def test_labellers_see_what_the_filter_shows(text: str) -> None:
    assert visible(text) == reference(text.replace("\r\n", "\n").replace("\r", "\n"))


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_what_is_stored_and_sent_is_utf8_without_null(text: str) -> None:
    for sent in (storable(text), harmless(storable(text)), visible(storable(text))):
        assert "\0" not in sent
        assert sent.encode().decode() == sent
    assert storable(storable(text)) == storable(text)


def test_a_conversation_keeps_roles_texts_and_calls_alone() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "calculator", "arguments": "12*34"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "12"}, {"type": "text", "text": "*34?"}], "name": "jo"},
        {"role": "assistant", "content": None, "tool_calls": [call], "train": False},
        {"role": "tool", "content": "408", "tool_call_id": "1"},
    ]
    kept = conversation(messages, "messages")
    del call["id"]
    assert kept == [
        {"role": "user", "content": "12*34?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "408"},
    ]
    assert shown(kept) == [
        {"who": "User", "text": "12*34?"},
        {"who": "Assistant", "text": "[calls calculator: 12*34]"},
        {"who": "Tool", "text": "408"},
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "messages is missing"),
        ([], "messages is a list; expected a text or a list of messages"),
        (7, "messages is a number"),
        ([{"content": "x"}], "messages, message 1 has no role"),
        ([{"role": ["user"], "content": "x"}], "message 1 has no role"),
        ([{"role": "user", "content": 3}], "message 1 is a number; expected a text"),
        ([{"role": "user", "content": [{"image_url": "x"}]}], "a part that is no text"),
        ([{"role": "assistant", "content": "x"}], "ends with the assistant"),
        ([{"role": "user", "content": " "}], "messages is empty"),
        ([{"role": "user", "content": "x" * (LIMIT + 1)}], "at most 200,000 can be labelled"),
        ([{"role": "user", "content": "x" * LIMIT}, {"role": "user", "content": "y"}], "more than 200,000"),
        ([{"role": "assistant", "tool_calls": [{"function": {}}]}, {"role": "tool"}], "a tool call without a name"),
        ([{"role": "assistant", "tool_calls": 3}, {"role": "tool"}], "a tool call without a name"),
    ],
)
def test_what_is_no_prompt_is_refused_with_the_place(value: object, reason: str) -> None:
    with pytest.raises(InvalidSampleError, match=reason):
        prompt(value, "messages")
