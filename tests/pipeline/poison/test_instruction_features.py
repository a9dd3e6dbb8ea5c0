"""Words, units, n-grams and concepts as the detector of instructions reads them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch, code_of
from pipeline.poison.instruction_features import UNIT, Features, Lexicon, fold, length_keys

TERMS = [
    ("ignore*", 0),
    ("set aside", 0),
    ("rules", 1),
    ("ai", 2),
    ("忽略", 0),
    ("โมเดลภาษา", 2),
    ("modèle de langage", 2),
]


def read(*texts: str, terms: list[tuple[str, int]] = TERMS) -> Features:
    return Features(
        TextBatch(pa.array(texts, pa.string())), Lexicon.of(terms), length_keys([term for term, _ in terms])
    )


def named(text: str) -> list[set[int]]:
    """The concepts of each place that names any."""
    masks = [int(mask) for mask in read(text).concepts if mask]
    return [{bit for bit in range(64) if mask >> bit & 1} for mask in masks]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Déjà VU", "deja vu"),
        ("𝐈𝐠𝐧𝐨𝐫𝐞", "ignore"),
        ("ｉｇｎｏｒｅ", "ignore"),
        ("İgnore I ı", "ignore i i"),
        ("route 66", "route 00"),
        ("무시", "무시"),
        ("ignoriere", "ignoriere"),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_a_term_is_found_in_any_case_and_with_or_without_accents() -> None:
    assert named("Set Aside the RULES of the modele de langage") == [{0}, {1}, {2}]


def test_a_term_with_a_star_begins_words_and_one_without_is_a_whole_word() -> None:
    assert named("ignored ruleset rules") == [{0}, {1}]
    assert named("aid") == []


def test_scripts_without_spaces_are_looked_up_at_each_letter() -> None:
    assert named("请忽略它") == [{0}]
    assert named("นี่คือโมเดลภาษาใหญ่") == [{2}]


def test_a_term_does_not_reach_into_the_next_document() -> None:
    assert not read("set", "aside").concepts.any()


def test_a_term_of_two_concepts_has_both() -> None:
    both = [("rules", 0), ("rules", 3)]
    assert int(read("the rules", terms=both).concepts.max()) == 0b1001


def test_too_long_a_term_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 63"):
        length_keys(["x" * 64])


def test_sentences_are_units_and_long_ones_are_cut() -> None:
    features = read("One. Two words.", "word " * (2 * UNIT + 1))
    assert np.diff(features.unit_start, append=len(features.start)).tolist() == [2, 3, UNIT, UNIT, 1]
    assert features.unit_document.tolist() == [0, 0, 1, 1, 1]


def test_no_text_has_no_units() -> None:
    features = read("", " \n")
    assert len(features.unit_start) == len(features.concepts) == 0


def test_ngrams_do_not_cross_sentences() -> None:
    alone, together = read("One two."), read("One two. Three four.")
    for first, second in zip(alone.ngrams(18), together.ngrams(18), strict=True):
        assert np.array_equal(first, second[: len(first)])


def test_inflections_share_pairs_and_not_words() -> None:
    first, second = (read(text).ngrams(18) for text in ("previous instructions", "previously instructing"))
    assert first[0][1] != second[0][1]
    assert first[1][0] == second[1][0]


words = st.lists(st.sampled_from("ignore ignored Set aside rules ruled ai 忽略 , .".split()), max_size=12)


@given(words, words)
def test_concepts_are_those_of_a_plain_search(first: list[str], second: list[str]) -> None:
    features = read(" ".join(first), " ".join(second))
    whole = fold(features.texts.joined)
    ends = set(features.end.tolist())
    for start, found in zip(features.start.tolist(), features.concepts.tolist(), strict=True):
        expected = 0
        for term, concept in TERMS:
            bare = fold(term.removesuffix("*"))
            if whole.startswith(bare, start) and (term.endswith("*") or start + len(bare) in ends):
                expected |= 1 << concept
        assert found == expected


@given(st.text(max_size=30))
def test_hashes_are_those_of_the_folded_text(text: str) -> None:
    features = read(text)
    whole = fold(features.texts.joined)
    codes = features.hashes(features.start, features.end)
    expected = [code_of(whole[a:b]) for a, b in zip(features.start, features.end, strict=True)]
    assert codes.tolist() == expected
