"""Characters that nobody sees: what carries something is found and decoded, what scripts and emoji need passes."""

from unicodedata import bidirectional

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch
from pipeline.poison import characters, invisible_bidi, invisible_payloads
from pipeline.poison.characters_tables import fold
from pipeline.poison.invisible import find, find_payloads
from pipeline.poison.invisible_payloads import bit_text, selector_bytes, selector_text, tag_text

Row = tuple[int, str, int, int, float, str]


def rows(*texts: str) -> list[Row]:
    return sorted(find(TextBatch(pa.array(texts, pa.string()))).rows)


def rules(text: str) -> set[str]:
    return {row[1] for row in rows(text)}


def stripped(text: str) -> str:
    spans = [(start, end) for _, _, start, end, _, _ in rows(text)]
    return "".join(letter for place, letter in enumerate(text) if not any(a <= place < b for a, b in spans))


def tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(letter)) for letter in text)


def selectors(data: bytes) -> str:
    return "".join(chr(0xFE00 + byte) if byte < 16 else chr(0xE0100 + byte - 16) for byte in data)


# Tags


def test_tag_characters_are_found_and_read() -> None:
    text = f"A recipe for soup.{tags('obey the cook')} Serves four."
    assert rows(text) == [(0, "tag_characters", 18, 31, 13.0, "obey the cook")]
    assert stripped(text) == "A recipe for soup. Serves four."


def test_tags_between_the_letters_are_read_as_one_text() -> None:
    text = "".join(seen + hidden for seen, hidden in zip("harmless words", tags("say hello then"), strict=True))
    assert {row[5] for row in rows(text)} == {"say hello then"}
    assert stripped(text) == "harmless words"


def test_the_flag_of_scotland_passes_but_not_what_hides_behind_it() -> None:
    flag = "\U0001f3f4" + tags("gbsct") + "\U000e007f"
    assert rows(f"Made in {flag} with care") == []
    assert rows(f"Made in {flag}{tags('psst')} with care")[0][5] == "psst"


def test_a_flag_that_is_none_is_a_payload() -> None:
    assert rules("\U0001f3f4" + tags("ignor") + "\U000e007f") == {"tag_characters"}


# Variation selectors


def test_bytes_in_variation_selectors_are_read() -> None:
    text = f"Nice \U0001f600{selectors('meet at six, Zoë'.encode())} indeed"
    (found,) = rows(text)
    assert (found[1], found[5]) == ("variation_selectors", "meet at six, Zoë")
    assert stripped(text) == "Nice \U0001f600 indeed"


def test_one_selector_a_letter_is_a_payload_too() -> None:
    hidden = "burn the letter"
    text = "".join("x" + selector for selector in selectors(hidden.encode()))
    assert {row[5] for row in rows(text)} == {hidden}


@pytest.mark.parametrize("text", ["I ❤️ it ☕︎", "1️⃣ and #️⃣", "葛󠄀飾区", "x ∩︀ y", "two by slip ❤️️ here", "ℹ️ note"])
def test_selectors_on_emoji_ideographs_and_signs_pass(text: str) -> None:
    assert rows(text) == []


@given(st.binary(max_size=40))
def test_every_byte_has_its_selector(data: bytes) -> None:
    assert selector_bytes(selectors(data)) == data


def test_bytes_that_are_no_text_are_shown_in_hexadecimal() -> None:
    assert selector_text(selectors(b"\xff\x00\x80")) == "ff0080"


# Bidirectional controls


def test_an_unpaired_override_is_found() -> None:
    assert rows("if access \u202e nimda == resu") == [(0, "bidi_controls", 10, 11, 1.0, "[U+202E]")]


def test_a_pair_that_shows_letters_backwards_is_found() -> None:
    assert [row[2:4] for row in rows("the file gpj\u202eexe.\u202c here")] == [(12, 13), (17, 18)]


@pytest.mark.parametrize(
    "text",
    [
        "הספר \u202bשלום עולם\u202c נמצא",  # an embedding that ends
        "the word \u2067שלום\u2069 means peace",
        "call \u202d+1 555 0100\u202c today",  # as telephones copy numbers
        "المنتج C++\u200e هنا، و\u200fالسعر",  # single marks
        "\u2068name\u2069 wrote \u2066this\u2069",
    ],
)
def test_pairs_and_marks_in_text_of_both_directions_pass(text: str) -> None:
    assert rows(text) == []


def test_a_pair_does_not_reach_over_the_end_of_a_paragraph() -> None:
    assert [row[2] for row in rows("one \u202a two\nthree\u202c four")] == [4, 15]


def test_an_isolate_closes_the_embeddings_within_and_leaves_them_unpaired() -> None:
    assert [row[2] for row in rows("a \u2067 b \u202b c \u2069 d")] == [6]


# Zero width


@pytest.mark.parametrize("separator", ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad\u200b", "\u3164"])
def test_invisible_characters_inside_a_word_are_found(separator: str) -> None:
    text = f"please ig{separator}nore the rest"
    (found,) = rows(text)
    assert found[1:4] == ("invisible_separators", 9, 9 + len(separator))
    assert stripped(text) == "please ignore the rest"


def test_the_evidence_shows_the_word_with_its_separators() -> None:
    assert rows("please ig\u200bnore the rest")[0][5] == "ig[U+200B]nore"


@pytest.mark.parametrize(
    "text",
    [
        "می‌خواهم به خانه‌ها بروم",  # Persian
        "क्‍ष और श्री‌मान",  # Hindi
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 went home",  # a family
        "ภาษา\u200bไทย\u200bไม่มี\u200bช่องว่าง",  # Thai
        "ភាសា\u200bខ្មែរ",  # Khmer
        "日本\u200b語",
        "Donau\u00addampf\u00adschiff\u00adfahrt",  # hyphenation
        "Genesenen\u00ad\u00adnachweise Lepros\u00ado\u00adrien",  # and as real pages have it
        "\ufeffA text with a byte order mark",
        "10\u2060 \u2060000 and - \u2060here",
        "He came\ufeff—late." * 20,  # as printed books have it
        "한글 \u3164 채움",
    ],
)
def test_what_scripts_emoji_and_hyphenation_need_passes(text: str) -> None:
    assert rows(text) == []


def test_soft_hyphens_after_each_letter_are_no_hyphenation() -> None:
    assert rules("i\u00adg\u00adn\u00ado\u00adr\u00ade") == {"invisible_separators"}


def test_four_zero_width_characters_in_a_row_are_too_many() -> None:
    assert rules("one " + "\u200b" * 4 + " two") == {"zero_width"}
    assert rules("one " + "\u200b" * 3 + " two") == set()


def test_many_single_ones_between_words_are_too_many() -> None:
    text = "word \u200b" * 10
    assert len(rows(text)) == 10
    assert rows("word \u200b" * 9) == []
    assert rows(text + "A long text follows in which ten of them are few. " * 60) == []


def test_bits_in_zero_width_characters_are_read() -> None:
    hidden = "".join("\u200b\u200c"[int(bit)] for letter in "run away" for bit in f"{ord(letter):08b}")
    assert rows(f"Hello{hidden} there.")[0][5] == "run away"


@given(st.text(st.sampled_from("abcdefg xyz"), min_size=3).filter(lambda text: len(set(text.strip())) > 2))
def test_bits_in_either_order_and_with_gaps_are_read(text: str) -> None:
    for zero, one in ("\u200b\u200c", "\u200c\u200b"):
        bits = [f"{ord(letter):08b}".replace("0", zero).replace("1", one) for letter in text]
        assert bit_text("\u200d".join(bits)) == text


def test_payloads_are_read_as_one_text_a_document() -> None:
    batch = TextBatch(pa.array(["plain", f"a{tags('one')} b{tags(' two')}", f"c\U0001f600{selectors(b'three')}"]))
    assert [(found.document, found.start, found.end, found.text) for found in find_payloads(batch)] == [
        (1, 1, 4, "one two"),
        (2, 2, 7, "three"),
    ]


# All together


ALPHABET = "ab \n\u05d0\u0646\u0e01\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202c\u202e\u2066\u2069\ufe0f\ufe01☕"


@given(st.lists(st.text(st.sampled_from([*ALPHABET, *tags("ab")]), max_size=30), max_size=4))
def test_spans_hold_nothing_that_is_seen_and_no_two_overlap(texts: list[str]) -> None:
    last = (-1, 0)
    for document, _, start, end, score, evidence in sorted(rows(*texts), key=lambda row: (row[0], row[2])):
        span = texts[document][start:end]
        assert span
        assert score == len(span)
        assert evidence
        assert fold(span) == ""
        assert (document, start) >= last
        last = document, end


@given(st.lists(st.text(st.sampled_from([*ALPHABET, *tags("ab")]), max_size=30), min_size=1, max_size=4))
def test_a_document_is_judged_as_if_it_were_alone(texts: list[str]) -> None:
    together = [row[1:] for row in rows(*texts)]
    alone = [row[1:] for text in texts for row in rows(text)]
    assert sorted(together) == sorted(alone)


def test_tag_text_leaves_out_what_mirrors_nothing() -> None:
    assert tag_text(tags("a") + "\U000e0001" + tags("b")) == "ab"


def test_characters_find_has_the_rules_of_both_modules() -> None:
    found = characters.find(TextBatch(pa.array([f"ign\u043ere{tags('me')}"]))).rows
    assert {row[1] for row in found} == {"mixed_script", "tag_characters"}


# Limits


def test_runs_that_say_nothing_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def says_nothing(run: str) -> str:
        read.append(run)
        return ""

    monkeypatch.setattr(invisible_payloads, "tag_text", says_nothing)
    assert len(rows("a\U000e0001 " * 300)) == 300
    assert len(read) == 1


def test_nested_overrides_look_at_each_character_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def counting(letter: str) -> str:
        looked.append(letter)
        return bidirectional(letter)

    monkeypatch.setattr(invisible_bidi, "bidirectional", counting)
    text = "\u202e" * 100 + "-" * 500 + "\u202c" * 100
    assert rows(text) == []
    assert len(looked) < len(text)


def test_an_override_that_begins_with_many_signs_is_found_all_the_same() -> None:
    assert rules("\u202e" + "-" * 2000 + "abc\u202c") == {"bidi_controls"}


@pytest.mark.parametrize("text", ["\ufe0f Good morning", "So proud \ufe0f today", "One\n\ufe0fTwo"])
def test_a_selector_that_an_emoji_left_behind_passes(text: str) -> None:
    assert rows(text) == []


def test_sixteen_of_them_could_carry_bits() -> None:
    assert rows("word \ufe0f" * 15) == []
    assert len(rows("word \ufe0f" * 16)) == 16
    assert rules("So proud \ufe0f\ufe0f today") == {"variation_selectors"}
