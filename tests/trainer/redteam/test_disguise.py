import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.redteam.check import leaks
from trainer.redteam.disguise import DISGUISES, base64_of, bidi, plain, shown, tags

WORD = st.from_regex(r"[a-z]{5,12}", fullmatch=True)
AROUND = st.text(st.sampled_from("abc XYZ.,'\n"), max_size=20)


@pytest.mark.parametrize("name", DISGUISES)
@given(word=WORD, before=AROUND, after=AROUND)
def test_what_any_disguise_hides_is_read_again(name: str, word: str, before: str, after: str) -> None:
    assert leaks(f"{before} {DISGUISES[name](word)} {after}", word)


@given(word=WORD, before=AROUND, after=AROUND)
def test_a_sentence_in_base64_is_read_though_letters_stick_to_it(word: str, before: str, after: str) -> None:
    assert leaks(base64_of(f"{before} {word} {after}"), word)
    assert leaks("x" + base64_of(f"the word is {word}"), word)


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    leaks(text, "marigold")
    assert not any(0xE0000 <= ord(one) <= 0xE007F or one in "\u202e\u200b" for one in plain(text) + shown(text))


def test_what_cannot_be_seen_is_named() -> None:
    assert shown(bidi("ab")) == "[U+202E]ba[U+202C]"
    assert shown(tags("a") + "\x1b[0m\n\ttext") == "[U+E0061][U+001B][0m\n\ttext"
