"""What is compared when documents are compared: normalised words, and sets of hashed word n-grams."""

import hashlib
import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.shingles import WITHOUT_SPACES, Shingles, fmix64, shingle, words

M64 = 2**64 - 1

# Characters at which normalisers differ: final sigma, dotted I, decomposable signs, marks, separators, scripts.
ODD = st.text(
    st.sampled_from("ΑΣςσ İıẞﬁé\u0301\u0345;\u037e≮\u200b\u00ad\u0085\u2028\x1c\n\t.,٫1٣५0-—_'’語かガ한ไทย\U0001f600©a")
)
TEXTS = st.lists(st.one_of(st.text(max_size=40), ODD, st.text("ab ", max_size=40)), max_size=6)


def words_of(text: str) -> list[str]:
    """The normalisation, a character at a time."""
    text = re.sub(r"\d+([.,\u060c\u066b\u2396\u2397\u2398]\d+)?", "0", text.lower())
    out = []
    for character in unicodedata.normalize("NFD", text):
        category = unicodedata.category(character)
        if category in ("Mn", "Me", "Cf"):
            continue
        if category[0] in "PSZ" or category == "Cc":
            out.append(" ")
        elif any(first <= ord(character) <= last for first, last in WITHOUT_SPACES):
            out.append(f" {character} ")
        else:
            out.append(character)
    return "".join(out).split(" ")


def fmix64_of(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & M64
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & M64
    return value ^ value >> 33


def shingles_of(text: str, ngram: int) -> list[int]:
    """The set of hashed n-grams, a word at a time."""
    hashes = [
        int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        for word in words_of(text)
        if word
    ]
    found = set()
    for start in range(max(len(hashes) - ngram + 1, min(len(hashes), 1))):
        mixed = 0
        for value in hashes[start : start + ngram]:
            mixed = (mixed * 0x9E3779B97F4A7C15 + value) & M64
        found.add(fmix64_of(mixed) >> 32)
    return sorted(found)


def as_lists(shingles: Shingles) -> list[list[int]]:
    return [shingles[document].tolist() for document in range(len(shingles))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The END", "the end"),
        ("over 9000", "over 0"),
        ("3.14 and 1,000", "0 and 0"),
        ("192.168.0.1", "0 0"),  # two numbers with a decimal part
        ("٣٫١٤", "0"),
        ("well-known, don't!", "well known don t"),
        ("$5 — © 2024 • 😀", "0 0"),
        ("Crème BRÛLÉE", "creme brulee"),
        ("hyphen\u00adation", "hyphenation"),
        ("a\u00a0b\u2003c\nd", "a b c d"),
        ("ΟΔΟΣ ΟΔΟΣ", "οδος οδος"),
        ("일 이", "\u110b\u1175\u11af \u110b\u1175"),
        ("", ""),
        ("... -- !", ""),
    ],
)
def test_words_are_compared_without_what_editions_differ_in(text: str, expected: str) -> None:
    assert words(text) == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"), [("東京タワー", "東 京 タ ワ ー"), ("ไทย ok", "ไ ท ย ok"), ("iPhone手机", "iphone 手 机")]
)
def test_a_character_is_a_word_where_nobody_writes_spaces(text: str, expected: str) -> None:
    assert words(text) == expected.split()


@settings(deadline=None)
@given(st.one_of(st.text(), ODD))
def test_words_are_those_of_a_character_at_a_time(text: str) -> None:
    assert words(text) == [word for word in words_of(text) if word]


@settings(deadline=None)
@given(TEXTS, st.integers(1, 6))
def test_shingles_are_those_of_a_word_at_a_time(texts: list[str], ngram: int) -> None:
    assert as_lists(shingle(pa.array(texts, pa.string()), ngram)) == [shingles_of(text, ngram) for text in texts]


def test_shingles_of_real_pages_are_those_of_a_word_at_a_time(shared_data: Path) -> None:
    lines = (shared_data / "text/c4_demo.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    texts = [json.loads(line)["text"] for line in lines]
    assert as_lists(shingle(pa.array(texts), 5)) == [shingles_of(text, 5) for text in texts]


@pytest.mark.parametrize("language", ["Chinese", "Thai", "Arabic", "Hindi"])
def test_shingles_do_not_depend_on_the_batch(language: str) -> None:
    texts = {
        "Chinese": ["人人生而自由", "在尊嚴和權利上一律平等 人人"],
        "Thai": ["มนุษย์ทั้งหลายเกิดมา", "มีอิสระ"],
        "Arabic": ["يولد جميع الناس أحرارًا", "متساوين في الكرامة والحقوق"],
        "Hindi": ["सभी मनुष्यों को गौरव", "और अधिकारों के मामले में"],
    }[language]
    together = shingle(pa.array(texts), 3)
    alone = [shingle(pa.array([text]), 3)[0].tolist() for text in texts]
    assert as_lists(together) == alone


def test_a_hash_never_changes() -> None:
    """Indexes outlive versions: if this fails, every stored signature is void."""
    assert as_lists(shingle(pa.array(["The quick brown fox jumps", "fox"]), 5)) == [[3860283727], [1830766388]]


def test_a_short_text_has_one_shingle() -> None:
    assert shingle(pa.array(["only four words here", "and five words are here"]), 5).sizes.tolist() == [1, 1]


def test_a_text_without_words_has_none() -> None:
    assert shingle(pa.array(["", " \n", "!!!"]), 5).sizes.tolist() == [0, 0, 0]


def test_a_repeated_shingle_counts_once() -> None:
    assert shingle(pa.array(["spam spam spam spam spam spam spam"]), 3).sizes.tolist() == [1]


def test_shingles_stay_within_their_documents() -> None:
    split = shingle(pa.array(["one two three", "four five six"]), 3)
    joined = shingle(pa.array(["one two three four five six"]), 3)
    assert split.sizes.tolist() == [1, 1]
    assert joined.sizes.tolist() == [4]


def test_word_order_matters() -> None:
    shingles = shingle(pa.array(["a rose is red", "red is a rose"]), 4)
    assert shingles[0].tolist() != shingles[1].tolist()


@settings(deadline=None)
@given(TEXTS, st.data())
def test_sets_can_be_taken_and_put_together(texts: list[str], data: st.DataObject) -> None:
    shingles = shingle(pa.array(texts, pa.string()), 2)
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=8)) if texts else []
    taken = shingles.take(chosen)
    assert as_lists(taken) == [as_lists(shingles)[document] for document in chosen]
    assert as_lists(Shingles.concatenate([shingles, taken])) == as_lists(shingles) + as_lists(taken)
    assert as_lists(Shingles.concatenate([])) == []


def test_large_strings_and_slices_are_texts_too() -> None:
    texts = ["left out", "one two three", "four five"]
    expected = as_lists(shingle(pa.array(texts), 2))[1:]
    assert as_lists(shingle(pa.array(texts).slice(1), 2)) == expected
    assert as_lists(shingle(pa.array(texts, pa.large_string()).slice(1), 2)) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, M64), max_size=5))
def test_fmix64_is_murmurs(values: list[int]) -> None:
    assert fmix64(np.array(values, np.uint64)).tolist() == [fmix64_of(value) for value in values]


def test_a_null_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        shingle(pa.array(["text", None]), 5)


def test_no_words_make_no_shingle() -> None:
    with pytest.raises(ValueError, match="ngram is 0"):
        shingle(pa.array(["text"]), 0)
