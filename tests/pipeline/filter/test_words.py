"""What a word and a sentence are, and that the splitter over a batch finds what a walk over the characters finds."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.filter import characters as ch
from pipeline.filter.text import TextBatch, split_sentences, split_words

ODD = "ab Ab1٣.,:'’_-#…!?\n\r\t\u00a0\u0301\u200b\u200d\ufeff中カー한ग़्😀🏽👩\u0000\u2028\U000e0041"
texts = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=40)


def walk(text: str) -> list[str]:
    """The splitter's rules, character by character."""
    kinds, flags = ch.tables()

    def kind(at: int) -> int:
        return int(kinds[ord(text[at])]) if 0 <= at < len(text) else ch.SPACE

    def base(at: int) -> int:
        while kind(at) == ch.EXTEND:
            at -= 1
            if kind(at) == ch.SPACE:
                return ch.LETTER
        return kind(at)

    def joint(at: int) -> bool:
        before, after = base(at - 1), kind(at + 1)
        digits, letters = before == after == ch.DIGIT, before == after == ch.LETTER
        if kind(at) == ch.MID_WORD:
            if letters and text[at] == ".":
                return not (flags[ord(text[at - 1])] & ch.LOWER and flags[ord(text[at + 1])] & ch.UPPER)
            return letters or digits
        if kind(at) == ch.MID_NUMBER:
            return digits
        return kind(at) == ch.UNDERSCORE and {before, after} <= {ch.LETTER, ch.DIGIT}

    def goes_on(at: int) -> bool:
        """The character belongs to the word of the one before it."""
        before, here = base(at - 1), kind(at)
        if at == 0 or before == ch.SPACE:
            return False
        if here in (ch.EXTEND, ch.BREAK_AFTER) or joint(at) or joint(at - 1):
            return True
        if text[at - 1] == "\u200d" and before == ch.SIGN and here == ch.SIGN:
            return True
        wordlike = {ch.LETTER, ch.DIGIT}
        return (before in wordlike and here in wordlike) or (here >= ch.SIGN and text[at] == text[at - 1])

    words: list[str] = []
    for at, character in enumerate(text):
        if goes_on(at):
            words[-1] += character
        elif kind(at) != ch.SPACE:
            words.append(character)
    return words


@given(st.lists(st.one_of(st.none(), texts), max_size=5))
@example(["", None, "a.b", "a.", "B"])
@example(["👩\u200d", "👩"])
def test_a_batch_is_split_as_each_text_is(batch: list[str | None]) -> None:
    view = TextBatch(pa.array(batch, pa.string()))
    words = [view.joined[start:end] for start, end in zip(view.words.start, view.words.end, strict=True)]
    offsets = view.word_offsets
    assert len(offsets) == len(batch) + 1
    for document, text in enumerate(batch):
        assert words[offsets[document] : offsets[document + 1]] == walk(text or "")


@given(texts)
def test_words_are_all_that_is_not_space(text: str) -> None:
    assert "".join(split_words(text)) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop!", ["Don't", "stop", "!"]),
        ("It costs $3.14, or 1,000 at 12:30.", "It costs $ 3.14 , or 1,000 at 12:30 .".split()),
        ("see example.com/a_b", ["see", "example.com", "/", "a_b"]),
        ("the end.Next one", ["the", "end", ".", "Next", "one"]),
        ("well-known -- so... what?!", ["well", "-", "known", "--", "so", "...", "what", "?", "!"]),
        ("“L’été”", ["“", "L’été", "”"]),
        ("中文字 カタ한국어 말", ["中", "文", "字", "カ", "タ", "한국어", "말"]),
        ("か\u3099き", ["か\u3099", "き"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("क्या है?", ["क्या", "है", "?"]),
        ("👩\u200d💻👍🏽 🎉🎉", ["👩\u200d💻", "👍🏽", "🎉🎉"]),
        ("\ufeffFirst zero\u200bwidth", ["\ufeff", "First", "zero\u200b", "width"]),
    ],
)
def test_words_of(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("A line\nis a sentence", ["A line", "is a sentence"]),
        ("Mr. Smith met J. K. Rowling, e.g. here.", ["Mr. Smith met J. K. Rowling, e.g. here."]),
        ("So do I. Then we left.", ["So do I.", "Then we left."]),
        ("Wait... what", ["Wait... what"]),
        ("It costs 3.14 at example.com now.", ["It costs 3.14 at example.com now."]),
        ("今日は。明日は？", ["今日は。", "明日は？"]),
        ("यह है। वह है।", ["यह है।", "वह है।"]),
        ("Really?!! Yes.", ["Really?!!", "Yes."]),
        (" \n ", []),
        ("", []),
    ],
)
def test_sentences_of(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@given(st.lists(st.text("aB .!?…\n。", max_size=30), max_size=4))
def test_sentences_of_a_batch_are_those_of_each_text(batch: list[str]) -> None:
    counts = TextBatch(pa.array(batch, pa.string())).sentences.tolist()
    assert counts == [len(split_sentences(text)) for text in batch]


@given(texts)
def test_sentences_cut_nothing_but_space(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_a_word_is_punctuation_when_all_of_it_is() -> None:
    view = TextBatch(pa.array(["a-b ... 5 $ • © -1"]))
    assert view.is_punctuation.tolist() == [False, True, False, True, False, True, False, False, True, False]
    assert view.has_letter.tolist() == [True, False, True, *[False] * 7]


def test_letters_and_spaces_are_those_of_python() -> None:
    kinds, flags = ch.tables()
    for code in range(0x40000):
        character = chr(code)
        assert (kinds[code] == ch.SPACE) == character.isspace()
        assert bool(flags[code] & ch.ALPHABETIC) == character.isalpha()
        assert bool(flags[code] & ch.LINE_BREAK) == (len(f"a{character}b".splitlines()) == 2)
